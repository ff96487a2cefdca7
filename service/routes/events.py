"""The stream of a study's events and reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.problems import documented
from service.routes.parameters import MAX_NUMBER, DatabaseOfApp, StudyName
from service.stream import Position, begin, follow

router = APIRouter(prefix="/studies/{name}/events", tags=["results"], responses=documented(404, 422))


def _start(
    name: StudyName,
    database: DatabaseOfApp,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The last event that the client has.")] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=MAX_NUMBER, description="Sent by browsers that reconnect; goes before `after`.")
    ] = None,
) -> Position:
    return begin(database, name, after if last_event_id is None else last_event_id)


@router.get("", summary="Follow a study", response_class=EventSourceResponse)
async def stream_events(
    start: Annotated[Position, Depends(_start)], database: DatabaseOfApp, request: Request
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the study's events with their sequence number as id, and between them its reports.

    Begins after the event given, from the very first without one. A message's type is the event's (`run.succeeded`),
    or `report`, or at last `end`, when the study has ended and everything was sent: close the connection then.
    """
    async for message in follow(database, start, request.app.state.closing):
        yield message
