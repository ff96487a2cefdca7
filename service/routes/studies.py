"""Studies: submit, list, look at, pause, resume, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from service import lifecycle, schemas, views
from service.problems import documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.body import StrictJsonRoute
from service.routes.parameters import After, DatabaseOfApp, Limit, StudyName, cut

router = APIRouter(prefix="/studies", tags=["studies"], route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Submit a study", responses=documented(400, 409, 413, 415, 422))
def create_study(
    study: Annotated[schemas.StudyCreate, Body()], database: DatabaseOfApp, request: Request, response: Response
) -> schemas.Study:
    """The study is checked as a whole, stored and started; when anything is wrong, nothing is stored."""
    with database.session(write=False) as session:
        draft = lifecycle.draft_study(session, study.model_dump(exclude_unset=True))
    with database.session() as session:
        row = lifecycle.store_study(session, draft)
        created = views.study(Runs(session), row)
    response.headers["Location"] = request.url_for("get_study", name=row.name).path
    return created


@router.get("", summary="List the studies", responses=documented(422))
def list_studies(database: DatabaseOfApp, limit: Limit = 100, after: After = None) -> schemas.Page[schemas.Study]:
    """Newest first."""
    with database.session(write=False) as session:
        rows, next_ = cut(Studies(session).page(limit + 1, after), limit, lambda row: row.id)
        return schemas.Page[schemas.Study](items=views.studies(Runs(session), rows), next=next_)


@router.get("/{name}", summary="Look at a study", responses=documented(404, 422))
def get_study(name: StudyName, database: DatabaseOfApp) -> schemas.Study:
    with database.session(write=False) as session:
        return views.study(Runs(session), Studies(session).get(name))


@router.post("/{name}/pause", summary="Pause a study", responses=documented(404, 409, 422))
def pause_study(name: StudyName, database: DatabaseOfApp) -> schemas.Study:
    """No new runs are started; those under way go on to their end."""
    with database.session() as session:
        return views.study(Runs(session), lifecycle.pause_study(session, name))


@router.post("/{name}/resume", summary="Resume a paused study", responses=documented(404, 409, 422))
def resume_study(name: StudyName, database: DatabaseOfApp) -> schemas.Study:
    with database.session() as session:
        return views.study(Runs(session), lifecycle.resume_study(session, name))


@router.post("/{name}/cancel", summary="Cancel a study", responses=documented(404, 409, 422))
def cancel_study(name: StudyName, database: DatabaseOfApp) -> schemas.Study:
    """The study and its open runs end at once, for good."""
    with database.session() as session:
        return views.study(Runs(session), lifecycle.cancel_study(session, name))
