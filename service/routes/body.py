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
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope

from service.auth.callers import Requires
from service.explain import MOST_PROBLEMS
from service.problems import MALFORMED, MEDIA_TYPE_WRONG, TOO_LARGE, Refused
from spaces.errors import InvalidInput, Path, Problem

MAX_DEPTH = 64
SMALL = 16 * 1024
MAX_INTEGER = 2**63 - 1

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNSTORABLE_WORDS = "what no database can keep: the character NUL, or half of a surrogate pair"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictJsonRoute(APIRoute):
    """A route whose body, if it has one, is read by `decode`."""

    def get_route_handler(self) -> Handler:
        handle = self.decoded_handler()
        if self.body_field is None:
            return handle
        guards = [part.call for part in self.dependant.dependencies if isinstance(part.call, Requires)]
        assert guards, f"the route {self.name} says nothing of who may call it"

        async def handle_strictly(request: Request) -> Response:
            for guard in guards:  # nothing is read for who may not
                guard.check(request)
            content = await content_of(request)
            # To go to another thread and back takes longer than to read a small body.
            payload = decode(content) if len(content) <= SMALL else await run_in_threadpool(decode, content)
            # A page in a browser can send JSON under another name to any address, but not under its own.
            if not _is_json(request.headers.get("content-type", "")):
                raise Refused(MEDIA_TYPE_WRONG, "send the header Content-Type: application/json")
            return await handle(_Decoded(request.scope, request.receive, content, payload))

        return handle_strictly

    def decoded_handler(self) -> Handler:
        """Handles a request whose body has been decoded."""
        return super().get_route_handler()


class LeanRoute(StrictJsonRoute):
    """A route that is called so often that it does by itself what the framework takes long for.

    Its function is a coroutine, which has a body and answers a model, and sets neither headers nor the status; it takes
    what comes in the path, in headers or with the request, by dependencies that are coroutines as well. What is wrong
    with a request is left to the framework to find and to tell.
    """

    def decoded_handler(self) -> Handler:
        handle, call, body = super().decoded_handler(), self.endpoint, self.body_field
        assert body is not None
        (taken,) = self.dependant.body_params

        async def handle_quickly(request: Request) -> Response:
            value, wrong = body.validate(await request.json(), {}, loc=("body",))
            arguments = None if wrong else await _arguments(self.dependant, request)
            if arguments is None:
                return await handle(request)
            answer: BaseModel = await call(**arguments, **{taken.name: value})
            return Response(answer.model_dump_json(by_alias=True), media_type="application/json")

        return handle_quickly


async def _arguments(dependant: Dependant, request: Request) -> dict[str, Any] | None:
    """What a function or a dependency takes of a request, but for the body; None if anything is not as it should be."""
    assert not dependant.query_params, "a lean route takes none"
    assert not dependant.cookie_params, "a lean route takes none"
    found: dict[str, Any] = {}
    for source, fields in ((request.path_params, dependant.path_params), (request.headers, dependant.header_params)):
        for field in fields:
            given = source.get(field.alias)
            if given is None and not field.field_info.is_required():
                found[field.name] = field.get_default()
                continue
            found[field.name], wrong = field.validate(given, found, loc=())
            if wrong:
                return None
    if dependant.request_param_name is not None:
        found[dependant.request_param_name] = request
    for part in dependant.dependencies:
        arguments = await _arguments(part, request)
        if arguments is None:
            return None
        assert part.name
        assert part.call
        found[part.name] = await part.call(**arguments)
    return found


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
        case int() if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            yield Problem(path, f"the number is too large; integers go up to {MAX_INTEGER}")
        case float() if not isfinite(value):
            yield Problem(path, f"the number is too large; integers go up to {MAX_INTEGER}")


def _too_deep() -> Refused:
    return Refused(MALFORMED, f"the body is nested too deeply; {MAX_DEPTH} levels are enough")


async def content_of(request: Request) -> bytes:
    """The whole body. Raises Refused for one that is too large, before it is read if it says so itself."""
    if isinstance(request, _Decoded):
        return await request.body()
    most: int = request.app.state.settings.max_body_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise _too_large(most)
    return bytes(content)


def _too_large(most: int) -> Refused:
    return Refused(TOO_LARGE, f"the body is larger than {most} bytes")


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":  # as nearly everybody says it
        return True
    header = Message()
    header["content-type"] = content_type
    subtype = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
