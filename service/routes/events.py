"""The events of a study: as a stream with its reports, or in pages."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import WithJsonSchema

from service import schemas, views
from service.auth.callers import Reader
from service.problems import documented
from service.repositories.events import Events
from service.repositories.studies import Studies
from service.routes.parameters import MAX_NUMBER, DatabaseOfApp, Limit, StudyName, cut
from service.stream import Position, begin, follow

router = APIRouter(prefix="/studies/{name}/events", tags=["results"], responses=documented(404, 422))

EventPage = schemas.Page[schemas.Event]
Format = Literal["stream", "json"]


class EventStream(StreamingResponse):
    # Not FastAPI's own class: its streams log an error whenever a client leaves while something is being sent.
    media_type = "text/event-stream"


def _answer(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The last event that the client has.")] = 0,
    limit: Limit = 100,
    format_: Annotated[
        Format | None,
        Query(alias="format", description="`json`: a page. When not given, the header `Accept` says it."),
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[
        int | None,
        Header(ge=0, le=MAX_NUMBER, description="Sent by browsers that reconnect; goes before `after`."),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}),
    ] = None,
) -> Position | Response:
    if (format_ or _wanted(accept)) == "stream":
        return begin(database, caller.project_id, name, after if last_event_id is None else last_event_id)
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        rows, next_ = cut(Events(session).after(study.id, after, limit + 1), limit, lambda row: row.seq)
        page = EventPage(items=[views.event(row) for row in rows], next=next_)
    # Written in this thread: a thousand events would hold up everybody in that of the event loop.
    return Response(page.model_dump_json(), media_type="application/json")


def _wanted(accept: str) -> Format:
    """Who takes streams, or anything, gets a stream."""
    return "json" if "application/json" in accept and EventStream.media_type not in accept else "stream"


@router.get(
    "",
    summary="Follow a study",
    response_model=EventPage,
    responses={
        200: {"description": "A stream, or a page.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    },
)
async def stream_events(
    answer: Annotated[Position | Response, Depends(_answer)], database: DatabaseOfApp, request: Request
) -> Response:
    """Server-sent events: the study's events with their sequence number as id, and between them its reports.

    Begins after the event given, from the very first without one. A message's type is the event's (`run.succeeded`),
    or `report`, or at last `end`, when the study has ended and everything was sent: close the connection then.

    With `format=json`, or `Accept: application/json`, a page of events instead, of at most `limit`: those that follow
    `after`, without reports. `next` is null when there is no other event yet.
    """
    if isinstance(answer, Response):
        return answer
    messages = follow(database, answer, request.app.state.closing)
    return EventStream(messages, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
