"""Everything that goes wrong, as `application/problem+json` (RFC 9457).

Errors are raised where they are found, as what they are (`InvalidInput`, `NotFound`, `NotAllowed`, ...); here stands
the one table of what each becomes on the wire. `install` is called once per app.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.database import DatabaseError
from service.explain import MOST_PROBLEMS, problems_of
from service.repositories.attempts import StaleToken
from service.repositories.errors import NameTaken, NotEmpty, NotFound, QuotaUsedUp
from service.states import NotAllowed
from service.store import StorageError
from spaces.errors import InvalidInput
from spaces.errors import Problem as Finding

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
LONGEST_MESSAGE = 1000


class FieldProblem(BaseModel):
    """One thing that is wrong with the input, and where."""

    path: str = Field(description="Where, as people write it.", examples=["space.parameters[1].low"])
    pointer: str = Field(description="Where, as a JSON Pointer (RFC 6901).", examples=["/space/parameters/1/low"])
    message: str = Field(description="What is wrong and what to do.", examples=["a log scale needs low > 0, got 0.0"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Names the kind of problem, for programs.", examples=["urn:assay:invalid-input"])
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What went wrong this time.")
    errors: list[FieldProblem] = Field(description="What is wrong with the input, place by place.")


@dataclass(frozen=True, slots=True)
class Kind:
    type: str
    status: int
    title: str


MALFORMED = Kind("urn:assay:malformed-body", 400, "The body cannot be read")
UNAUTHORIZED = Kind("urn:assay:unauthorized", 401, "A token is needed")
FORBIDDEN = Kind("urn:assay:forbidden", 403, "The token does not allow this")
FOREIGN = Kind("urn:assay:foreign-origin", 403, "The request comes from another site")
NOT_FOUND = Kind("urn:assay:not-found", 404, "Not found")
NAME_TAKEN = Kind("urn:assay:name-taken", 409, "The name is taken")
QUOTA = Kind("urn:assay:quota", 409, "The project's quota is used up")
NOT_EMPTY = Kind("urn:assay:not-empty", 409, "It still owns something")
KEY_REUSED = Kind("urn:assay:idempotency-key-reused", 409, "The key was used for another request")
NOT_ALLOWED = Kind("urn:assay:not-allowed", 409, "The study's state does not allow this")
STALE = Kind("urn:assay:stale-attempt", 409, "The attempt has been given up")
IN_USE = Kind("urn:assay:in-use", 409, "It is in use")
TOO_LARGE = Kind("urn:assay:too-large", 413, "The body is too large")
MISDIRECTED = Kind("urn:assay:misdirected", 421, "The service has another name")
MEDIA_TYPE_WRONG = Kind("urn:assay:media-type", 415, "The body is not declared as JSON")
RANGE = Kind("urn:assay:range", 416, "There is no such range")
INVALID = Kind("urn:assay:invalid-input", 422, "The input is not valid")
TOO_MANY = Kind("urn:assay:too-many-requests", 429, "Too many requests")
FAULT = Kind("urn:assay:internal-error", 500, "The service failed")
UNAVAILABLE = Kind("urn:assay:unavailable", 503, "The service is not ready")
BUSY = Kind("urn:assay:busy", 503, "The service has too much to do")


class Refused(Exception):
    """A request that cannot be served, for a reason that only HTTP knows."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        findings: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
        extension: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.findings = findings
        self.headers = headers
        self.extension = extension


def respond(
    kind: Kind,
    detail: str,
    findings: Sequence[Finding] = (),
    headers: Mapping[str, str] | None = None,
    extension: Mapping[str, Any] | None = None,
) -> Response:
    """The problem document as a response; `extension` are further members of it."""
    problem = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=_short(detail),
        errors=[
            FieldProblem(path=_short(found.location), pointer=_short(found.pointer), message=_short(found.message))
            for found in findings[:MOST_PROBLEMS]
        ],
    )
    # In ASCII, because a problem may quote what no encoding can carry, such as half of a surrogate pair.
    return Response(
        json.dumps({**problem.model_dump(), **(extension or {})}),
        status_code=kind.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its OpenAPI description."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def incident(what: str) -> str:
    """Logs a fault of the service, and answers what to tell of it."""
    number = uuid.uuid4().hex[:8]
    log.error("incident %s: %s", number, what)
    return f"this is a fault of the service; its log has the details under incident {number}"


def install(app: FastAPI) -> None:
    """Makes every error of this app a problem document."""
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)


async def _refused(request: Request, error: Any) -> Response:
    return respond(error.kind, error.detail, error.findings, error.headers, error.extension)


async def _invalid(request: Request, error: Any) -> Response:
    return respond(INVALID, _summary(error.problems), error.problems)


async def _misshapen(request: Request, error: Any) -> Response:
    field = getattr(request.scope.get("route"), "body_field", None)
    found = problems_of(error.errors(), field.field_info.annotation if field else None, root=1)
    return respond(INVALID, _summary(found), found)


async def _not_found(request: Request, error: Any) -> Response:
    return respond(NOT_FOUND, str(error))


async def _name_taken(request: Request, error: Any) -> Response:
    return respond(NAME_TAKEN, str(error), [Finding(("name",), f"is taken by another {error.kind}")])


async def _not_empty(request: Request, error: Any) -> Response:
    return respond(NOT_EMPTY, str(error))


async def _quota_used_up(request: Request, error: Any) -> Response:
    return respond(QUOTA, str(error))


async def _not_allowed(request: Request, error: Any) -> Response:
    return respond(NOT_ALLOWED, str(error))


async def _stale(request: Request, error: Any) -> Response:
    return respond(STALE, str(error), extension={"current": error.current})


async def _unavailable(request: Request, error: Any) -> Response:
    return respond(UNAVAILABLE, str(error), headers={"Retry-After": "1"})


async def _http(request: Request, error: Any) -> Response:
    """What the framework itself refuses: unknown routes, wrong methods."""
    status, headers = HTTPStatus(error.status_code), error.headers
    detail = str(error.detail)
    if status is HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path}; the routes are listed at /docs"
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not allowed at {request.url.path}"
        if allowed := _methods_at(request):  # nothing is found of what is behind a mount, which says it itself
            headers = {"Allow": ", ".join(allowed)}
    return respond(Kind("about:blank", status, status.phrase), detail, headers=headers)


def _methods_at(request: Request) -> list[str]:
    """What a resource can be asked for by all routes together; the framework tells only those of the first one."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _fault(request: Request, error: Any) -> Response:
    # The server logs the traceback: Starlette raises the error again after this answer.
    what = f"{request.method} {request.url.path} failed with {type(error).__name__}"
    return respond(FAULT, incident(what))


_HANDLERS = {
    Refused: _refused,
    InvalidInput: _invalid,
    RequestValidationError: _misshapen,
    NotFound: _not_found,
    NameTaken: _name_taken,
    NotEmpty: _not_empty,
    QuotaUsedUp: _quota_used_up,
    NotAllowed: _not_allowed,
    StaleToken: _stale,
    DatabaseError: _unavailable,
    StorageError: _unavailable,
    HTTPException: _http,
    Exception: _fault,
}


def _summary(found: Sequence[Finding]) -> str:
    return str(found[0]) if len(found) == 1 else f"{len(found)} problems, the first: {found[0]}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "..."
