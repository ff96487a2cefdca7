"""Files as bodies: taken in piece by piece, onto the disk, and handed out the same way.

A file that is handed out cannot do anything in a browser: it is not shown but saved (pictures excepted), and has no
rights where it is opened.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from service.problems import MALFORMED, MEDIA_TYPE_WRONG, RANGE, TOO_LARGE, Refused
from service.repositories.errors import NotFound
from service.store import Incoming, Missing, StorageError, Store, TooLarge
from spaces.errors import InvalidInput

log = logging.getLogger(__name__)

PIECE_BYTES = 1024**2
TRANSFERS = 8
"""So many files are moved into the store at the same time; that may take long where it is far away."""

SHOWN = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


StoreOfApp = Annotated[Store, Depends(_store)]


@asynccontextmanager
async def received(request: Request, store: Store, limit: int) -> AsyncIterator[Incoming]:
    """The body as a file on the disk, checked against what the headers say of it.

    Raises Refused for a body that is too large (before anything is read, if it says so), and InvalidInput for another
    checksum than its own.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(MEDIA_TYPE_WRONG, "send the file as it is, without Content-Encoding")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    expected = _declared_digest(request)
    with await run_in_threadpool(store.incoming, limit) as file:
        try:
            await _take_in(request, file)
        except TooLarge as error:
            raise _too_large(limit) from error
        except ClientDisconnect as error:
            raise Refused(MALFORMED, "the body ended before all of it had come") from error
        if expected is not None and file.sha256 != expected[1]:
            raise InvalidInput.at((expected[0],), f"what came has the SHA-256 {file.sha256}, not {expected[1]}")
        yield file


async def _take_in(request: Request, file: Incoming) -> None:
    waiting = bytearray()
    async for chunk in request.stream():
        waiting += chunk
        if len(waiting) >= PIECE_BYTES:
            await run_in_threadpool(file.write, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(file.write, bytes(waiting))
    await run_in_threadpool(file.finish)


def _too_large(limit: int) -> Refused:
    return Refused(TOO_LARGE, f"the file is too large: {limit} bytes may come")


def _declared_digest(request: Request) -> tuple[str, str] | None:
    """The header that says the SHA-256 of the body, and what it says, in hex: Content-Digest as in RFC 9530."""
    given = request.headers.get("x-checksum-sha256")
    if given is not None:
        if not re.fullmatch("[0-9a-fA-F]{64}", given.strip()):
            raise InvalidInput.at(("X-Checksum-Sha256",), "must be a SHA-256 in hex: 64 digits")
        return "X-Checksum-Sha256", given.strip().lower()
    found = re.search(r"(?:^|[,\s])sha-256=:([^:]*):", request.headers.get("content-digest", ""))
    if found is None:
        return None  # other algorithms are not looked at
    try:
        digest = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidInput.at(("Content-Digest",), "must be sha-256=:...: with the SHA-256 in base64")
    return "Content-Digest", digest.hex()


def content(
    request: Request, store: Store, key: str, *, size: int, sha256: str, media_type: str, filename: str
) -> Response:
    """A file of the store as the answer: all of it, or the range that was asked for. Raises NotFound, Refused."""
    tag = f'"{sha256}"'
    shown = media_type.partition(";")[0].strip().lower() in SHOWN
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(filename, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
    }
    if _is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    begin, end = 0, size
    part = _range(request, tag, size)
    if part is not None:
        begin, end = part
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - begin)
    try:
        chunks = store.read(key, begin, end)
    except Missing as error:
        raise NotFound(f"{filename} is gone from the store") from error
    return StreamingResponse(chunks, 206 if part else 200, headers, media_type)


def remove(store: Store, gone: Iterable[str]) -> None:
    """Removes files whose rows are gone. What cannot be removed now is garbage, which is collected later."""
    for key in gone:
        try:
            store.delete(key)
        except StorageError as error:
            log.warning("%s stays in the store for now: %s", key, error)


def _is_known(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in header.split(",")]


def _range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The one range that was asked for, from begin to before end; several at once are answered with all of it."""
    header = request.headers.get("range", "")
    found = re.fullmatch(r"bytes=(\d{0,19})-(\d{0,19})", header.replace(" ", ""))
    if found is None or (not found[1] and not found[2]):
        return None
    if request.headers.get("if-range", tag) != tag:
        return None  # it is another file by now
    if not found[1]:
        begin, end = max(0, size - int(found[2])), size
    else:
        begin, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < int(found[1]):
            return None
    if begin >= end:
        raise Refused(RANGE, f"the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return begin, end
