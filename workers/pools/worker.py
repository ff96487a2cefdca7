"""What runs in a worker process: one attempt after another, and meanwhile an ear for stops and a sign of life."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator

import psutil

from workers.data.sharing import Shelf, use
from workers.pools.attempt import attempt
from workers.pools.tables import load, warm
from workers.pools.vigil import Pulse
from workers.protocol import Ask, Assignment, PoolEvent, Resources
from workers.provenance import provenance

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Worker:
    """Of one shape. `run` occupies it; the others are called in a thread of their own and answered meanwhile."""

    def __init__(self, objectives: str, shape: Resources, shelf: Shelf) -> None:
        for variable in THREAD_VARIABLES:  # numerical libraries read them when they are first imported
            os.environ[variable] = str(max(1, int(shape.cpus)))
        if not shape.gpus:  # nor shall what it starts take one
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        use(shelf)
        self._objectives = objectives
        self._asked: dict[str, Ask] = {}
        self._began: dict[str, float] = {}  # the process's CPU time at the start of the attempt under way
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def run(self, assignment: Assignment) -> Iterator[PoolEvent]:
        self._began[assignment.key] = cpu_seconds()
        yield from attempt(assignment, load(self._objectives), lambda: self._asked.get(assignment.key), cpu_seconds)
        self._asked.pop(assignment.key, None)
        del self._began[assignment.key]

    def stop(self, key: str) -> None:
        self._asked[key] = "stop"

    def preempt(self, key: str) -> None:
        self._asked.setdefault(key, "preempt")

    def pulse(self, key: str) -> Pulse:
        """A sign of life. Its CPU time is that of the attempt `key`, 0 unless that one is under way."""
        memory, living = _family()
        began = self._began.get(key)
        return Pulse(key, memory, 0.0 if began is None else cpu_seconds() + living - began)

    def _warm(self) -> None:
        provenance()
        warm(load(self._objectives))


def cpu_seconds() -> float:
    """CPU time so far of this process and of its child processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _family() -> tuple[int, float]:
    """The resident bytes of this process and all below it, and the CPU seconds of those below it that still run.

    Pages that processes share count once for each of them.
    """
    own = psutil.Process()
    memory, seconds = own.memory_info().rss, 0.0
    for child in own.children(recursive=True):
        try:
            memory += child.memory_info().rss
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # ended since it was listed
        seconds += times.user + times.system + times.children_user + times.children_system
    return memory, seconds
