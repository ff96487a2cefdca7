"""The audit log: who changed what, and who was turned away."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service import access_schemas as schemas
from service.auth.callers import Admin
from service.problems import FORBIDDEN, Refused, documented
from service.repositories.audit import AuditLog
from service.repositories.projects import Projects
from service.routes.parameters import AfterReport, DatabaseOfApp, Limit, cut
from service.schemas import Page
from service.study_parts import NAME_PATTERN

router = APIRouter(prefix="/audit", tags=["access"])

OfProject = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only entries of this project.")]
ByActor = Annotated[str | None, Query(pattern=r"^[^\x00]{1,128}$", description="Only what this actor did.")]
OfAction = Annotated[str | None, Query(pattern=r"^[a-z.]{1,64}$", description="Only this: `study.pause`, ...")]


@router.get("", summary="Who did what?", responses=documented(404, 422))
def list_audit(
    caller: Admin,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterReport = None,
    project: OfProject = None,
    actor: ByActor = None,
    action: OfAction = None,
) -> Page[schemas.AuditEntry]:
    """Newest first. A token of one project is shown the entries of that project."""
    if not caller.everywhere and project not in (None, caller.project):
        raise Refused(FORBIDDEN, f"the token of {caller.actor!r} is for the project {caller.project!r}")
    with database.session(write=False) as session:
        of = caller.project_id if not caller.everywhere else None
        if project is not None:
            of = Projects(session).get(project).id
        found = AuditLog(session).page(of, limit + 1, after, actor=actor, action=action)
        rows, next_ = cut(found, limit, lambda row: row.id)
        names = Projects(session).names([row.project_id for row in rows if row.project_id is not None])
        items = [
            schemas.AuditEntry(
                id=row.id,
                project=names.get(row.project_id) if row.project_id is not None else None,
                actor=row.actor,
                action=row.action,
                target=row.target,
                detail=row.detail,
                address=row.address,
                created_at=row.created_at,
            )
            for row in rows
        ]
    return Page[schemas.AuditEntry](items=items, next=next_)
