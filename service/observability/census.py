"""What the database holds, as metrics: asked at a scrape, and not again for a few seconds however many there are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.database import Database, DatabaseError
from service.models import utcnow
from service.repositories.census import Census, take_census

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0


class CensusCollector(Collector):
    """A database that does not answer is told as `assay_database_up 0`; the scrape goes on without its numbers."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._census: Census | None = None
        self._fresh_until = -1.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        census = self._current()
        yield GaugeMetricFamily("assay_database_up", "Whether the database answers.", value=float(census is not None))
        if census is None:
            return
        yield _by_state("assay_studies", "Studies by state.", census.studies)
        yield _by_state("assay_runs", "Runs by state; pending ones are the queue.", census.runs)
        yield _by_state("assay_attempts_open", "Attempts under way by state.", census.attempts)
        waited = (utcnow() - census.oldest_pending).total_seconds() if census.oldest_pending else 0.0
        yield GaugeMetricFamily(
            "assay_queue_oldest_seconds", "Age of the oldest pending run; 0 without any.", value=max(0.0, waited)
        )
        yield GaugeMetricFamily("assay_webhook_queue", "Deliveries still to be made.", value=census.deliveries)

    def _current(self) -> Census | None:
        with self._lock:
            if self._clock() >= self._fresh_until:
                self._census = self._taken()
                self._fresh_until = self._clock() + FRESH_SECONDS
            return self._census

    def _taken(self) -> Census | None:
        try:
            with self._database.session(write=False) as session:
                return take_census(session)
        except DatabaseError as error:
            log.warning("metrics go without the database: %s", error)
            return None


def _by_state(name: str, words: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
