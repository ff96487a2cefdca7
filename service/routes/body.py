"""Request bodies, read strictly: what could be understood in two ways, or not be stored, is refused.

JSON as RFC 8259 has it (UTF-8, no NaN, no name twice in an object), of a bounded size and depth, with numbers that fit
64 bits and texts that every database can keep.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from email.message import Message
from itertools import islice
from math import inf, isfinite
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope

from service.explain import MOST_PROBLEMS
from service.problems import MALFORMED, MEDIA_TYPE_WRONG, TOO_LARGE, Refused
from spaces.errors import InvalidInput, Path, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_INTEGER = 2**63 - 1

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE_WORDS = "what no database can keep: the character NUL, or half of a surrogate pair"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictJsonRoute(APIRoute):
    """A route whose body, if it has one, is read by `decode`."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_strictly(request: Request) -> Response:
            content = await _read(request)
            payload = await run_in_threadpool(decode, content)
            # A page in a browser can send JSON under another name to any address, but not under its own.
            if not _is_json(request.headers.get("content-type", "")):
                raise Refused(MEDIA_TYPE_WRONG, "send the header Content-Type: application/json")
            return await handle(_Decoded(request.scope, request.receive, content, payload))

        return handle_strictly


class _Decoded(Request):
    """A request whose body has been read."""

    def __init__(self, scope: Scope, receive: Receive, content: bytes, payload: object) -> None:
        super().__init__(scope, receive)
        self._content = content
        self._payload = payload

    async def body(self) -> bytes:
        return self._content

    async def json(self) -> Any:
        return self._payload


def decode(content: bytes) -> Any:
    """The JSON in a body. Raises Refused when it is none, InvalidInput for values that cannot be taken."""
    if not content.strip():
        raise Refused(MALFORMED, "the body is empty; send a JSON object")
    try:
        payload = json.loads(
            content.decode("utf-8-sig"),
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise Refused(MALFORMED, f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refused(MALFORMED, f"the body is not JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise _too_deep() from error
    if problems := list(islice(_unacceptable(payload, ()), MOST_PROBLEMS)):
        raise InvalidInput(problems)
    return payload


class _Ambiguous(dict[str, Any]):
    """An object in which names occur more than once."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    ambiguous = _Ambiguous(found)
    ambiguous.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return ambiguous


def _integer(text: str) -> int | float:
    # Python refuses to read integers of thousands of digits; all that do not fit are reported by their path.
    return int(text) if len(text) <= 20 else inf


def _constant(name: str) -> float:
    raise Refused(MALFORMED, f"the body is not JSON: {name} is not a JSON value")


def _unacceptable(value: object, path: Path) -> Iterator[Problem]:
    """What is valid JSON but cannot be taken. Raises Refused for too deep a nesting."""
    if len(path) > MAX_DEPTH:
        raise _too_deep()
    match value:
        case dict():
            if isinstance(value, _Ambiguous):
                yield from (Problem((*path, name), "appears more than once in its object") for name in value.repeated)
            for name, item in value.items():
                if _UNSTORABLE.search(name):
                    yield Problem((*path, name), f"the name contains {_UNSTORABLE_WORDS}")
                yield from _unacceptable(item, (*path, name))
        case list():
            for index, item in enumerate(value):
                yield from _unacceptable(item, (*path, index))
        case str() if _UNSTORABLE.search(value):
            yield Problem(path, f"the text contains {_UNSTORABLE_WORDS}")
        case int() | float() if not abs(value) <= MAX_INTEGER and not (isinstance(value, float) and isfinite(value)):
            yield Problem(path, f"the number is too large; integers go up to {MAX_INTEGER}")


def _too_deep() -> Refused:
    return Refused(MALFORMED, f"the body is nested too deeply; {MAX_DEPTH} levels are enough")


async def _read(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise Refused(TOO_LARGE, f"the body is larger than {MAX_BYTES} bytes")
    return bytes(content)


def _is_json(content_type: str) -> bool:
    header = Message()
    header["content-type"] = content_type
    subtype = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
