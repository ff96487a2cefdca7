"""The stream of a study's events and reports."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from service.problems import documented
from service.routes.parameters import MAX_NUMBER, DatabaseOfApp, StudyName
from service.stream import Position, begin, follow

router = APIRouter(prefix="/studies/{name}/events", tags=["results"], responses=documented(404, 422))


class EventStream(StreamingResponse):
    # Not FastAPI's own class: its streams log an error whenever a client leaves while something is being sent.
    media_type = "text/event-stream"


def _start(
    name: StudyName,
    database: DatabaseOfApp,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The last event that the client has.")] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=MAX_NUMBER, description="Sent by browsers that reconnect; goes before `after`.")
    ] = None,
) -> Position:
    return begin(database, name, after if last_event_id is None else last_event_id)


@router.get("", summary="Follow a study", response_class=EventStream)
async def stream_events(
    start: Annotated[Position, Depends(_start)], database: DatabaseOfApp, request: Request
) -> EventStream:
    """Server-sent events: the study's events with their sequence number as id, and between them its reports.

    Begins after the event given, from the very first without one. A message's type is the event's (`run.succeeded`),
    or `report`, or at last `end`, when the study has ended and everything was sent: close the connection then.
    """
    messages = follow(database, start, request.app.state.closing)
    return EventStream(messages, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
