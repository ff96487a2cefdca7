"""What is counted and timed, for Prometheus. One `Metrics` per process, in a registry of its own, passed to whoever has
something to tell.

Labels have few values: route templates, never paths; states and names of algorithms, never names of studies.

Where several processes share one port, a scrape reaches any one of them. The library then keeps the values in files
that they share (`PROMETHEUS_MULTIPROC_DIR`, set by `service.api_processes` before they start), and `render` adds up.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ASK_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TURN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Ending = Literal["complete", "fail", "infeasible"]
Delivered = Literal["delivered", "failed", "given_up"]


class Metrics:
    """All methods may be called from any thread and cost about a microsecond."""

    def __init__(self, role: str = "all") -> None:
        self._shared = os.environ.get(SHARED)
        self._registry = CollectorRegistry()
        # What each process counts is added up over all of them by the collector; nothing else may tell it as well.
        counted = CollectorRegistry() if self._shared else self._registry
        if self._shared:
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=self._registry)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"assay_{name}", words, labels, registry=counted)

        def gauge(name: str, words: str) -> Gauge:
            return Gauge(f"assay_{name}", words, registry=counted, multiprocess_mode="livesum")

        def histogram(name: str, words: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"assay_{name}", words, labels, registry=counted, buckets=buckets)

        self._requests = counter("http_requests", "Requests answered.", "method", "route", "status")
        self._request_seconds = histogram(
            "http_request_seconds", "Time to answer, of streams to begin.", _REQUEST_SECONDS, "method", "route"
        )
        self._in_progress = gauge("http_requests_in_progress", "Requests being answered, open streams included.")
        self._asks = histogram("ask_seconds", "Time to decide on runs.", _ASK_SECONDS, "algorithm")
        self._turns = histogram("dispatcher_turn_seconds", "Time of a turn of the dispatcher.", _TURN_SECONDS)
        self._leases = counter("lease_expiries", "Leases that ran out.", "kind")
        self._attempts = counter("attempts_ended", "Attempts that ended.", "state")
        self._events = counter("events", "Transitions of studies and runs.", "type")
        self._claims = counter("claims", "Claims of external workers by what they got.", "answer")
        self._assignments = counter("assignments", "Attempts handed to workers.", "kind")
        self._reports = counter("reports", "Reports stored.")
        self._completions = counter("completions", "Runs that external workers ended.", "ending")
        self._deliveries = counter("webhook_deliveries", "Attempts to deliver a webhook.", "result")
        self._pool_free = gauge("pool_free_workers", "Attempts of one CPU that the pool could start now.")
        self._pool_busy = gauge("pool_busy_workers", "Attempts that the pool carries out.")
        described = ("The version and the role of this process.", ("version", "role"))
        info = Gauge("assay_info", *described, registry=counted, multiprocess_mode="max")
        info.labels(version("assay"), role).set(1)
        # Finding the child of a metric by its labels costs more than all the rest of a request's bookkeeping.
        self._routes: dict[tuple[str, str], Histogram] = {}
        self._answers: dict[tuple[str, str, int], Counter] = {}

    def render(self, *others: Collector) -> bytes:
        """Everything in Prometheus' text format, with what `others` collect."""
        return b"".join(generate_latest(collector) for collector in (self._registry, *others))

    def request_began(self) -> None:
        self._in_progress.inc()

    def request_ended(self) -> None:
        self._in_progress.dec()

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template of the path."""
        if method not in _METHODS:
            method = "other"
        answer = self._answers.get((method, route, status))
        if answer is None:
            answer = self._answers[method, route, status] = self._requests.labels(method, route, status)
        answer.inc()
        timed = self._routes.get((method, route))
        if timed is None:
            timed = self._routes[method, route] = self._request_seconds.labels(method, route)
        timed.observe(seconds)

    def asked(self, algorithm: str, seconds: float) -> None:
        """The search was asked what to run next, and answered."""
        self._asks.labels(algorithm).observe(seconds)

    def turned(self, seconds: float) -> None:
        """The dispatcher made a turn in which there was something to do; its waiting does not count."""
        self._turns.observe(seconds)

    def lease_expired(self, kind: Literal["study", "attempt"], leases: int = 1) -> None:
        """A dispatcher lost a study, or a worker its attempt, by saying nothing for too long."""
        self._leases.labels(kind).inc(leases)

    def attempt_ended(self, state: str) -> None:
        self._attempts.labels(state).inc()

    def happened(self, type_: str) -> None:
        """An event was stored: `run.succeeded`, `study.completed`, ..."""
        self._events.labels(type_).inc()

    def claimed(self, answer: str) -> None:
        """A claim was answered: `assigned`, or the reason why not (`exhausted`, `barrier`, `paused`, ...)."""
        self._claims.labels(answer).inc()

    def assigned(self, kind: Literal["pool", "external"], attempts: int = 1) -> None:
        self._assignments.labels(kind).inc(attempts)

    def reported(self, reports: int) -> None:
        self._reports.inc(reports)

    def completed(self, ending: Ending) -> None:
        self._completions.labels(ending).inc()

    def delivered(self, result: Delivered) -> None:
        """A webhook was sent, or not."""
        self._deliveries.labels(result).inc()

    def pool(self, free: int, busy: int) -> None:
        self._pool_free.set(free)
        self._pool_busy.set(busy)
