"""Counting what a transaction did, once it has been committed: what was rolled back did not happen.

note(session, lambda metrics: metrics.attempt_ended("lost"))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from service.observability.metrics import Metrics
from service.observability.telemetry import Telemetry

Note = Callable[[Metrics], None]

TELEMETRY = "assay_telemetry"
_NOTES = "assay_notes"


class _HasInfo(Protocol):
    @property
    def info(self) -> dict[Any, Any]: ...


def note(session: _HasInfo, what: Note) -> None:
    """To be told to the metrics after the commit."""
    session.info.setdefault(_NOTES, []).append(what)


def tell(session: _HasInfo) -> None:
    """After the commit."""
    notes: list[Note] = session.info.pop(_NOTES, [])
    for what in notes:
        what(telemetry_of(session).metrics)


def telemetry_of(session: _HasInfo) -> Telemetry:
    """The telemetry of the session's database."""
    telemetry: Telemetry = session.info[TELEMETRY]
    return telemetry
