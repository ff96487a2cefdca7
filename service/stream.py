"""A study as it happens: its events, and between them the reports of its runs, as server-sent events.

An event carries its sequence number as the message's id, so a client that lost its connection goes on where it was. A
report has none: after a reconnection, those that were stored since the last event seen are sent again.
A stream asks the database twice a second and holds no connection while it sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from service import models, views
from service.database import Database, DatabaseUnavailable
from service.repositories.events import Events
from service.repositories.reports import Reports
from service.repositories.studies import Studies
from service.states import StudyState

INTERVAL_SECONDS = 0.5
KEEPALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 1000
BATCH = 500


@dataclass(frozen=True, slots=True)
class Position:
    """What a client has seen of a study: events up to `event`, reports up to the id `report`."""

    study: str
    event: int
    report: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is new, as one piece: a client may leave at any moment, and every further piece that is written before the
    server has had a turn to learn of it makes asyncio log a warning.

    `full` says that more is waiting; `end` that the study has ended and all of it is here.
    """

    messages: bytes
    position: Position
    full: bool
    end: bool


def begin(database: Database, study: str, after: int) -> Position:
    """The position of a client that has seen the events up to `after`. Raises NotFound."""
    with database.session(write=False) as session:
        row = Studies(session).get(study)
        after = min(after, row.last_event)
        if after == 0:
            return Position(study, 0, 0)
        (seen,) = Events(session).after(row.id, after - 1, 1)
        return Position(study, after, Reports(session).last_id_before(row.id, seen.created_at))


async def follow(database: Database, position: Position, closing: threading.Event) -> AsyncIterator[bytes]:
    """Everything after `position`: until the study has ended, the client is gone, or the server is closing.

    A comment is sent where nothing else is for a while, so that nobody in between takes the connection for dead.
    """
    yield format_sse_event(comment=f"the events of {position.study}", retry=RETRY_MILLISECONDS)
    silent = 0.0
    while not closing.is_set():
        try:
            batch = await run_in_threadpool(_read, database, position)
        except DatabaseUnavailable:
            return  # clients come back by themselves
        if batch.messages:
            yield batch.messages
        if batch.end:
            return
        position = batch.position
        if batch.full:
            continue
        await asyncio.sleep(INTERVAL_SECONDS)
        silent = 0.0 if batch.messages else silent + INTERVAL_SECONDS
        if silent >= KEEPALIVE_SECONDS:
            silent = 0.0
            yield KEEPALIVE_COMMENT


def _read(database: Database, position: Position) -> Batch:
    with database.session(write=False) as session:
        # The study comes first: if it has ended, its last events are in what is read after it.
        study = Studies(session).get(position.study)
        events = Events(session).after(study.id, position.event, BATCH)
        reports = Reports(session).page(study.id, BATCH, position.report)
    full = BATCH in (len(events), len(reports))
    end = StudyState(study.state).finished and not full
    return Batch(
        messages=b"".join((*_in_order(events, reports), *([_end(study)] if end else ()))),
        position=Position(
            study=position.study,
            event=events[-1].seq if events else position.event,
            report=reports[-1][0].id if reports else position.report,
        ),
        full=full,
        end=end,
    )


def _in_order(events: Sequence[models.Event], reports: Sequence[tuple[models.Report, int]]) -> Iterator[bytes]:
    """Both kinds by time, each kind in its own order."""
    timed_events = ((row.created_at, _event(row)) for row in events)
    timed_reports = ((row.created_at, _report(row, trial)) for row, trial in reports)
    for _, message in heapq.merge(timed_reports, timed_events, key=lambda timed: timed[0]):
        yield message


def _event(row: models.Event) -> bytes:
    return format_sse_event(event=row.type, id=str(row.seq), data_str=views.event(row).model_dump_json())


def _report(row: models.Report, trial: int) -> bytes:
    return format_sse_event(event="report", data_str=views.report(row, trial).model_dump_json())


def _end(study: models.Study) -> bytes:
    return format_sse_event(event="end", data_str=json.dumps({"state": study.state, "reason": study.reason}))
