"""The pool in the process itself: one daemon thread per attempt.

For tests, for small studies and for machines without Ray. What threads cannot do, this pool cannot do: the attempts
share one interpreter and its memory; a killed attempt goes on in its thread, unheard, until its next report; a
crash of the interpreter takes everything with it; a run takes one worker however many CPUs it names, and no worker has
a GPU.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping

from workers.objectives import OBJECTIVES
from workers.pools.attempt import attempt
from workers.protocol import Assignment, Failed, Finished, Objective, PoolEvent, Resources

SHUTDOWN_SECONDS = 2.0


class LocalPool:
    """At most `workers` attempts at once. A `workers.protocol.Pool`."""

    def __init__(self, workers: int, objectives: Mapping[str, Objective] = OBJECTIVES) -> None:
        if workers < 1:
            raise ValueError(f"a pool needs at least one worker, not {workers}")
        self._workers = workers
        self._objectives = objectives
        # Only the caller's thread reads or changes these; the attempts' threads put events into the queue, no more.
        self._open: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._events: queue.SimpleQueue[PoolEvent] = queue.SimpleQueue()
        self._closed = False

    def capacity(self, resources: Resources) -> int:
        return 0 if self._closed or resources.gpus else self._workers - len(self._open)

    def submit(self, assignment: Assignment) -> None:
        assert self.capacity(assignment.resources) > 0, "submit within the capacity"
        assert assignment.key not in self._open, f"{assignment.key} was submitted before"
        stop = threading.Event()
        self._open[assignment.key] = stop
        thread = threading.Thread(
            target=self._carry_out, args=(assignment, stop), name=f"attempt {assignment.key}", daemon=True
        )
        self._threads = [other for other in self._threads if other.is_alive()]
        self._threads.append(thread)
        thread.start()

    def poll(self, timeout: float) -> list[PoolEvent]:
        deadline = time.monotonic() + timeout
        while True:
            events = self._take(max(0.0, deadline - time.monotonic()))
            # A batch may hold nothing but the words of a killed attempt: then there is still time to wait.
            if events or time.monotonic() >= deadline:
                return events

    def stop(self, key: str) -> None:
        if key in self._open:
            self._open[key].set()

    def kill(self, key: str) -> None:
        stop = self._open.pop(key, None)
        if stop:
            stop.set()

    def shutdown(self) -> None:
        self._closed = True
        for key in list(self._open):
            self.kill(key)
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _carry_out(self, assignment: Assignment, stop: threading.Event) -> None:
        for event in attempt(assignment, self._objectives, stop.is_set):
            self._events.put(event)

    def _take(self, timeout: float) -> list[PoolEvent]:
        """Waits for a first event and takes all that are there; only the open attempts are heard."""
        events: list[PoolEvent] = []
        try:
            event = self._events.get(timeout=timeout)
            while True:
                if event.key in self._open:
                    events.append(event)
                    if isinstance(event, Finished | Failed):
                        del self._open[event.key]
                event = self._events.get_nowait()
        except queue.Empty:
            return events
