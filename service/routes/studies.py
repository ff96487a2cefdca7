"""Studies: submit, list, look at, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from service import lifecycle, models, schemas, views
from service.auth.audit import audit
from service.auth.callers import Caller, Reader, Writer
from service.auth.execution import may_execute
from service.database import Database, Session
from service.idempotency import Once, Repeatable, Replayed
from service.problems import documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.body import StrictJsonRoute
from service.routes.parameters import After, DatabaseOfApp, Limit, StudyName, cut

router = APIRouter(prefix="/studies", tags=["studies"], route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Submit a study", responses=documented(400, 409, 413, 415, 422))
def create_study(
    study: Annotated[schemas.StudyCreate, Body()],
    caller: Writer,
    database: DatabaseOfApp,
    once: Once,
    request: Request,
    response: Response,
) -> schemas.Study:
    """The study is checked as a whole, stored and started; when anything is wrong, nothing is stored."""
    commands = may_execute(caller, request.app.state.settings)
    with database.session(write=False) as session:
        if replay := once.earlier(session):
            raise Replayed(replay)
        payload = study.model_dump(exclude_unset=True)
        draft = lifecycle.draft_study(session, payload, caller.project_id, may_execute=commands)
    headers = {"Location": request.url_for("get_study", name=draft.name).path}
    with once.transaction(database) as session:
        row = lifecycle.store_study(session, draft)
        audit(session, caller, "study.create", row.name, {"objective": row.spec["objective"].get("type")})
        created = views.study(Runs(session), row)
        once.keep(session, created, 201, headers)
    response.headers.update(headers)
    return created


@router.get("", summary="List the studies", responses=documented(422))
def list_studies(
    caller: Reader, database: DatabaseOfApp, limit: Limit = 100, after: After = None
) -> schemas.Page[schemas.Study]:
    """Newest first."""
    with database.session(write=False) as session:
        rows, next_ = cut(Studies(session, caller.project_id).page(limit + 1, after), limit, lambda row: row.id)
        return schemas.Page[schemas.Study](items=views.studies(Runs(session), rows), next=next_)


@router.get("/{name}", summary="Look at a study", responses=documented(404, 422))
def get_study(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Study:
    with database.session(write=False) as session:
        return views.study(Runs(session), Studies(session, caller.project_id).get(name))


@router.post("/{name}/pause", summary="Pause a study", responses=documented(404, 409, 422))
def pause_study(name: StudyName, caller: Writer, database: DatabaseOfApp, once: Once) -> schemas.Study:
    """No new runs are started; those under way go on to their end."""
    return _change("study.pause", lifecycle.pause_study, name, caller, database, once)


@router.post("/{name}/resume", summary="Resume a paused study", responses=documented(404, 409, 422))
def resume_study(name: StudyName, caller: Writer, database: DatabaseOfApp, once: Once) -> schemas.Study:
    return _change("study.resume", lifecycle.resume_study, name, caller, database, once)


@router.post("/{name}/cancel", summary="Cancel a study", responses=documented(404, 409, 422))
def cancel_study(name: StudyName, caller: Writer, database: DatabaseOfApp, once: Once) -> schemas.Study:
    """The study and its open runs end at once, for good."""
    return _change("study.cancel", lifecycle.cancel_study, name, caller, database, once)


def _change(
    action: str,
    change: Callable[[Session, int, str], models.Study],
    name: str,
    caller: Caller,
    database: Database,
    once: Repeatable,
) -> schemas.Study:
    with once.transaction(database) as session:
        row = change(session, caller.project_id, name)
        audit(session, caller, action, row.name)
        changed = views.study(Runs(session), row)
        once.keep(session, changed)
    return changed
