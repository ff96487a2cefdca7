"""The watch over one attempt under way: does its worker live, does it keep within its limits, what has it cost.

Knows no pool: it is told what happened and when, and says when the attempt must end. The lease counts silence, not the
clock: only time in which the pool itself was awake and listened counts against a worker, so a pool that was busy (or a
machine that slept) does not take its workers for dead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workers.protocol import Assignment, Cost, Failed, FailureClass


@dataclass(frozen=True, slots=True)
class Pulse:
    """A worker's sign of life: the memory that it and its child processes hold, and the CPU time of attempt `key`."""

    key: str
    memory_bytes: int
    cpu_seconds: float


@dataclass(slots=True, eq=False)
class Vigil:
    """Times are in seconds of one monotonic clock.

    The lease runs once the worker has been heard (`heard`): one that is still being started, or waits for resources
    that others of its cluster hold, is not silent.
    """

    assignment: Assignment
    lease_seconds: float = math.inf
    heard: bool = False
    silence: float = 0.0
    started: float | None = None
    pulse: Pulse | None = None

    def begin(self, now: float) -> None:
        """The attempt has started."""
        self.started = now
        self.hear()

    def hear(self, pulse: Pulse | None = None) -> None:
        """The worker said something."""
        self.heard = True
        self.silence = 0.0
        if pulse and pulse.key == self.assignment.key:  # not one that was asked during an earlier attempt
            self.pulse = pulse

    def listen(self, seconds: float) -> None:
        """The pool listened for so long and heard nothing."""
        if self.heard:
            self.silence += seconds

    def remaining(self, now: float) -> float:
        """Seconds until the attempt's time is up; infinite without a limit or before the start."""
        limit = self.assignment.limits.seconds
        return math.inf if limit is None or self.started is None else self.started + limit - now

    def verdict(self, now: float) -> Failed | None:
        """How the attempt must end now, if it must."""
        limits = self.assignment.limits
        if self.pulse and limits.memory_bytes is not None and self.pulse.memory_bytes > limits.memory_bytes:
            held = _megabytes(self.pulse.memory_bytes)
            limit = _megabytes(limits.memory_bytes)
            return self.ended(FailureClass.OOM, f"the run's processes held {held}; its limit is {limit}", now)
        if self.remaining(now) <= 0:
            return self.ended(FailureClass.TIMEOUT, f"the run took longer than its limit of {limits.seconds:g} s", now)
        if self.silence >= self.lease_seconds:
            message = f"the worker gave no sign of life for {self.lease_seconds:g} s"
            return self.ended(FailureClass.LOST, message, now)
        return None

    def cost(self, now: float) -> Cost | None:
        """What the attempt has cost as far as its worker told; None before its first sign of life."""
        if self.pulse is None or self.started is None:
            return None
        return Cost(self.pulse.cpu_seconds, self.assignment.resources.gpus * (now - self.started))

    def ended(self, failure: FailureClass, message: str, now: float) -> Failed:
        """The attempt ended now in this way, and its worker cannot say so itself."""
        return Failed(self.assignment.key, failure, message, cost=self.cost(now))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
