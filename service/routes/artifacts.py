"""Artifacts: the files that runs leave behind. Workers upload them; a token says that they still have the run."""

from __future__ import annotations

import mimetypes
from typing import Annotated, Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError, WithJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, StreamingResponse

from service import file_schemas, models, schemas
from service.auth.callers import Caller, Reader, Worker
from service.checkpoints import UPLOADED
from service.database import Database, Session
from service.explain import problems_of
from service.external.schemas import StaleAttempt
from service.file_schemas import ArtifactKind, CheckpointElsewhere
from service.logs import MEDIA_TYPE as LOG_TYPE
from service.logs import begin_of_tail, find_log
from service.problems import MALFORMED, TOO_LARGE, Refused, documented
from service.repositories.artifacts import Artifacts, checkpoint_to_continue
from service.repositories.attempts import Attempts, Held, StaleToken
from service.repositories.errors import NotFound
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.body import content_of, decode
from service.routes.claims import RunAddress, RunOfPath
from service.routes.parameters import AfterReport, DatabaseOfApp, Limit, Number, OfRun, StudyName, cut
from service.routes.uploads import BINARY, StoreOfApp, content, received, remove
from service.store import Incoming, Missing, Store, keys
from spaces.errors import InvalidInput

router = APIRouter(tags=["artifacts"])

CHECKPOINT = "checkpoint"
"""The name of a checkpoint; each one of an attempt takes the place of the one before."""

FileName = Annotated[
    str, Path(description="What the file is called.", pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$", examples=["loss.png"])
]
Token = Annotated[str, Query(min_length=1, max_length=64, description="The token of the attempt, from its claim.")]
ArtifactId = Annotated[int, Path(ge=1, le=2**63 - 1)]
OfKind = Annotated[ArtifactKind | None, Query(description="Only those of this kind.")]
UploadKind = Annotated[
    ArtifactKind,
    Query(description="What it is."),
    WithJsonSchema({"enum": [kind.value for kind in ArtifactKind if kind is not ArtifactKind.CHECKPOINT]}),
]
FILE: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "description": "The file as it is; nothing for an empty one.",
        "content": {"application/octet-stream": {"schema": BINARY}},
    }
}
CHECKPOINT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The checkpoint itself, as one file; or as JSON where its worker keeps it.",
        "content": {
            "application/octet-stream": {"schema": BINARY},
            "application/json": {"schema": CheckpointElsewhere.model_json_schema()},
        },
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    **documented(400, 404, 413, 415, 422, 503),
    409: {"model": StaleAttempt, "description": "The attempt has been given up."},
}
DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": BINARY}}, "description": "The file."},
    206: {"description": "The range that was asked for."},
    304: {"description": "The file is the one that the caller has."},
}


@router.get("/studies/{name}/artifacts", summary="List the files of a study's runs", responses=documented(404, 422))
def list_artifacts(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterReport = None,
    run: OfRun = None,
    kind: OfKind = None,
) -> schemas.Page[file_schemas.Artifact]:
    """In the order in which they came."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        found = Artifacts(session).page(study.id, limit + 1, after, run, kind)
    rows, next_ = cut(found, limit, lambda row: row.id)
    return schemas.Page[file_schemas.Artifact](items=[file_schemas.artifact(row) for row in rows], next=next_)


@router.get(
    "/studies/{name}/artifacts/{id}/content",
    summary="Download a file of a run",
    response_class=Response,
    responses={
        **DOWNLOAD,
        200: {"content": {"*/*": {"schema": BINARY}}, "description": "The file, as what it was uploaded."},
        **documented(404, 416, 422, 503),
    },
)
def download_artifact(
    name: StudyName,
    id: ArtifactId,  # noqa: A002  # a word of the wire
    request: Request,
    caller: Reader,
    database: DatabaseOfApp,
    store: StoreOfApp,
) -> Response:
    """Ranges can be asked for; the ETag is the file's SHA-256."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        row = Artifacts(session).get(study.id, id)
    return _content(request, store, row)


