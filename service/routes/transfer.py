"""Studies as files: exported as JSON lines or tables, and imported."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service import lifecycle, schemas, views
from service.auth.audit import audit
from service.auth.callers import Caller, Reader, Writer
from service.auth.execution import may_execute
from service.database import Database
from service.idempotency import KeyHeader, Repeatable, Replayed, repeatable
from service.problems import BUSY, Refused, documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import DatabaseOfApp, StudyName
from service.routes.uploads import BINARY, StoreOfApp, received
from service.study_parts import NAME_PATTERN
from service.transfer.checking import Checked, checked
from service.transfer.exporting import exported
from service.transfer.reading import StudyFile
from service.transfer.storing import store_study
from service.transfer.tables import Rows, table
from service.turns import Place, Turns

router = APIRouter(prefix="/studies", tags=["studies"])

EXPORTS = 4
"""So many studies are exported at the same time: each holds a state of the database as long as it takes."""
IMPORTS = 1
"""So many files are checked at the same time; a large one takes a minute, and memory for the study's history."""
STALLED_SECONDS = 60.0
"""A client that takes nothing for so long has its export ended."""
RETRY_SECONDS = 10
CHUNK = 256 * 1024


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES = {Format.JSONL: "application/x-ndjson", Format.CSV: "text/csv; charset=utf-8; header=present"}
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An exported study, as JSON lines.",
        "content": {"application/x-ndjson": {"schema": BINARY}},
    }
}
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The study, whole as it is at one moment.",
        "content": {"application/x-ndjson": {"schema": BINARY}, "text/csv": {"schema": {"type": "string"}}},
    }
}


class ExportStream(StreamingResponse):
    """Ends with the client, however that ends; leaves its state of the database and its place to others."""

    def __init__(self, chunks: Generator[bytes], place: Place, **options: Any) -> None:
        super().__init__(iterate_in_threadpool(chunks), **options)
        self._chunks = chunks
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: Any) -> None:
            with anyio.fail_after(STALLED_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, send_soon)
        except TimeoutError:
            pass  # the connection ends before the last chunk: what came has no end
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._chunks.close)
            self._place.leave()


@router.get(
    "/{name}/export",
    summary="Export a study",
    response_class=Response,
    responses={**EXPORTED, **documented(404, 422, 503)},
)
async def export_study(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    request: Request,
    format: Annotated[  # noqa: A002  # a word of the wire
        Format, Query(description="`jsonl`: all that is known of it, to be imported again. `csv`: a table for people.")
    ] = Format.JSONL,
    of: Annotated[Rows, Query(description="What the rows of a table are.")] = Rows.TRIALS,
) -> Response:
    """Streamed, from one state of the database. The last of the JSON lines has the checksum of all before it: without
    it, something is missing."""
    turns: Turns = request.app.state.exports
    place = turns.enter()
    if place is None:
        detail = f"{EXPORTS} studies are being exported; try again later"
        raise Refused(BUSY, detail, headers={"Retry-After": str(RETRY_SECONDS)})
    chunks = _export(database, caller.project_id, name, format, of)
    try:
        first = await run_in_threadpool(next, chunks)  # whatever is wrong from the start is answered as such
    except BaseException:
        place.leave()
        raise
    filename = quote(f"{name}.{format}" if format is Format.JSONL else f"{name}-{of}.{format}", safe="")
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{filename}",
        "X-Content-Type-Options": "nosniff",
    }
    return ExportStream(_with(first, chunks), place, headers=headers, media_type=MEDIA_TYPES[format])


def _export(database: Database, project_id: int, name: str, format_: Format, of: Rows) -> Generator[bytes]:
    with database.session(write=False) as session:
        study = Studies(session, project_id).get(name)
        lines = exported(session, study) if format_ is Format.JSONL else table(session, study, of)
        yield from _pieces(lines)


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Many lines at once, for each piece is handed from thread to thread."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= CHUNK:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _with(first: bytes, others: Generator[bytes]) -> Generator[bytes]:
    try:
        yield first
        yield from others
    finally:
        others.close()


@router.post(
    "/import",
    status_code=201,
    summary="Import a study",
    openapi_extra=FILE,
    responses=documented(400, 403, 409, 413, 415, 422, 503),
)
async def import_study(
    request: Request,
    response: Response,
    caller: Writer,
    database: DatabaseOfApp,
    store: StoreOfApp,
    name: Annotated[
        str | None, Query(description="What it is called here; as in the file, if not given.", pattern=NAME_PATTERN)
    ] = None,
    idempotency_key: KeyHeader = None,
) -> schemas.Study:
    """The body is an exported study. It is checked as a whole: when anything is wrong, nothing is stored.

    One that had not ended is paused: what was under way has to be carried out again. Files are not part of an export:
    runs go on without the checkpoints that the other service kept.
    """
    async with received(request, store, request.app.state.settings.max_upload_bytes) as file:
        once = repeatable(request, idempotency_key, file.sha256.encode())
        await run_in_threadpool(_check_new, database, once)
        limiter: CapacityLimiter = request.app.state.imports
        commands = may_execute(caller, request.app.state.settings)
        found = await anyio.to_thread.run_sync(_check, file.path, commands, limiter=limiter)
        called = name or found.study.name
        location = {"Location": request.url_for("get_study", name=called).path}
        stored = await run_in_threadpool(_store, database, once, caller, called, found, location)
    response.headers.update(location)
    return stored


def _check_new(database: Database, once: Repeatable) -> None:
    with database.session(write=False) as session:
        if replay := once.earlier(session):
            raise Replayed(replay)


def _check(path: FilePath, commands: bool) -> Checked:
    """Raises InvalidInput, or CommandsRefused for a command from whoever may not have any run."""
    found = checked(StudyFile(path))
    if found.spec["objective"]["type"] == lifecycle.COMMAND and not commands:
        raise lifecycle.CommandsRefused("the study has a command objective, which runs what you send")
    return found


def _store(
    database: Database, once: Repeatable, caller: Caller, name: str, found: Checked, location: dict[str, str]
) -> schemas.Study:
    with once.transaction(database) as session:
        row = store_study(session, caller.project_id, name, found)
        audit(session, caller, "study.import", name, {"from": found.study.name, "sha256": found.file.sha256})
        stored = views.study(Runs(session), row)
        once.keep(session, stored, 201, location)
    return stored
