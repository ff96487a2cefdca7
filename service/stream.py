"""A study as it happens: its events, and between them the reports of its runs, as server-sent events.

An event carries its sequence number as the message's id, so a client that lost its connection goes on where it was. A
report has none: after a reconnection, those that were stored since the last event seen are sent again.
A stream asks the database twice a second and holds no connection while it sleeps. It reads on when the client has taken
what was read before, so a slow one costs a batch of memory, however much it has to catch up. It ends after a while:
whoever comes back is asked again who they are, so that nobody follows a study for much longer than their token is good.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

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
LONGEST_SECONDS = 900.0
RETRY_MILLISECONDS = 1000
BATCH = 200


@dataclass(frozen=True, slots=True)
class Position:
    """What a client has seen of a study: events up to `event`, reports up to the id `report`."""

    project_id: int
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


def begin(database: Database, project_id: int, study: str, after: int) -> Position:
    """The position of a client that has seen the events up to `after`. Raises NotFound."""
    with database.session(write=False) as session:
        row = Studies(session, project_id).get(study)
        after = min(after, row.last_event)
        if after == 0:
            return Position(project_id, study, 0, 0)
        return Position(project_id, study, after, Reports(session).last_before(row.id, after))


async def follow(database: Database, position: Position, closing: threading.Event) -> AsyncIterator[bytes]:
    """Everything after `position`: until the study has ended, the client is gone, the server is closing, or the stream
    has gone on for long enough.

    A comment is sent where nothing else is for a while, so that nobody in between takes the connection for dead.
    """
    yield format_sse_event(comment=f"the events of {position.study}", retry=RETRY_MILLISECONDS)
    silent = 0.0
    until = time.monotonic() + LONGEST_SECONDS
    while not closing.is_set() and time.monotonic() < until:
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
        study = Studies(session, position.project_id).get(position.study)
        events = Events(session).after(study.id, position.event, BATCH)
        reports = Reports(session).page(study.id, BATCH, position.report)
    full = BATCH in (len(events), len(reports))
    events, reports = _up_to_the_same_time(events, reports)
    end = StudyState(study.state).finished and not full
    return Batch(
        messages=b"".join((*_in_order(events, reports), *([_end(study)] if end else ()))),
        position=Position(
            project_id=position.project_id,
            study=position.study,
            event=events[-1].seq if events else position.event,
            report=reports[-1][0].id if reports else position.report,
        ),
        full=full,
        end=end,
    )


def _up_to_the_same_time(
    events: Sequence[models.Event], reports: Sequence[tuple[models.Report, int]]
) -> tuple[Sequence[models.Event], Sequence[tuple[models.Report, int]]]:
    """Of what was cut off, nothing that is later than what stands behind the cut of the other kind: reports would be
    told before the start of their run, or after its end."""
    if len(events) == BATCH and (len(reports) < BATCH or events[-1].created_at <= reports[-1][0].created_at):
        horizon = events[-1].created_at
        return events, list(takewhile(lambda row: row[0].created_at <= horizon, reports))
    if len(reports) == BATCH:
        horizon = reports[-1][0].created_at
        return list(takewhile(lambda row: row.created_at <= horizon, events)), reports
    return events, reports


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