@router.get(
    "/studies/{name}/runs/{number}/log",
    summary="What a run's command wrote",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Its stdout and stderr."},
        **documented(404, 422, 503),
    },
)
def read_log(
    name: StudyName,
    number: Number,
    caller: Reader,
    database: DatabaseOfApp,
    store: StoreOfApp,
    tail: Annotated[int | None, Query(ge=1, le=1_000_000, description="Only so many lines, the last ones.")] = None,
    attempt: Annotated[int | None, Query(ge=1, le=10_000, description="Of this attempt, not the latest one.")] = None,
) -> Response:
    """Of the latest attempt that wrote any; of one that is under way, what there is so far if it is on this disk."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        run = Runs(session).get(study.id, number).run
        row = Artifacts(session).log(study.id, number, attempt)
    log = find_log(store, run, row, attempt)
    try:
        begin = 0 if tail is None else begin_of_tail(store, log.key, log.bytes, tail)
        chunks = store.read(log.key, begin, log.bytes)
    except Missing as error:  # of an imported study, the files are elsewhere
        raise NotFound(f"the log of run {number} is gone from the store") from error
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if not log.live:  # one that is being written may get shorter: its middle is left out when it gets long
        headers["Content-Length"] = str(log.bytes - begin)
    return StreamingResponse(chunks, headers=headers, media_type=LOG_TYPE)


@router.put(
    "/runs/{id}/artifacts/{filename}",
    summary="Upload a file of a run",
    openapi_extra=FILE,
    responses=REFUSALS,
)
async def upload_artifact(
    caller: Worker,
    run: RunOfPath,
    filename: FileName,
    token: Token,
    request: Request,
    database: DatabaseOfApp,
    store: StoreOfApp,
    kind: UploadKind = ArtifactKind.FILE,
) -> file_schemas.Artifact:
    """The file is the body. Of one attempt, another of the same name takes its place; all of them together may have as
    many bytes as one upload. It is a sign of life, as a report is; during a long one send heartbeats."""
    if kind is ArtifactKind.CHECKPOINT or filename == CHECKPOINT:
        raise InvalidInput.at(("kind",), f"checkpoints are sent to /runs/{run.study_id}-{run.number}/checkpoint")
    if filename in (".", ".."):
        raise InvalidInput.at(("filename",), "is no name of a file")
    row = await _take(request, caller, database, store, run, token, filename, kind)
    return file_schemas.artifact(row)


@router.post(
    "/runs/{id}/checkpoint",
    summary="Save a checkpoint",
    openapi_extra=CHECKPOINT_BODY,
    responses=REFUSALS,
)
async def save_checkpoint(
    caller: Worker,
    run: RunOfPath,
    request: Request,
    database: DatabaseOfApp,
    store: StoreOfApp,
    token: Annotated[str | None, Query(min_length=1, max_length=64, description="Beside a file as the body.")] = None,
    step: Annotated[float | None, Query(ge=0, description="Beside a file: after which step it was saved.")] = None,
) -> file_schemas.Checkpoint:
    """From where another attempt goes on when this one is lost, and the runs that continue this one.

    Either the checkpoint is the body, and is kept here; or the body is JSON that says where its worker keeps it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        said = _elsewhere(await run_in_threadpool(decode, await content_of(request)))
        await run_in_threadpool(_note_elsewhere, database, store, caller, run, said)
        return file_schemas.Checkpoint(checkpoint=said.uri, step=said.step)
    if token is None:
        raise InvalidInput.at(("token",), "is required beside a file as the body")
    if step is not None and step == float("inf"):
        raise InvalidInput.at(("step",), "must be finite")
    row = await _take(request, caller, database, store, run, token, CHECKPOINT, ArtifactKind.CHECKPOINT, step)
    return file_schemas.Checkpoint(checkpoint=UPLOADED + row.path, step=step)


@router.get(
    "/runs/{id}/checkpoint",
    summary="Get the checkpoint to continue from",
    response_class=Response,
    responses={
        **DOWNLOAD,
        200: {
            "content": {
                "application/octet-stream": {"schema": BINARY},
                "application/json": {"schema": file_schemas.Checkpoint.model_json_schema()},
            },
            "description": "The checkpoint; or as JSON where its worker keeps it.",
        },
        **documented(404, 416, 422, 503),
    },
)
def get_checkpoint(
    caller: Reader,
    run: RunOfPath,
    request: Request,
    database: DatabaseOfApp,
    store: StoreOfApp,
) -> Response:
    """What an attempt before saved; else the checkpoint of the run that this one continues. 404 where there is none.

    The header `Assay-Checkpoint-Step` has the step after which it was saved, if that is known.
    """
    with database.session(write=False) as session:
        study, row = Attempts(session, caller.project_id).run(run.study_id, run.number)
        found = checkpoint_to_continue(session, row)
        if found is None:
            raise NotFound(f"run {run.number} begins at the beginning: there is no checkpoint to continue from")
        reference, step = found
        artifact = Artifacts(session).checkpoint(study.id, reference)
    if artifact is None:
        if reference.startswith(UPLOADED):
            raise NotFound(f"the checkpoint of run {run.number} is gone")
        return JSONResponse({"checkpoint": reference, "step": step})
    answer = _content(request, store, artifact)
    if step is not None:
        answer.headers["Assay-Checkpoint-Step"] = f"{step:.17g}"
    return answer


