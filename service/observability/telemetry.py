"""Metrics and traces in one hand. A process has one, which its `Database` carries to all who work with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.observability.metrics import Metrics
from service.observability.traces import Traces


class Telemetry:
    """By default metrics that nobody looks at, and traces that go nowhere."""

    def __init__(self, metrics: Metrics | None = None, traces: Traces | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.traces = traces or Traces()

    @contextmanager
    def asking(self, algorithm: str) -> Iterator[None]:
        """Times the search while it decides."""
        began = time.perf_counter()
        with self.traces.span("ask", **{"assay.algorithm": algorithm}):
            yield
        self.metrics.asked(algorithm, time.perf_counter() - began)
