"""The page of a trial, with its runs and notes; and that of a run, with its attempts, log and files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service import file_schemas, views
from service.auth.callers import Caller, Reader, Writer
from service.dashboard.formatting import segment
from service.dashboard.forms import Form, FormOfPage, Wrong, tried
from service.dashboard.log_tail import tail_of
from service.dashboard.rendering import page
from service.dashboard.shown import ShownStudy, as_json, shown_trial
from service.dashboard.study_pages import unrepeated
from service.dashboard.viewers import viewer_of
from service.database import Database
from service.models import utcnow
from service.repositories.artifacts import Artifacts
from service.repositories.dashboard import mark_of
from service.routes import amendments
from service.routes.attempts import Attempt, list_attempts
from service.routes.claims import DeskOfApp
from service.routes.parameters import DatabaseOfApp, Number, StudyName
from service.routes.uploads import StoreOfApp
from service.store import Store

router = APIRouter(include_in_schema=False)

MOST_ATTEMPTS = 50
MOST_FILES = 100


@router.get("/studies/{name}/trials/{number}")
def show_trial(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp, request: Request) -> Response:
    return _trial_page(request, caller, database, name, number)


@router.post("/studies/{name}/trials/{number}/invalidate")
def invalidate(
    name: StudyName,
    number: Number,
    caller: Writer,
    form: FormOfPage,
    database: DatabaseOfApp,
    desk: DeskOfApp,
    request: Request,
) -> Response:
    def change() -> None:
        why = amendments.Invalidation(reason=form.text("reason"))
        amendments.invalidate_trial(name, number, why, caller, desk, unrepeated(caller))

    return _answer(request, caller, database, name, number, "invalidate", form, change)


@router.post("/studies/{name}/trials/{number}/notes")
def write_note(
    name: StudyName,
    number: Number,
    caller: Writer,
    form: FormOfPage,
    database: DatabaseOfApp,
    desk: DeskOfApp,
    request: Request,
) -> Response:
    def change() -> None:
        note = amendments.NoteInput(text=form.text("text").replace("\r\n", "\n"), trial=number)
        amendments.write_note(name, note, caller, desk, unrepeated(caller))

    return _answer(request, caller, database, name, number, "notes", form, change)


@router.get("/studies/{name}/runs/{number}")
def show_run(
    name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp, store: StoreOfApp, request: Request
) -> Response:
    context = _run(caller, database, store, name, number)
    with database.session(write=False) as session:
        viewer = viewer_of(session, caller, request)
    return page("run.html", here="study", viewer=viewer, **context)


@router.get("/studies/{name}/runs/{number}/parts/run")
def part_run(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp, store: StoreOfApp) -> Response:
    return page("parts/run.html", **_run(caller, database, store, name, number))


def _answer(
    request: Request,
    caller: Caller,
    database: Database,
    name: str,
    number: int,
    part: str,
    form: Form,
    change: Callable[[], None],
) -> Response:
    """The form of this part of a trial's page is taken, or the page comes again with what is wrong."""
    wrong = tried(part, form, change)
    if wrong is None:
        return RedirectResponse(f"/studies/{segment(name)}/trials/{number}#{part}", 303)
    return _trial_page(request, caller, database, name, number, wrong)


def _trial_page(
    request: Request, caller: Caller, database: Database, name: str, number: int, wrong: Wrong | None = None
) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        row, runs = shown.runs.trial(shown.row.id, number)
        return page(
            "trial.html",
            wrong.status if wrong else 200,
            here="study",
            viewer=viewer_of(session, caller, request),
            wrong=wrong,
            study=shown.json,
            trial=shown_trial(row, runs),
            cell=None if runs[0].kind == "supernet" else shown.cell(number, row.config),
            runs=[as_json(views.run(shown.runs.get(shown.row.id, run.number))) for run in runs],
            **shown.notes(number),
        )


def _run(caller: Caller, database: Database, store: Store, name: str, number: int) -> dict[str, Any]:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        found, artifacts = shown.runs.get(shown.row.id, number), Artifacts(session)
        log = artifacts.log(shown.row.id, number)
        files = artifacts.page(shown.row.id, MOST_FILES + 1, run=number)
        context = {
            "study": shown.json,
            "run": as_json(views.run(found)),
            "mark_name": mark_of(found.run.origin, invalidated=found.trial.invalidated is not None),
            "files": [as_json(file_schemas.artifact(row)) for row in files],
            "most_files": MOST_FILES,
        }
    attempts = list_attempts(name, number, caller, database, MOST_ATTEMPTS, _skipped(found.run.attempts))
    return {
        **context,
        "attempts": [as_json(attempt) | {"took": _took(attempt)} for attempt in attempts.items],
        "skipped": _skipped(found.run.attempts) or 0,
        "log": tail_of(store, found.run, log),
    }


def _took(attempt: Attempt) -> float:
    """In seconds; of one under way so far."""
    return ((attempt.ended_at or utcnow()) - attempt.created_at).total_seconds()


def _skipped(attempts: int) -> int | None:
    """How many of the first attempts are left out: the last ones say more."""
    return attempts - MOST_ATTEMPTS if attempts > MOST_ATTEMPTS else None
