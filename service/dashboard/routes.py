"""The pages. They render the same objects as the API answers; scripts then keep them fresh with the parts below.

A page is complete when it arrives: without JavaScript it shows the study as it stands, and every control of the table
is a link. Only the charts and the study's buttons need scripts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.dashboard import charts, example
from service.dashboard.front import front
from service.dashboard.listing import Listing
from service.dashboard.rendering import page, static_files
from service.dashboard.shown import ShownStudy, study_list
from service.repositories.errors import NotFound
from service.repositories.studies import Studies
from service.routes.parameters import After, DatabaseOfApp, StudyName

Handler = Callable[[Request, Any], Response | Awaitable[Response]]

router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    """Puts the dashboard on an app that has its error handlers: who browses gets pages where programs get problems."""
    app.mount("/static", static_files(), name="static")
    app.include_router(router)
    for error in (NotFound, HTTPException):
        app.add_exception_handler(error, _page_for_people(app.exception_handlers[error]))


def _listing(sort: str | None = None, state: str | None = None, after: str | None = None) -> Listing:
    return Listing.parse(sort, state, after)


ListingOfQuery = Annotated[Listing, Depends(_listing)]


@router.get("/")
def list_studies(request: Request, database: DatabaseOfApp, after: After = None) -> Response:
    with database.session(write=False) as session:
        return page("studies.html", here="studies", **_list_context(request), **study_list(session, after))


@router.get("/docs")
def show_api() -> Response:
    return page("api.html")


@router.get("/parts/studies")
def part_studies(request: Request, database: DatabaseOfApp, after: After = None) -> Response:
    with database.session(write=False) as session:
        return page("parts/study_list.html", **_list_context(request), **study_list(session, after))


@router.get("/studies/{name}")
def show_study(name: StudyName, database: DatabaseOfApp, listing: ListingOfQuery) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, name)
        return page("study.html", here="study", **shown.overview(), **shown.table(listing))


@router.get("/studies/{name}/parts/overview")
def part_overview(name: StudyName, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        return page("parts/overview.html", **ShownStudy(session, name).overview())


@router.get("/studies/{name}/parts/trials")
def part_trials(name: StudyName, database: DatabaseOfApp, listing: ListingOfQuery) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, name)
        return page("parts/trials.html", study=shown.json, **shown.table(listing))


@router.get("/studies/{name}/charts/outcomes.json")
def chart_outcomes(name: StudyName, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, name)
        return JSONResponse(charts.outcomes(shown.reads, shown.study))


@router.get("/studies/{name}/charts/curves.json")
def chart_curves(name: StudyName, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        shown = ShownStudy(session, name)
        return JSONResponse(charts.curves(shown.reads, shown.study))


@router.get("/studies/{name}/charts/front.json")
def chart_front(name: StudyName, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        return JSONResponse(front(session, Studies(session).get(name)))


def _list_context(request: Request) -> dict[str, Any]:
    return {
        "base_url": str(request.base_url).rstrip("/"),
        "example": {"json": example.as_json(), "yaml": example.as_yaml()},
    }


def _page_for_people(answer_programs: Handler) -> Handler:
    """Wraps an error handler: a browser that asks for a page which is not there gets one that says so."""

    async def answer(request: Request, error: Any) -> Response:
        missing = isinstance(error, NotFound) or error.status_code == 404
        if not missing or request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            answered = answer_programs(request, error)
            return await answered if isinstance(answered, Awaitable) else answered
        message = str(error) if isinstance(error, NotFound) else f"there is no page at {request.url.path}"
        return page("not_found.html", 404, here="", message=message)

    return answer
