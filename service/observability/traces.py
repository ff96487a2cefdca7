"""Spans of what takes time: requests, asks, transactions of the dispatcher, attempts on the pool.

`Traces` is the interface and at once what is used when nothing is configured: it does nothing. The real one is in
`service.observability.opentelemetry_traces`, the only module that imports the OpenTelemetry SDK.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

Attribute = str | int | float | bool


class NoSpan:
    """A span that nobody sees."""

    trace_id: str | None = None

    def set(self, **attributes: Attribute) -> None:
        """Adds to what is known of the span."""

    def rename(self, name: str) -> None:
        """What a request was for is known only when it has been routed."""

    def failed(self, what: str) -> None:
        """Marks the span as one that went wrong."""


Span = NoSpan
_NO_SPAN: AbstractContextManager[Span] = nullcontext(NoSpan())


class Traces:
    """Traces that go nowhere."""

    enabled = False

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """A span around the block, below the one that is current; one that an exception leaves has failed."""
        return _NO_SPAN

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """The span of a request, below the one that the client names in its headers (W3C Trace Context)."""
        return _NO_SPAN

    def begin(self, key: str, name: str, **attributes: Attribute) -> None:
        """Begins a span that outlives the call: that of an attempt, by its key."""

    def end(self, key: str, state: str) -> None:
        """Ends it. Unknown keys are ignored."""

    def shutdown(self) -> None:
        """Sends what has not been sent yet."""


class TracesUnavailable(RuntimeError):
    """Traces are configured, but what sends them is not installed; the message says what to do."""


def endpoint(configured: str | None) -> str | None:
    """Where traces go, in full; None for nowhere. The standard variables count when nothing is `configured`."""
    if configured is None and (full := os.environ.get(ENDPOINT_VARIABLES[0])):
        return full
    base = configured or os.environ.get(ENDPOINT_VARIABLES[1])
    return f"{base.rstrip('/')}/v1/traces" if base else None


def configure(configured: str | None, role: str) -> Traces:
    """The traces of this process. Raises TracesUnavailable."""
    address = endpoint(configured)
    if address is None:
        return Traces()
    try:
        from service.observability.opentelemetry_traces import OpenTelemetryTraces
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise TracesUnavailable(
            f"traces are to go to {address}, but OpenTelemetry is not installed ({error.name} is missing): "
            "pip install --constraint constraints.txt '.[otel]', or unset ASSAY_OTEL_ENDPOINT and "
            f"{' and '.join(ENDPOINT_VARIABLES)}"
        ) from error
    return OpenTelemetryTraces(address, role)
