"""Traces through the OpenTelemetry SDK, sent to a collector (OTLP over HTTP) by a thread of its own.

The provider is this object's own, so nothing that others do with OpenTelemetry in the same process changes it. Headers,
compression and sampling are set by the standard variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, ...).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.observability.traces import Attribute, NoSpan, Span, Traces

SEND_SECONDS = 5  # how long the end of the process may wait for a collector that does not answer


class _Span(NoSpan):
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.trace_id = trace.format_trace_id(span.get_span_context().trace_id)

    def set(self, **attributes: Attribute) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def failed(self, what: str) -> None:
        self._span.set_status(StatusCode.ERROR, what)


class OpenTelemetryTraces(Traces):
    enabled = True

    def __init__(self, endpoint: str, role: str, exporter: SpanExporter | None = None) -> None:
        resource = Resource.create({"service.name": "assay", "service.version": version("assay"), "assay.role": role})
        self._provider = TracerProvider(resource=resource)
        self._processor = BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS))
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("assay")
        self._propagator = TraceContextTextMapPropagator()
        self._open: dict[str, trace.Span] = {}

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        return self._current(name, None, SpanKind.INTERNAL, attributes)

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        parent = self._propagator.extract(headers, context=Context())
        return self._current(name, parent, SpanKind.SERVER, {})

    def begin(self, key: str, name: str, **attributes: Attribute) -> None:
        self._open[key] = self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)

    def end(self, key: str, state: str) -> None:
        if span := self._open.pop(key, None):
            span.set_attribute("assay.state", state)
            span.end()

    def shutdown(self) -> None:
        for key in list(self._open):
            self.end(key, "given up")
        self._processor.force_flush(SEND_SECONDS * 1000)
        self._provider.shutdown()

    @contextmanager
    def _current(
        self, name: str, parent: Context | None, kind: SpanKind, attributes: Mapping[str, Attribute]
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(name, parent, kind, attributes) as span:
            yield _Span(span)
