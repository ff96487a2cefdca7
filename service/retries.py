"""Whether a run that failed is tried again, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.models import Json
from service.states import AttemptState
from workers.protocol import FailureClass

ENDS = {
    FailureClass.ERROR: AttemptState.ERROR,
    FailureClass.OOM: AttemptState.OOM,
    FailureClass.TIMEOUT: AttemptState.TIMEOUT,
    FailureClass.LOST: AttemptState.LOST,
    FailureClass.PREEMPTED: AttemptState.PREEMPTED,
}
"""The attempt's end for each class that may be tried again. What diverged or is infeasible would do so once more."""

DEFAULTS: Mapping[str, int | None] = {"error": 0, "oom": 0, "timeout": 0, "lost": 2, "preempted": None}
"""How many further attempts a run gets for each class of failure; None is no limit."""

BACKOFF_SECONDS = 1.0
MOST_BACKOFF = 3600.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`limits` as `DEFAULTS`; the first further attempt waits for `backoff_seconds`, each one after twice as long."""

    limits: Mapping[str, int | None]
    backoff_seconds: float

    @classmethod
    def of(cls, spec: Json) -> RetryPolicy:
        """The policy of a stored study."""
        given: Mapping[str, Any] = spec.get("retry") or {}
        limits = {name: given.get(name, default) for name, default in DEFAULTS.items()}
        return cls(limits, given.get("backoff_seconds", BACKOFF_SECONDS))

    def delay(self, failure: FailureClass, ended: int) -> timedelta | None:
        """How long to wait after the `ended`-th attempt of a run that ended so; None when it was the last one."""
        if failure not in ENDS:
            return None
        limit = self.limits[failure]
        if limit is not None and ended > limit:
            return None
        if failure in (FailureClass.LOST, FailureClass.PREEMPTED):  # nothing is wrong with the run
            return timedelta(0)
        return timedelta(seconds=min(MOST_BACKOFF, self.backoff_seconds * 2.0 ** min(ended - 1, 32)))
