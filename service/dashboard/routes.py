"""The pages. They render the same objects as the API answers; scripts then keep them fresh with the parts below.

A page is complete when it arrives: without JavaScript it shows the study as it stands, and every control of the table
is a link. Only the charts and the study's buttons need scripts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.auth.callers import Caller, Reader
from service.dashboard import admin_pages, charts, example, login, run_pages, study_pages, workers_page
from service.dashboard.front import front
from service.dashboard.listing import ListingOfQuery
from service.dashboard.rendering import page, static_files
from service.dashboard.shown import ShownStudy, study_list
from service.dashboard.viewers import viewer_of
from service.database import Session
from service.problems import Refused
from service.repositories.errors import NotFound
from service.routes.parameters import After, DatabaseOfApp, HistoriesOfApp, StudyName

Handler = Callable[[Request, Any], Response | Awaitable[Response]]

router = APIRouter(include_in_schema=False)

_TITLES = {403: "Not yours", 404: "Not here", 409: "Not now"}


def mount(app: FastAPI) -> None:
    """Puts the dashboard on an app that has its error handlers: who browses gets pages where programs get problems."""
    app.mount("/static", static_files(), name="static")
    for part in (router, login.router, study_pages.router, run_pages.router, workers_page.router, admin_pages.router):
        app.include_router(part)
    for error in (NotFound, HTTPException, Refused):
        app.add_exception_handler(error, _page_for_people(app.exception_handlers[error]))


@router.get("/")
def list_studies(request: Request, caller: Reader, database: DatabaseOfApp, after: After = None) -> Response:
    with database.session(write=False) as session:
        return page("studies.html", here="studies", **_list_context(session, caller, request, after))


@router.get("/docs")
def show_api() -> Response:
    return page("api.html")


@router.get("/parts/studies")
def part_studies(request: Request, caller: Reader, database: DatabaseOfApp, after: After = None) -> Response:
    with database.session(write=False) as session:
        return page("parts/study_list.html", **_list_context(session, caller, request, after))


@router.get("/studies/{name}/parts/overview")
def part_overview(name: StudyName, caller: Reader, database: DatabaseOfApp, request: Request) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return page("parts/overview.html", viewer=viewer_of(session, caller, request), **shown.overview())


@router.get("/studies/{name}/parts/trials")
def part_trials(name: StudyName, caller: Reader, database: DatabaseOfApp, listing: ListingOfQuery) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return page("parts/trials.html", study=shown.json, **shown.table(listing))


@router.get("/studies/{name}/charts/outcomes.json")
def chart_outcomes(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return JSONResponse(charts.outcomes(shown.reads, shown.study))


@router.get("/studies/{name}/charts/curves.json")
def chart_curves(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, caller.project_id, name)
        return JSONResponse(charts.curves(shown.reads, shown.study))


@router.get("/studies/{name}/charts/front.json")
def chart_front(name: StudyName, caller: Reader, histories: HistoriesOfApp) -> Response:
    with histories.see(caller.project_id, name) as seen:
        return JSONResponse(front(seen))


def _list_context(session: Session, caller: Caller, request: Request, after: int | None) -> dict[str, Any]:
    return {
        **study_list(session, caller.project_id, after),
        "viewer": viewer_of(session, caller, request),
        "base_url": str(request.base_url).rstrip("/"),
        "example": {"json": example.as_json(), "yaml": example.as_yaml()},
    }


def _page_for_people(answer_programs: Handler) -> Handler:
    """Wraps an error handler: a browser that asks for a page which it cannot have gets one that says so."""

    async def answer(request: Request, error: Any) -> Response:
        status = _status(error)
        people = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        if not people or status not in _TITLES:
            answered = answer_programs(request, error)
            return await answered if isinstance(answered, Awaitable) else answered
        message = f"there is no page at {request.url.path}" if isinstance(error, HTTPException) else str(error)
        return page("refused.html", status, code=status, title=_TITLES[status], message=message)

    return answer


def _status(error: Any) -> int:
    match error:
        case NotFound():
            return 404
        case Refused():
            return error.kind.status
        case _:
            return int(error.status_code)
