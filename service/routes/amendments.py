"""What people add to a study: configs to try, trials from elsewhere, that a trial does not count, notes, priority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from service import schemas, views
from service.amendments import LONGEST_NOTE, Amendments
from service.auth.audit import audit
from service.auth.callers import Caller, Reader, Writer
from service.desk import Desk
from service.external.schemas import MetricValues
from service.idempotency import Once, Repeatable, Replayed
from service.models import Json, Note
from service.problems import documented
from service.repositories.notes import Notes
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.body import StrictJsonRoute
from service.routes.claims import DeskOfApp
from service.routes.parameters import AfterReport, DatabaseOfApp, Limit, Number, OfTrial, StudyName, cut
from service.study_parts import WHOLE, Priority, Values
from service.study_work import StudyWork

router = APIRouter(prefix="/studies/{name}", tags=["trials and runs"], route_class=StrictJsonRoute)

Answer = TypeVar("Answer", bound=BaseModel)
MOST_CONFIGS = 1000
ERRORS = documented(400, 404, 409, 413, 415, 422)


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Wishes(Input):
    configs: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_CONFIGS, description="Configs of the space.")


class Wish(BaseModel):
    """A config that is to be tried before what the search would try next; `run` does so, once there is one."""

    number: int
    config: Values
    author: str
    run: int | None


class Told(Input):
    """A trial that was carried out elsewhere: with metrics, or with the class of its failure."""

    config: dict[str, Any]
    metrics: MetricValues | None = None
    fidelity: float | None = Field(None, allow_inf_nan=False, description="How far it was trained; to the highest.")
    failure: Literal["error", "diverged", "infeasible", "oom", "timeout"] | None = None


class Invalidation(Input):
    reason: str = Field(min_length=1, max_length=2000)


class NoteInput(Input):
    text: str = Field(min_length=1, max_length=LONGEST_NOTE)
    trial: Annotated[int | None, Field(ge=0, le=2**31 - 1), WHOLE] = None


class Changes(Input):
    priority: Priority


@router.patch("", summary="Change a study's priority", responses=ERRORS)
def change_study(
    name: StudyName, changes: Annotated[Changes, Body()], caller: Writer, desk: DeskOfApp, once: Once
) -> schemas.Study:
    """It gets its new share of the workers from now on; what is under way goes on."""

    def change(work: StudyWork) -> schemas.Study:
        work.study.priority = changes.priority
        return views.study(work.runs, work.study)

    return _amend("study.change", name, caller, desk, once, change, {"priority": changes.priority})


@router.post("/enqueued", status_code=201, summary="Enqueue configs", responses=ERRORS)
def enqueue_configs(
    name: StudyName, wishes: Annotated[Wishes, Body()], caller: Writer, desk: DeskOfApp, once: Once
) -> schemas.Listing[Wish]:
    """They are tried in this order, before what the search would try next, and cost what that would have cost."""

    def enqueue(work: StudyWork) -> schemas.Listing[Wish]:
        rows = Amendments(work, caller.actor).enqueue(wishes.configs)
        items = [Wish(number=row.number, config=row.config, author=row.author, run=None) for row in rows]
        return schemas.Listing[Wish](items=items)

    return _amend("trial.enqueue", name, caller, desk, once, enqueue, {"configs": len(wishes.configs)}, 201)


@router.get("/enqueued", summary="List the enqueued configs", responses=documented(404, 422))
def list_enqueued(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Listing[Wish]:
    with database.session(write=False) as session:
        study, runs = Studies(session, caller.project_id).get(name), Runs(session)
        served = runs.serving(study.id)
        items = [
            Wish(number=row.number, config=row.config, author=row.author, run=served.get(row.number))
            for row in runs.enqueued(study.id)
        ]
    return schemas.Listing[Wish](items=items)


@router.post("/trials", status_code=201, summary="Add a finished trial", responses=ERRORS)
def add_trial(
    name: StudyName, told: Annotated[Told, Body()], caller: Writer, desk: DeskOfApp, once: Once
) -> schemas.Trial:
    """The search learns from it, and it may be the best; it costs nothing of the budget."""

    def tell(work: StudyWork) -> schemas.Trial:
        run = Amendments(work, caller.actor).tell(told.config, told.metrics, told.fidelity, told.failure)
        work.conclude()
        return views.trial(*work.runs.trial(work.study.id, run.trial))

    return _amend("trial.add", name, caller, desk, once, tell, {}, 201)


@router.post("/trials/{number}/invalidate", summary="Take a trial's results out", responses=ERRORS)
def invalidate_trial(
    name: StudyName,
    number: Number,
    invalidation: Annotated[Invalidation, Body()],
    caller: Writer,
    desk: DeskOfApp,
    once: Once,
) -> schemas.Trial:
    """They are kept, with who took them out and why, but count for nothing any more: not for what is best, nor for what
    the search learns. Its open runs end."""

    def invalidate(work: StudyWork) -> schemas.Trial:
        Amendments(work, caller.actor).invalidate(number, invalidation.reason)
        work.conclude()
        return views.trial(*work.runs.trial(work.study.id, number))

    detail = {"trial": number, "reason": invalidation.reason}
    return _amend("trial.invalidate", name, caller, desk, once, invalidate, detail)


@router.post("/notes", status_code=201, summary="Write a note", responses=ERRORS)
def write_note(
    name: StudyName, note: Annotated[NoteInput, Body()], caller: Writer, desk: DeskOfApp, once: Once
) -> schemas.Note:
    """About the study, or about one of its trials."""

    def write(work: StudyWork) -> schemas.Note:
        return _note(Amendments(work, caller.actor).note(note.text, note.trial))

    return _amend("note.write", name, caller, desk, once, write, {"trial": note.trial}, 201)


@router.get("/notes", summary="List the notes", responses=documented(404, 422))
def list_notes(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterReport = None,
    trial: OfTrial = None,
) -> schemas.Page[schemas.Note]:
    """Oldest first."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        rows, next_ = cut(Notes(session).page(study.id, limit + 1, after, trial), limit, lambda row: row.id)
        return schemas.Page[schemas.Note](items=[_note(row) for row in rows], next=next_)


def _note(row: Note) -> schemas.Note:
    return schemas.Note(id=row.id, trial=row.trial, author=row.author, text=row.text, created_at=row.created_at)


def _amend(
    action: str,
    name: str,
    caller: Caller,
    desk: Desk,
    once: Repeatable,
    change: Callable[[StudyWork], Answer],
    detail: Json,
    status: int = 200,
) -> Answer:
    """One change in one transaction, with what the audit log and a repeated request need."""

    def operation(work: StudyWork) -> Answer:
        if replay := once.earlier(work.session):
            raise Replayed(replay)
        changed = change(work)
        once.claim(work.session)
        audit(work.session, caller, action, work.study.name, detail)
        once.keep(work.session, changed, status)
        return changed

    return desk.act(desk.find(caller.project_id, name), operation)
