"""Whether a study's decisions can be derived again from what is stored of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator

from fastapi import APIRouter, Depends, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from search.replay import Difference, Record, Verified
from service import schemas
from service.auth.callers import Reader
from service.database import Database, DatabaseUnavailable
from service.explain import MOST_PROBLEMS
from service.problems import BUSY, FAULT, UNAVAILABLE, Kind, Problem, Refused, documented, incident
from service.record import stored_record
from service.repositories.studies import Studies
from service.routes.events import EventStream
from service.routes.parameters import DatabaseOfApp, StudyName
from service.specs import search_spec
from service.turns import Place, Turns
from service.verification import PULSE_SECONDS, Broken, News, Progress, Verification
from spaces.errors import spelled

router = APIRouter(prefix="/studies/{name}", tags=["results"], responses=documented(404, 422))

AT_ONCE = 2
"""How many studies are verified, and so have their whole record in memory, at the same time."""
WAITING = 8
"""How many more may wait for their turn."""
RETRY_SECONDS = 30


class VerificationStream(EventStream):
    """Ends the verification with the answer, however that ends, and leaves its place to others."""

    def __init__(self, messages: AsyncGenerator[bytes, None], place: Place) -> None:
        super().__init__(messages, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._messages = messages
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                await self._messages.aclose()
            finally:
                self._place.leave()


def _readable(name: StudyName, caller: Reader, database: DatabaseOfApp) -> None:
    """Raises NotFound, or InvalidInput when the stored spec is not valid for this version of the code."""
    with database.session(write=False) as session:
        search_spec(Studies(session, caller.project_id).get(name))


@router.post(
    "/verify",
    summary="Verify a study",
    response_class=EventStream,
    dependencies=[Depends(_readable)],
    responses=documented(503),
)
async def verify_study(name: StudyName, caller: Reader, database: DatabaseOfApp, request: Request) -> EventStream:
    """Derives every suggestion and every stop again, from what is stored before it, and compares them. Nothing changes.

    This may take long, so the answer is a stream of server-sent events: `progress` (how many events of the study have
    been gone through, of how many) every second, then `verification`, the result; or `problem`, when it went wrong.
    A few studies are verified at once; while one waits for its turn, comments are sent, and of too many it is refused.
    """
    turns: Turns = request.app.state.verifications
    place = turns.enter()
    if place is None:
        detail = f"{AT_ONCE} studies are being verified and {WAITING} wait for their turn; try again later"
        raise Refused(BUSY, detail, headers={"Retry-After": str(RETRY_SECONDS)})
    return VerificationStream(_verify(caller.project_id, name, database, place, request.app.state.closing), place)


async def _verify(
    project_id: int, name: str, database: Database, place: Place, closing: threading.Event
) -> AsyncGenerator[bytes, None]:
    while not place.has_turn:
        yield KEEPALIVE_COMMENT
        await asyncio.sleep(PULSE_SECONDS)
        if closing.is_set():
            return
    try:
        record = await run_in_threadpool(_record, project_id, name, database)
    except DatabaseUnavailable as error:
        yield _problem(UNAVAILABLE, str(error))
        return
    news: News = Progress(0, len(record.events))
    yield _message(name, news)
    with contextlib.closing(Verification(record)) as verification:
        await run_in_threadpool(verification.start)
        while isinstance(news, Progress) and not closing.is_set():
            news = await run_in_threadpool(verification.news)
            yield _message(name, news)


def _record(project_id: int, name: str, database: Database) -> Record:
    with database.session(write=False) as session:
        return stored_record(session, Studies(session, project_id).get(name))


def _message(name: str, news: News) -> bytes:
    match news:
        case Progress(events, of):
            return _sse("progress", schemas.Progress(events=events, of=of))
        case Verified(runs, stops):
            return _sse("verification", schemas.Verification(verified=True, runs=runs, stops=stops, difference=None))
        case Difference(runs=runs, stops=stops):
            difference = _difference(news)
            return _sse(
                "verification", schemas.Verification(verified=False, runs=runs, stops=stops, difference=difference)
            )
        case Broken(why):
            return _problem(FAULT, incident(f"the verification of {name!r} failed: {why}"))


def _difference(found: Difference) -> schemas.Difference:
    return schemas.Difference(
        position=found.position,
        run=found.run,
        decision=found.decision,
        rounding=found.rounding,
        fields=[
            schemas.DifferentField(
                path=spelled(one.path), stored=one.stored, derived=one.derived, distance=one.distance
            )
            for one in found.fields[:MOST_PROBLEMS]
        ],
    )


def _problem(kind: Kind, detail: str) -> bytes:
    return _sse("problem", Problem(type=kind.type, title=kind.title, status=kind.status, detail=detail, errors=[]))


def _sse(type_: str, content: BaseModel) -> bytes:
    return format_sse_event(event=type_, data_str=content.model_dump_json())
