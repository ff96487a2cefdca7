"""Traces, as a collector gets them: a real receiver of OTLP over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from service.lifecycle import create_study
from service.observability import traces
from service.observability.telemetry import Telemetry
from service.settings import Settings
from workers.protocol import FailureClass

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

ROOT = Path(__file__).parents[2]


class Collector:
    """What was sent to it, span by span."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resource = {one.key: one.value.string_value for one in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def traced(collector: Collector, new_database_url: Callable[[str], str]) -> Iterator[Database]:
    database = Database(new_database_url("sqlite"), Telemetry(traces=traces.configure(collector.url, "all")))
    yield database
    database.dispose()


@pytest.fixture
def app(traced: Database) -> FastAPI:
    return create_app(Settings(trusted_hosts=("*",)), traced)


def test_requests_are_spans_below_those_of_their_clients(traced: Database, collector: Collector, server: Any) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    httpx.get(f"{server.url}/api/v1/studies/one", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
    httpx.get(f"{server.url}/healthz")
    httpx.get(f"{server.url}/api/v1/studies")
    assert server.stop()
    traced.telemetry.traces.shutdown()

    (missing,) = collector.named("GET /api/v1/studies/{name}")
    assert (missing.trace_id.hex(), missing.parent_span_id.hex()) == (trace_id, span_id)
    assert attributes(missing) == {
        "http.request.method": "GET",
        "http.route": "/api/v1/studies/{name}",
        "http.response.status_code": 404,
        "assay.study": "one",
    }
    (listed,) = collector.named("GET /api/v1/studies")
    assert listed.parent_span_id == b""
    assert len(collector.spans) == 2, "health checks are not traced"
    assert collector.resource["service.name"] == "assay"


def test_a_run_is_traced_from_the_decision_to_its_end(
    traced: Database, collector: Collector, pool: Any, checkpoints: Checkpoints, study_payload: dict[str, Any]
) -> None:
    with traced.session() as session:
        create_study(session, {**study_payload, "budget": {"max_runs": 2}})
    dispatcher = Dispatcher(traced, pool, checkpoints, exclusive=True)
    dispatcher.step(0)
    first, second = pool.open.values()
    pool.finish(first, loss=1.0)
    pool.fail(second, FailureClass.ERROR)
    dispatcher.step(0)
    dispatcher.hand_over()
    traced.telemetry.traces.shutdown()

    plan = collector.named("dispatch.plan")[0]
    ask = collector.named("ask")[0]
    assert attributes(plan) == {"assay.study": "s"}
    assert attributes(ask) == {"assay.algorithm": "random"}
    assert (ask.trace_id, ask.parent_span_id) == (plan.trace_id, plan.span_id)
    assert collector.named("dispatch.record")
    ended = [attributes(span) for span in collector.named("attempt")]
    assert {"assay.study": "s", "assay.state": "succeeded"} in ended
    assert {"assay.study": "s", "assay.state": "error"} in ended


def test_a_collector_that_is_not_there_holds_nobody_up_for_long() -> None:
    sent = traces.configure("http://127.0.0.1:9", "all")
    with sent.span("ask"):
        pass
    began = time.monotonic()
    sent.shutdown()

    assert time.monotonic() - began < 20


def test_what_an_exception_leaves_has_failed(collector: Collector) -> None:
    sent = traces.configure(collector.url, "all")
    with pytest.raises(KeyError), sent.span("ask"):
        raise KeyError("study")
    sent.shutdown()

    (span,) = collector.spans
    assert span.status.code == 2


@pytest.mark.parametrize(
    ("configured", "environment", "endpoint"),
    [
        (None, {}, None),
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://d:4318/"}, "http://d:4318/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://e/x"}, "http://e/x"),
        ("http://c:4318", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://e/x"}, "http://c:4318/v1/traces"),
    ],
)
def test_the_standard_variables_count(
    configured: str | None, environment: dict[str, str], endpoint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in traces.ENDPOINT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert traces.endpoint(configured) == endpoint


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_nothing_of_it_is_loaded_when_it_is_not_configured() -> None:
    """FastAPI itself loads the API where that is installed, which does nothing without the rest."""
    code = "import service.server, sys; print(*(name for name in sys.modules if name.startswith('opentelemetry.')))"

    assert not [name for name in run(code).split() if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]


def test_what_is_configured_and_not_installed_is_an_error_that_says_so() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from service.observability import traces\n"
        "try: traces.configure('http://c:4318', 'all')\n"
        "except traces.TracesUnavailable as error: print(error)\n"
    )

    assert "OpenTelemetry is not installed" in run(code)
    assert "[otel]" in run(code)
