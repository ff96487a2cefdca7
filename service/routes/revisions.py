"""A study over again in a changed space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service import lifecycle, schemas, views
from service.auth.audit import audit
from service.auth.callers import Caller, Reader, Writer
from service.auth.execution import may_execute
from service.database import Database, Session
from service.idempotency import Once, Repeatable, Replayed
from service.problems import documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.revisions import Proposal as Found
from service.revisions import draft_revision, proposal
from service.routes.body import StrictJsonRoute
from service.routes.parameters import DatabaseOfApp, StudyName
from service.states import StudyState
from service.study_parts import Name
from spaces import InvalidInput, read_changes

router = APIRouter(prefix="/studies/{name}", tags=["studies"], route_class=StrictJsonRoute)

MOST_CHANGES = 100


class RevisedParameter(BaseModel):
    """A parameter before and after; null where there is no such one."""

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Proposal(BaseModel):
    """What the checks propose to change of the space. `changes` are as `POST .../revise` takes them; `why` says where
    they come from or, where there are none, what is in the way."""

    changes: list[dict[str, Any]]
    parameters: list[RevisedParameter]
    why: str


class Revision(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name = Field(description="Of the new study.")
    changes: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_CHANGES, description="Of the space.")
    instead: bool = Field(False, description="Ends this study; one that has ended stays as it is.")
    learn: bool = Field(True, description="The new one begins with the results of this one, if this one has ended.")


@router.get("/proposal", summary="What the checks propose to change of the space", responses=documented(404, 422))
def get_proposal(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Proposal:
    with database.session(write=False) as session:
        return told(proposal(session, Studies(session, caller.project_id).get(name)))


@router.post(
    "/revise",
    status_code=201,
    summary="Begin anew in a changed space",
    responses=documented(400, 404, 409, 413, 415, 422),
)
def revise_study(
    name: StudyName,
    revision: Annotated[Revision, Body()],
    caller: Writer,
    database: DatabaseOfApp,
    once: Once,
    request: Request,
    response: Response,
) -> schemas.Study:
    """A new study, which differs from this one in its space only, and learns from what this one learned from."""
    headers = {"Location": request.url_for("get_study", name=revision.name).path}
    created = revised(name, revision, caller, database, once, may_execute(caller, request.app.state.settings), headers)
    response.headers.update(headers)
    return created


def revised(
    name: str,
    revision: Revision,
    caller: Caller,
    database: Database,
    once: Repeatable,
    commands: bool,
    headers: Mapping[str, str] | None = None,
) -> schemas.Study:
    with database.session(write=False) as session:
        if replay := once.earlier(session):
            raise Replayed(replay)
        study = Studies(session, caller.project_id).get(name)
        try:
            changes = read_changes(revision.changes)
            draft = draft_revision(session, study, revision.name, changes, learn=revision.learn, may_execute=commands)
        except InvalidInput as error:
            raise _placed(error) from error
    with once.transaction(database) as session:
        if revision.instead:  # first, for it makes room
            _end(session, caller, name)
        row = lifecycle.store_study(session, draft)
        audit(session, caller, "study.revise", row.name, {"of": name, "changes": revision.changes})
        created = views.study(Runs(session), row)
        once.keep(session, created, 201, headers)
    return created


def told(found: Found) -> Proposal:
    return Proposal(
        changes=[change.to_json() for change in found.changes],
        parameters=[
            RevisedParameter(
                name=one.name,
                before=one.before.to_json() if one.before else None,
                after=one.after.to_json() if one.after else None,
            )
            for one in found.revised
        ],
        why=found.why,
    )


def _placed(error: InvalidInput) -> InvalidInput:
    """Of a change: its path begins with the index of that change. All else is of the study that comes out."""
    return error.under("changes") if all(isinstance(next(iter(p.path), None), int) for p in error.problems) else error


def _end(session: Session, caller: Caller, name: str) -> None:
    study = Studies(session, caller.project_id).get(name, lock=True)
    if not StudyState(study.state).finished:
        lifecycle.close_study(session, study, StudyState.CANCELLED)
