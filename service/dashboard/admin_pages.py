"""For who administers: tokens, projects with their limits, and the audit log. They do what the API does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service import access_schemas as schemas
from service.auth.callers import Admin, Caller, Scope
from service.dashboard.forms import AnyForm, Form, Wrong, fraction, integer, tried
from service.dashboard.rendering import page
from service.dashboard.shown import as_json
from service.dashboard.study_pages import unrepeated
from service.dashboard.viewers import viewer_of
from service.database import Database
from service.models import utcnow
from service.repositories.errors import NotFound
from service.routes import audit, projects, tokens
from service.routes.parameters import After, AfterReport, DatabaseOfApp
from service.routes.projects import ProjectName
from service.routes.tokens import TokenId

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
PROJECTS_PER_PAGE = 25
DAYS = (7, 30, 90, 365)
"""How long a token may be chosen to last."""
LIMITS = (
    ("max_runs", "Runs at once", "runs"),
    ("max_gpus", "GPUs at once", "gpus"),
    ("max_studies", "Open studies", "open_studies"),
)
"""Each limit with its words, and what of the usage is measured against it."""


@router.get("/tokens")
def show_tokens(caller: Admin, database: DatabaseOfApp, request: Request, after: After = None) -> Response:
    return _tokens(request, caller, database, after)


@router.post("/tokens")
def create_token(caller: Admin, form: AnyForm, database: DatabaseOfApp, request: Request) -> Response:
    """The page with the new secret, this once: so it leads nowhere else."""
    created: list[schemas.NewToken] = []

    def create() -> None:
        token = schemas.TokenCreate.model_validate(_token(form))
        created.append(tokens.create_token(token, caller, database))

    wrong = tried("token", form, create)
    return _tokens(request, caller, database, None, wrong, as_json(created[0]) if created else None)


@router.post("/tokens/{token_id}/revoke")
def revoke_token(token_id: TokenId, caller: Admin, database: DatabaseOfApp, request: Request) -> Response:
    tokens.revoke_token(token_id, caller, database, request)
    return RedirectResponse("/tokens#tokens", 303)


@router.get("/projects")
def show_projects(caller: Admin, database: DatabaseOfApp, request: Request, after: After = None) -> Response:
    return _projects(request, caller, database, after)


@router.post("/projects")
def create_project(caller: Admin, form: AnyForm, database: DatabaseOfApp, request: Request) -> Response:
    def create() -> None:
        project = schemas.ProjectCreate.model_validate({"name": form.text("name"), **_limits(form)})
        # The answer's headers are for programs.
        projects.create_project(project, caller, database, unrepeated(caller), request, Response())

    wrong = tried("project", form, create)
    return _projects(request, caller, database, None, wrong) if wrong else RedirectResponse("/projects#projects", 303)


@router.post("/projects/{name}/limits")
def change_limits(
    name: ProjectName, caller: Admin, form: AnyForm, database: DatabaseOfApp, request: Request
) -> Response:
    projects.get_project(name, caller, database)  # there is no page to show for one that is not there

    def change() -> None:
        limits = schemas.Limits.model_validate(_limits(form))
        projects.change_project(name, limits, caller, database, unrepeated(caller))

    wrong = tried(f"limits-{name}", form, change)
    return _projects(request, caller, database, None, wrong) if wrong else RedirectResponse("/projects#projects", 303)


@router.get("/audit")
def show_audit(
    caller: Admin,
    database: DatabaseOfApp,
    request: Request,
    after: AfterReport = None,
    project: str = "",
    actor: str = "",
    action: str = "",
) -> Response:
    asked = {"project": project.strip(), "actor": actor.strip(), "action": action.strip()}
    if any("\0" in text for text in asked.values()):  # PostgreSQL raises at it, even in a question
        raise NotFound("nobody and nothing has such a name")
    filters = {name: text or None for name, text in asked.items()}
    found = audit.list_audit(caller, database, PER_PAGE, after, **filters)
    with database.session(write=False) as session:
        viewer = viewer_of(session, caller, request)
    entries = [as_json(entry) for entry in found.items]
    return page("audit.html", here="audit", viewer=viewer, entries=entries, asked=asked, after=after, next=found.next)


def _tokens(
    request: Request,
    caller: Caller,
    database: Database,
    after: int | None,
    wrong: Wrong | None = None,
    created: dict[str, Any] | None = None,
) -> Response:
    found = tokens.list_tokens(caller, database, PER_PAGE, after)
    with database.session(write=False) as session:
        viewer = viewer_of(session, caller, request)
    return page(
        "tokens.html",
        wrong.status if wrong else 200,
        here="tokens",
        viewer=viewer,
        wrong=wrong,
        created=created,
        tokens=[as_json(token) for token in found.items],
        now=utcnow().isoformat(),
        scopes=[scope.value for scope in Scope],
        days=DAYS,
        after=after,
        next=found.next,
    )


def _projects(
    request: Request, caller: Caller, database: Database, after: int | None, wrong: Wrong | None = None
) -> Response:
    found = projects.list_projects(caller, database, PROJECTS_PER_PAGE, after)
    usage = {one.name: as_json(projects.get_usage(one.name, caller, database)) for one in found.items}
    with database.session(write=False) as session:
        viewer = viewer_of(session, caller, request)
    return page(
        "projects.html",
        wrong.status if wrong else 200,
        here="projects",
        viewer=viewer,
        wrong=wrong,
        projects=[as_json(project) for project in found.items],
        usage=usage,
        limits=LIMITS,
        after=after,
        next=found.next,
    )


def _token(form: Form) -> dict[str, Any]:
    days = integer(form.text("days") or "0")
    lasts = timedelta(days=days) if isinstance(days, int) and days in DAYS else None
    return {
        "name": form.text("name"),
        "scopes": list(form.all("scopes")),
        "project": form.text("project") or None,
        "expires_at": utcnow() + lasts if lasts else None,
    }


def _limits(form: Form) -> dict[str, Any]:
    """An empty field is no limit."""
    read = {"max_runs": integer, "max_gpus": fraction, "max_studies": integer}
    return {name: parse(form.text(name)) if form.text(name) else None for name, parse in read.items()}