async def _take(
    request: Request,
    caller: Caller,
    database: Database,
    store: Store,
    address: RunAddress,
    token: str,
    name: str,
    kind: ArtifactKind,
    step: float | None = None,
) -> models.Artifact:
    """Takes a file of an attempt. Whether the token counts is looked at before anything is read, and at the end."""
    most: int = request.app.state.settings.max_upload_bytes
    attempt, left = await run_in_threadpool(_room, database, caller, address, token, name, most)
    async with received(request, store, left) as file:
        if kind is ArtifactKind.CHECKPOINT and file.bytes == 0:  # nothing could be continued from it
            raise Refused(MALFORMED, "the body is empty; send the checkpoint, or JSON that says where it is")
        row = _row(address, attempt, name, kind, request.headers.get("content-type"), file)
        transfers: CapacityLimiter = request.app.state.transfers
        await anyio.to_thread.run_sync(store.put, file.path, row.path, limiter=transfers)
    await run_in_threadpool(_store, database, store, caller, row, token, most, step)
    return row


def _row(
    address: RunAddress, attempt: int, name: str, kind: ArtifactKind, media_type: str | None, file: Incoming
) -> models.Artifact:
    given = media_type if media_type and len(media_type) <= 128 and media_type.isprintable() else None
    if given is None or given.startswith(("application/octet-stream", "application/x-www-form-urlencoded")):
        given = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return models.Artifact(
        study_id=address.study_id,
        run=address.number,
        attempt=attempt,
        kind=kind.value,
        name=name,
        media_type=given,
        bytes=file.bytes,
        sha256=file.sha256,
        path=keys.new_artifact(address.study_id, address.number, attempt),
    )


def _room(database: Database, caller: Caller, address: RunAddress, token: str, name: str, most: int) -> tuple[int, int]:
    """The attempt's number, and how many bytes it may still leave under this name. Raises NotFound or StaleToken."""
    with database.session(write=False) as session:
        held = Attempts(session, caller.project_id).held(address.study_id, address.number, token)
        return held.attempt.number, max(0, most - Artifacts(session).bytes_of(held.attempt, name))


def _store(
    database: Database,
    store: Store,
    caller: Caller,
    row: models.Artifact,
    token: str,
    most: int,
    step: float | None,
) -> None:
    try:
        with database.session() as session:
            held = Attempts(session, caller.project_id).held(row.study_id, row.run, token, lock=True)
            artifacts = Artifacts(session)
            if artifacts.bytes_of(held.attempt, row.name) + row.bytes > most:  # others came meanwhile
                raise Refused(TOO_LARGE, f"the files of one attempt may have {most} bytes together")
            gone = artifacts.add(row)
            if row.kind == ArtifactKind.CHECKPOINT:
                gone += _save(session, held, UPLOADED + row.path, step)
            held.renew()
    except (NotFound, StaleToken, Refused):  # whatever else it was, it may have been stored all the same
        remove(store, [row.path])
        raise
    remove(store, gone)


def _note_elsewhere(
    database: Database, store: Store, caller: Caller, address: RunAddress, said: CheckpointElsewhere
) -> None:
    with database.session() as session:
        held = Attempts(session, caller.project_id).held(address.study_id, address.number, said.token, lock=True)
        gone = _save(session, held, said.uri, said.step)
        held.renew()
    remove(store, gone)


def _save(session: Session, held: Held, reference: str, step: float | None) -> list[str]:
    """The checkpoint takes the place of the one before, whose file is to go once this is committed."""
    before = held.attempt.checkpoint
    held.attempt.checkpoint, held.attempt.checkpoint_step = reference, step
    return Artifacts(session).drop_checkpoint(held.study.id, before) if before else []


def _elsewhere(payload: object) -> CheckpointElsewhere:
    try:
        return CheckpointElsewhere.model_validate(payload)
    except ValidationError as error:
        raise InvalidInput(problems_of(error.errors(), CheckpointElsewhere)) from error


def _content(request: Request, store: Store, row: models.Artifact) -> Response:
    return content(
        request,
        store,
        row.path,
        size=row.bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        filename=row.name,
    )
