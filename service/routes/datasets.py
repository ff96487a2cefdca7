"""Datasets: those that come with the service, and those that people upload."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service.auth.audit import audit
from service.auth.callers import Caller, Reader, Writer
from service.database import Database
from service.datasets.inspection import inspected
from service.datasets.schema import Malformed
from service.datasets.uploads import Stored, Upload, check_name, check_target, check_unused, store_dataset
from service.file_schemas import BuiltinDataset, Dataset, DatasetFormat, DatasetPage, UploadedDataset, uploaded
from service.problems import NOT_ALLOWED, Refused, documented
from service.repositories.datasets import Datasets
from service.repositories.errors import NotFound
from service.routes.parameters import After, DatabaseOfApp, Limit, cut
from service.routes.uploads import BINARY, StoreOfApp, content, received, remove
from service.store import Store, keys
from service.study_parts import NAME_PATTERN
from spaces.errors import InvalidInput
from workers.catalogue import DATASETS as BUILTIN

router = APIRouter(prefix="/datasets", tags=["datasets"])

INSPECTIONS = 2
"""So many uploads are looked into at the same time; others wait."""

DatasetName = Annotated[str, Path(description="The dataset's name.", examples=["iris"], pattern=NAME_PATTERN)]
NewName = Annotated[str, Query(description="The name that studies use.", examples=["iris"], pattern=NAME_PATTERN)]
Target = Annotated[str | None, Query(description="The column that is to be predicted.", max_length=256)]
Replace = Annotated[bool, Query(description="Take the place of the dataset that has the name, if no study uses it.")]
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet", "npz": "application/zip"}
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is: no form, no encoding.",
        "content": {"application/octet-stream": {"schema": BINARY}},
    },
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "required": False,
            "description": "`sha-256=:...:` (RFC 9530): refuses what does not arrive as it was sent.",
            "schema": {"type": "string"},
        }
    ],
}


@router.post(
    "",
    status_code=201,
    summary="Upload a dataset",
    openapi_extra=FILE,
    responses={
        200: {"model": UploadedDataset, "description": "The same is stored already, or took the place of another."},
        **documented(400, 409, 413, 415, 422, 503),
    },
)
async def upload_dataset(
    request: Request,
    response: Response,
    caller: Writer,
    database: DatabaseOfApp,
    store: StoreOfApp,
    name: NewName,
    format: Annotated[DatasetFormat, Query(description="What the file is.")],  # noqa: A002  # a word of the wire
    target: Target = None,
    replace: Replace = False,
) -> UploadedDataset:
    """The file is the body. It is read once as a whole to see what is in it; when anything is wrong, nothing is stored.

    The same file under the same name again is no error. Nothing of it is ever executed: no pickles.
    """
    check_name(name)
    async with received(request, store, request.app.state.settings.max_upload_bytes) as file:
        limiter: CapacityLimiter = request.app.state.inspections
        try:
            schema = await anyio.to_thread.run_sync(inspected, file.path, format.value, limiter=limiter)
        except Malformed as error:
            raise InvalidInput.at((), f"the file is not {format.value}: {error}") from error
        check_target(target, schema)
        key = keys.new_dataset(caller.project_id, format.value)
        upload = Upload(name, format.value, file.bytes, file.sha256, schema, target, key, caller.actor)
        transfers: CapacityLimiter = request.app.state.transfers
        await anyio.to_thread.run_sync(store.put, file.path, key, limiter=transfers)
    stored = await run_in_threadpool(_store, database, store, caller, upload, replace=replace)
    response.status_code = 201 if stored.created else 200
    response.headers["Location"] = request.url_for("get_dataset", name=name).path
    return uploaded(stored.row)


@router.get("", summary="List the datasets", responses=documented(422))
def list_datasets(caller: Reader, database: DatabaseOfApp, limit: Limit = 100, after: After = None) -> DatasetPage:
    """Those that come with the service first, then those that were uploaded, in the order in which they came."""
    with database.session(write=False) as session:
        rows, next_ = cut(Datasets(session, caller.project_id).page(limit + 1, after), limit, lambda row: row.id)
    items: list[Dataset] = [BuiltinDataset(**row.to_json()) for row in BUILTIN.values()] if after is None else []
    return DatasetPage(items=[*items, *map(uploaded, rows)], next=next_)


@router.get("/{name}", summary="Look at a dataset", responses=documented(404, 422))
def get_dataset(name: DatasetName, caller: Reader, database: DatabaseOfApp) -> Dataset:
    if name in BUILTIN:
        return BuiltinDataset(**BUILTIN[name].to_json())
    with database.session(write=False) as session:
        return uploaded(Datasets(session, caller.project_id).get(name))


@router.get(
    "/{name}/content",
    summary="Download a dataset",
    response_class=Response,
    responses={
        200: {
            "content": {type_.partition(";")[0]: {"schema": BINARY} for type_ in MEDIA_TYPES.values()},
            "description": "The file as it came.",
        },
        206: {"description": "The range that was asked for."},
        304: {"description": "The file is the one that the caller has."},
        **documented(404, 416, 422, 503),
    },
)
def download_dataset(
    name: DatasetName, request: Request, caller: Reader, database: DatabaseOfApp, store: StoreOfApp
) -> Response:
    """Ranges can be asked for; the ETag is the file's SHA-256."""
    if name in BUILTIN:
        raise NotFound(f"{name!r} comes with the service, and is no file")
    with database.session(write=False) as session:
        row = Datasets(session, caller.project_id).get(name)
    return content(
        request,
        store,
        row.path,
        size=row.bytes,
        sha256=row.sha256,
        media_type=MEDIA_TYPES[row.format],
        filename=f"{row.name}.{row.format}",
    )


@router.delete("/{name}", status_code=204, summary="Delete a dataset", responses=documented(404, 409, 422))
def delete_dataset(name: DatasetName, caller: Writer, database: DatabaseOfApp, store: StoreOfApp) -> None:
    """Not while an unfinished study uses it."""
    if name in BUILTIN:
        raise Refused(NOT_ALLOWED, f"{name!r} comes with the service")
    with database.session() as session:
        datasets = Datasets(session, caller.project_id)
        row = datasets.get(name, lock=True)
        check_unused(datasets, name)
        session.delete(row)
        audit(session, caller, "dataset.delete", name, {"sha256": row.sha256})
    remove(store, [row.path])


def _store(database: Database, store: Store, caller: Caller, upload: Upload, *, replace: bool) -> Stored:
    try:
        with database.session() as session:
            stored = store_dataset(session, caller.project_id, upload, replace=replace)
            session.flush()
            if upload.key not in stored.gone:
                action = "dataset.create" if stored.created else "dataset.replace"
                audit(session, caller, action, upload.name, {"sha256": upload.sha256, "bytes": upload.bytes})
    except Refused:  # whatever else it was, it may have been stored all the same
        remove(store, [upload.key])
        raise
    remove(store, stored.gone)
    return stored
