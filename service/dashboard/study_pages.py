"""The page of a study, and what people change of it there: its priority, configs to try, notes.

Every form does what the route of the API does, with the same checks and the same entry in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.architecture_schemas import Trust
from service.auth.callers import Caller, Reader, Writer
from service.auth.execution import may_execute
from service.dashboard.configs import read_config
from service.dashboard.formatting import segment
from service.dashboard.forms import Form, FormOfPage, Wrong, integer, tried
from service.dashboard.listing import Listing, ListingOfQuery
from service.dashboard.rendering import page
from service.dashboard.shown import ShownStudy, as_json
from service.dashboard.viewers import viewer_of
from service.database import Database
from service.histories import Histories
from service.idempotency import Repeatable
from service.job_schemas import Finalize
from service.repositories.dashboard import DashboardReads
from service.repositories.studies import Studies
from service.routes import amendments, attempts, jobs, revisions
from service.routes.architectures import trust_of
from service.routes.claims import DeskOfApp
from service.routes.parameters import DatabaseOfApp, HistoriesOfApp, StudyName

router = APIRouter(include_in_schema=False)


@router.get("/studies/{name}")
def show_study(
    name: StudyName, caller: Reader, database: DatabaseOfApp, listing: ListingOfQuery, request: Request
) -> Response:
    return _page(request, caller, database, name, listing)


@router.get("/studies/{name}/parts/cost")
def part_cost(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Response:
    """Asked for once the page is there: it adds up all attempts."""
    return page("parts/cost.html", cost=as_json(attempts.get_cost(name, caller, database)))


@router.post("/studies/{name}/priority")
def change_priority(
    name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, desk: DeskOfApp, request: Request
) -> Response:
    def change() -> None:
        changes = amendments.Changes.model_validate({"priority": integer(form.text("priority"))})
        amendments.change_study(name, changes, caller, desk, unrepeated(caller))

    return _answer(request, caller, database, name, "priority", form, change)


@router.post("/studies/{name}/enqueued")
def enqueue(
    name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, desk: DeskOfApp, request: Request
) -> Response:
    def change() -> None:
        wishes = amendments.Wishes(configs=[read_config(form.text("config"))])
        amendments.enqueue_configs(name, wishes, caller, desk, unrepeated(caller))

    return _answer(request, caller, database, name, "enqueued", form, change)


@router.post("/studies/{name}/notes")
def write_note(
    name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, desk: DeskOfApp, request: Request
) -> Response:
    def change() -> None:
        note = amendments.NoteInput(text=form.text("text").replace("\r\n", "\n"), trial=None)
        amendments.write_note(name, note, caller, desk, unrepeated(caller))

    return _answer(request, caller, database, name, "notes", form, change)


@router.post("/studies/{name}/finalize")
def finalize(name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, request: Request) -> Response:
    def change() -> None:
        fields = {"top": integer(form.text("top")), "seeds": integer(form.text("seeds")), "data": form.text("data")}
        wishes = Finalize.model_validate(fields)
        jobs.finalize_study(name, caller, database, unrepeated(caller), wishes)

    return _answer(request, caller, database, name, "final", form, change)


@router.post("/studies/{name}/final/cancel")
def cancel_final(
    name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, request: Request
) -> Response:
    def change() -> None:
        jobs.cancel_finalization(name, caller, database, unrepeated(caller), request)

    return _answer(request, caller, database, name, "cancel-final", form, change, at="final")


@router.post("/studies/{name}/revise")
def revise(name: StudyName, caller: Writer, form: FormOfPage, database: DatabaseOfApp, request: Request) -> Response:
    """The study over again in the range that was shown: whatever the checks propose does not change any more."""

    def change() -> None:
        changes = revisions.get_proposal(name, caller, database).changes
        fields = {"name": form.text("name"), "changes": changes, "instead": form.text("instead") == "yes"}
        wishes = revisions.Revision.model_validate(fields)
        commands = may_execute(caller, request.app.state.settings)
        revisions.revised(name, wishes, caller, database, unrepeated(caller), commands)

    wrong = tried("revise", form, change)
    if wrong is None:
        return RedirectResponse(f"/studies/{segment(form.text('name'))}", 303)
    return _page(request, caller, database, name, Listing(), wrong)


@router.get("/studies/{name}/parts/jobs")
def part_jobs(name: StudyName, caller: Reader, database: DatabaseOfApp, request: Request) -> Response:
    with database.session(write=False) as session:
        shown, viewer = ShownStudy(session, caller.project_id, name), viewer_of(session, caller, request)
        return page("parts/jobs.html", study=shown.json, viewer=viewer, wrong=None, **shown.jobs(viewer))


@router.get("/studies/{name}/parts/architecture")
def part_architecture(name: StudyName, caller: Reader, database: DatabaseOfApp, histories: HistoriesOfApp) -> Response:
    trust = _trust(histories, caller, database, name)
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return page("parts/architecture.html", study=shown.json, **shown.found(trust))


@router.get("/studies/{name}/parts/descent")
def part_descent(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return page("parts/descent.html", study=shown.json, **shown.tuned())


def unrepeated(caller: Caller) -> Repeatable:
    """A form has no Idempotency-Key: the browser asks its user before it sends one again."""
    return Repeatable(caller.project_id, None)


def _answer(
    request: Request,
    caller: Caller,
    database: Database,
    name: str,
    part: str,
    form: Form,
    change: Callable[[], None],
    at: str | None = None,
) -> Response:
    """The form of this part of the page is taken, or the page comes again with what is wrong. `at` is where on it the
    form is, if it is not called as the form."""
    wrong = tried(part, form, change)
    if wrong is None:
        return RedirectResponse(f"/studies/{segment(name)}#{at or part}", 303)
    return _page(request, caller, database, name, Listing(), wrong)


def _page(
    request: Request, caller: Caller, database: Database, name: str, listing: Listing, wrong: Wrong | None = None
) -> Response:
    trust = _trust(request.app.state.histories, caller, database, name)
    with database.session(write=False) as session:
        shown, viewer = ShownStudy(session, caller.project_id, name), viewer_of(session, caller, request)
        return page(
            "study.html",
            wrong.status if wrong else 200,
            here="study",
            viewer=viewer,
            wrong=wrong,
            **shown.jobs(viewer),
            **shown.overview(),
            **shown.found(trust),
            **shown.tuned(),
            **shown.table(listing),
            **shown.amendments(),
        )


def _trust(histories: Histories, caller: Caller, database: Database, name: str) -> Trust | None:
    """In transactions of its own: a history is read for studies whose supernet was begun alone."""
    with database.session(write=False) as session:
        if DashboardReads(session, Studies(session, caller.project_id).get(name).id).supernet() is None:
            return None
    with histories.see(caller.project_id, name) as seen:
        return trust_of(seen)
