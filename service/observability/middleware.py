"""Around every request: its id, its numbers, its line in the log and, where traces are on, its span.

Pure ASGI and outermost, because it is on the path of hundreds of requests a second: a request costs some ten
microseconds. `X-Request-ID` of the client is taken over if it is one, else made; the answer carries it.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability.context import bind, unbind
from service.observability.telemetry import Telemetry
from service.observability.traces import Span
from service.settings import Settings

access = logging.getLogger("service.access")

HEADER = b"x-request-id"
UNMATCHED = "unmatched"
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_STREAM = b"text/event-stream"


def observed(app: ASGIApp, telemetry: Telemetry, settings: Settings, prefix: str) -> Observed:
    """The application, observed as the settings say; most of its routes are below `prefix`."""
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "off": None}
    return Observed(app, telemetry, prefix, levels[settings.access_log])


class Observed:
    """ASGI middleware. `level` is that of the access log; None for none."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, prefix: str = "", level: int | None = logging.DEBUG) -> None:
        self.app = app
        self.prefix = prefix
        self.telemetry = telemetry
        self.level = level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.telemetry.traces.enabled and scope["path"] not in UNTRACED:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            with self.telemetry.traces.request(scope["method"], headers) as span:
                await self._observe(scope, receive, send, span)
        else:
            await self._observe(scope, receive, send, None)

    async def _observe(self, scope: Scope, receive: Receive, send: Send, span: Span | None) -> None:
        request_id = _request_id(scope)
        answered = _Answered(send, request_id)
        metrics = self.telemetry.metrics
        token = bind({"request_id": request_id.decode(), "trace_id": span.trace_id if span else None})
        metrics.request_began()
        began = time.perf_counter()
        try:
            await self.app(scope, receive, answered)
        finally:
            seconds = (answered.streaming_at or time.perf_counter()) - began
            route, status = template(scope, self.prefix), answered.status
            metrics.request_ended()
            metrics.requested(scope["method"], route, status, seconds)
            if self.level is not None and access.isEnabledFor(self.level):
                self._log(scope, route, status, seconds)
            if span:
                _describe(span, scope, route, status)
            unbind(token)

    def _log(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        fields: dict[str, Any] = {"method": scope["method"], "route": route, "status": status}
        fields["seconds"] = round(seconds, 6)
        if client := scope.get("client"):
            fields["client"] = client[0]
        if study := _study(scope):
            fields["study"] = study
        assert self.level is not None
        access.log(self.level, "answered", extra={"fields": fields})


class _Answered:
    """Passes the answer on with the request's id. Keeps its status, and in `streaming_at` when a stream began."""

    __slots__ = ("_id", "_send", "status", "streaming_at")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._id = request_id
        self.status = 499  # the client was gone before there was an answer
        self.streaming_at: float | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (HEADER, self._id)]
            if any(name == b"content-type" and value.startswith(_STREAM) for name, value in headers):
                self.streaming_at = time.perf_counter()
            message = {**message, "headers": headers}
        await self._send(message)


def template(scope: Mapping[str, Any], prefix: str) -> str:
    """The route's path with its parameters as names; paths as they are would be labels without end."""
    route = scope.get("route")
    if route is not None:
        path: str = route.path
        # A route does not know the prefix of the router that it is included in, or does, by the version of FastAPI.
        below = scope["path"].startswith(f"{prefix}/") and not path.startswith(f"{prefix}/")
        return prefix + path if below else path
    # A mounted application (the static files) leaves only where it is mounted.
    mount: str = scope.get("root_path", "").removeprefix(scope.get("app_root_path", ""))
    return mount or UNMATCHED


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == HEADER and _ID.fullmatch(value):
            given: bytes = value
            return given
    return uuid.uuid4().hex.encode()


def _study(scope: Mapping[str, Any]) -> str | None:
    route = scope.get("route")
    if route is None or "/studies/{name}" not in route.path:
        return None
    name: str | None = scope.get("path_params", {}).get("name")
    return name


def _describe(span: Span, scope: Scope, route: str, status: int) -> None:
    span.rename(f"{scope['method']} {route}")
    span.set(**{"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status})
    if study := _study(scope):
        span.set(**{"assay.study": study})
    if status >= 500:
        span.failed(f"answered {status}")
