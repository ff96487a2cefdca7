"""Projects: what belongs together, and how much it may have at once.

Everybody sees the projects that their token is good for; only who may do everything in all of them changes any.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request, Response

from service import access_schemas as schemas
from service import models
from service.auth.audit import audit_in
from service.auth.authenticator import Authenticator
from service.auth.callers import Admin, Caller, Reader
from service.idempotency import Once
from service.problems import FORBIDDEN, Refused, documented
from service.repositories.errors import NotFound
from service.repositories.projects import Projects
from service.routes.body import StrictJsonRoute
from service.routes.parameters import After, DatabaseOfApp, Limit, cut
from service.schemas import Page

router = APIRouter(prefix="/projects", tags=["access"], route_class=StrictJsonRoute)

ProjectName = Annotated[str, Path(description="The project's name.", examples=["default"])]


@router.get("", summary="List the projects", responses=documented(422))
def list_projects(
    caller: Reader, database: DatabaseOfApp, limit: Limit = 100, after: After = None
) -> Page[schemas.Project]:
    """Those that the token is good for, oldest first."""
    with database.session(write=False) as session:
        projects = Projects(session)
        if not caller.everywhere:
            return Page[schemas.Project](items=[_shown(projects.get(caller.project))], next=None)
        rows, next_ = cut(projects.page(limit + 1, after), limit, lambda row: row.id)
        return Page[schemas.Project](items=[_shown(row) for row in rows], next=next_)


@router.post("", status_code=201, summary="Create a project", responses=documented(400, 409, 413, 415, 422))
def create_project(
    project: Annotated[schemas.ProjectCreate, Body()],
    caller: Admin,
    database: DatabaseOfApp,
    once: Once,
    request: Request,
    response: Response,
) -> schemas.Project:
    _only_everywhere(caller)
    headers = {"Location": request.url_for("get_project", name=project.name).path}
    with once.transaction(database) as session:
        row = Projects(session).add(project.name, project.model_dump(exclude={"name"}))
        audit_in(session, row.id, caller, "project.create", row.name, project.model_dump(exclude_unset=True))
        created = _shown(row)
        once.keep(session, created, 201, headers)
    response.headers.update(headers)
    return created


@router.get("/{name}", summary="Look at a project", responses=documented(404, 422))
def get_project(name: ProjectName, caller: Reader, database: DatabaseOfApp) -> schemas.Project:
    with database.session(write=False) as session:
        return _shown(_visible(Projects(session), caller, name))


@router.get("/{name}/usage", summary="What does a project have just now?", responses=documented(404, 422))
def get_usage(name: ProjectName, caller: Reader, database: DatabaseOfApp) -> schemas.Usage:
    """What its limits are measured against, and what keeps it from being deleted."""
    with database.session(write=False) as session:
        projects = Projects(session)
        usage = projects.usage(_visible(projects, caller, name).id)
    return schemas.Usage(
        project=name,
        studies=usage.studies,
        open_studies=usage.open_studies,
        runs=usage.runs,
        gpus=usage.gpus,
        datasets=usage.datasets,
        webhooks=usage.webhooks,
        tokens=usage.tokens,
    )


@router.patch("/{name}", summary="Change a project's limits", responses=documented(400, 404, 409, 413, 415, 422))
def change_project(
    name: ProjectName, limits: Annotated[schemas.Limits, Body()], caller: Admin, database: DatabaseOfApp, once: Once
) -> schemas.Project:
    """Limits that are not named stay; null takes one away. What the project has already, it keeps."""
    _only_everywhere(caller)
    changes = limits.model_dump(exclude_unset=True)
    with once.transaction(database) as session:
        row = _visible(Projects(session), caller, name, lock=True)
        for limit, value in changes.items():
            setattr(row, limit, value)
        audit_in(session, row.id, caller, "project.change", row.name, changes)
        changed = _shown(row)
        once.keep(session, changed)
    return changed


@router.delete("/{name}", summary="Delete a project", responses=documented(404, 409, 422))
def delete_project(
    name: ProjectName, caller: Admin, database: DatabaseOfApp, once: Once, request: Request
) -> schemas.Project:
    """Only one that is empty; its tokens go with it. Answers what it was."""
    _only_everywhere(caller)
    with once.transaction(database) as session:
        deleted = _shown(Projects(session).delete(_storable(name)))
        audit_in(session, None, caller, "project.delete", name)
        once.keep(session, deleted)
    authenticator: Authenticator = request.app.state.authenticator
    authenticator.forget_project(name)
    return deleted


def _visible(projects: Projects, caller: Caller, name: str, *, lock: bool = False) -> models.Project:
    """Raises NotFound, for a project of others too."""
    if not caller.everywhere and name != caller.project:
        raise NotFound(f"there is no project named {name!r}")
    return projects.get(_storable(name), lock=lock)


def _storable(name: str) -> str:
    # PostgreSQL raises at a NUL, even in a question.
    if "\0" in name:
        raise NotFound(f"there is no project named {name!r}")
    return name


def _only_everywhere(caller: Caller) -> None:
    if not caller.everywhere:
        detail = f"projects are changed with a token that is good for all of them; this one is for {caller.project!r}"
        raise Refused(FORBIDDEN, detail)


def _shown(row: models.Project) -> schemas.Project:
    return schemas.Project(
        name=row.name,
        max_runs=row.max_runs,
        max_gpus=row.max_gpus,
        max_studies=row.max_studies,
        created_at=row.created_at,
    )
