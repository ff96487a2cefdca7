"""The pool in the process itself: one daemon thread per attempt.

For tests, for small studies and for machines without Ray. What threads cannot do, this pool cannot do: the attempts
share one interpreter and its memory, so that a limit of memory cannot be kept; a killed attempt, and one whose time is
up, goes on in its thread, unheard, until its next report (a command is ended at once); a crash of the interpreter takes
everything with it; a run takes one worker however many CPUs it names, and no worker has a GPU. An attempt's CPU time is
that of its own thread: what threads of a library or child processes take is not in it.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from workers.objectives import OBJECTIVES
from workers.pools.attempt import attempt
from workers.pools.tables import Killable
from workers.pools.vigil import Vigil
from workers.protocol import Ask, Assignment, Ended, Objective, PoolEvent, Resources, Started

SHUTDOWN_SECONDS = 2.0


@dataclass(slots=True)
class _Open:
    vigil: Vigil
    asked: Ask | None = None


class LocalPool:
    """At most `workers` attempts at once. A `workers.protocol.Pool`."""

    def __init__(self, workers: int, objectives: Mapping[str, Objective] = OBJECTIVES) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs at least one worker, not {workers}")
        self._workers = workers
        self._objectives = objectives
        # Only the caller's thread reads or changes these; the attempts' threads put events into the queue, no more.
        self._open: dict[str, _Open] = {}
        self._threads: list[threading.Thread] = []
        self._events: queue.SimpleQueue[PoolEvent] = queue.SimpleQueue()
        self._closed = False

    def capacity(self, resources: Resources) -> int:
        return 0 if self._closed or resources.gpus else self._workers - len(self._open)

    def want(self, shapes: Mapping[Resources, int]) -> None:
        """Nothing: it does not grow."""

    def submit(self, assignment: Assignment) -> None:
        assert self.capacity(assignment.resources) > 0, "submit within the capacity"
        assert assignment.key not in self._open, f"{assignment.key} was submitted before"
        work = _Open(Vigil(assignment))  # without a lease: a thread does not vanish
        self._open[assignment.key] = work
        thread = threading.Thread(
            target=self._carry_out, args=(assignment, work), name=f"attempt {assignment.key}", daemon=True
        )
        self._threads = [other for other in self._threads if other.is_alive()]
        self._threads.append(thread)
        thread.start()

    def poll(self, timeout: float) -> list[PoolEvent]:
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            nearest = min((work.vigil.remaining(now) for work in self._open.values()), default=math.inf)
            events = self._take(max(0.0, min(deadline - now, nearest)))
            events += self._judge(time.monotonic())
            # A batch may hold nothing but the words of a killed attempt: then there is still time to wait.
            if events or time.monotonic() >= deadline:
                return events

    def stop(self, key: str) -> None:
        if key in self._open:
            self._open[key].asked = "stop"

    def preempt(self, key: str) -> None:
        if key in self._open and self._open[key].asked is None:
            self._open[key].asked = "preempt"

    def kill(self, key: str) -> None:
        work = self._open.pop(key, None)
        if work:
            work.asked = "stop"
            objective = self._objectives.get(work.vigil.assignment.objective["type"])
            if isinstance(objective, Killable):
                objective.kill(key)

    def shutdown(self) -> None:
        self._closed = True
        for key in list(self._open):
            self.kill(key)
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _carry_out(self, assignment: Assignment, work: _Open) -> None:
        for event in attempt(assignment, self._objectives, lambda: work.asked, time.thread_time):
            self._events.put(event)

    def _judge(self, now: float) -> list[PoolEvent]:
        """Ends the attempts that are beyond a limit."""
        ends = [end for work in self._open.values() if (end := work.vigil.verdict(now))]
        for end in ends:
            self.kill(end.key)
        return list(ends)

    def _take(self, timeout: float) -> list[PoolEvent]:
        """Waits for a first event and takes all that are there; only the open attempts are heard."""
        events: list[PoolEvent] = []
        try:
            event = self._events.get(timeout=timeout)
            while True:
                if event.key in self._open:
                    events.append(event)
                    if isinstance(event, Started):
                        self._open[event.key].vigil.begin(time.monotonic())
                    elif isinstance(event, Ended):
                        del self._open[event.key]
                event = self._events.get_nowait()
        except queue.Empty:
            return events
