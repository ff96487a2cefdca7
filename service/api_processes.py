"""Several processes that answer requests on one port, for the role `api`.

The parent listens, starts the processes and watches them: one that ends is replaced, SIGTERM and SIGINT end them all in
good order. They share the listening socket. If the parent is killed, they end too.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from service.observability.metrics import SHARED

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
QUICK_SECONDS = 10.0
QUICK_ENDS = 5
"""So many processes that end within `QUICK_SECONDS` of their start, one after another, are no accident."""
POLL_SECONDS = 0.5

# A process of its own interpreter: forking one with threads in it is not safe.
_spawn = multiprocessing.get_context("spawn")


class ApiProcessesFailed(RuntimeError):
    """The processes end as soon as they are started."""


@dataclass(frozen=True, slots=True)
class _Started:
    process: SpawnProcess
    at: float


def supervise(target: Callable[..., None], arguments: tuple[Any, ...], count: int, asked: threading.Event) -> None:
    """Keeps `count` processes running `target(*arguments)` until `asked` is set; then ends them.

    `target` is a function of a module, for which SIGTERM is the word to end. Raises ApiProcessesFailed.
    """
    started = [_start(target, arguments) for _ in range(count)]
    quick = 0
    try:
        while not asked.is_set():
            wait([one.process.sentinel for one in started], POLL_SECONDS)
            for place, one in enumerate(started):
                if one.process.is_alive() or asked.is_set():
                    continue
                mark_process_dead(one.process.pid)  # type: ignore[no-untyped-call]
                quick = quick + 1 if time.monotonic() - one.at < QUICK_SECONDS else 0
                if quick == QUICK_ENDS:
                    raise ApiProcessesFailed(
                        f"the processes for the API end by themselves (exit code {one.process.exitcode}); see their log"
                    )
                log.warning("API process %d ended (code %s); another one starts", one.process.pid, one.process.exitcode)
                asked.wait(0.1 * 2**quick if quick else 0)
                started[place] = _start(target, arguments)
    finally:
        _end([one.process for one in started])


def end_with_parent() -> None:
    """In a process of `supervise`: SIGTERM to oneself as soon as the parent is gone, by whatever way."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, args=(parent.sentinel,), name="parent", daemon=True).start()


@contextmanager
def shared_metrics() -> Iterator[None]:
    """A folder for the numbers of all processes, named in the environment that they inherit."""
    folder = tempfile.mkdtemp(prefix="assay-metrics-")
    os.environ[SHARED] = folder
    try:
        yield
    finally:
        del os.environ[SHARED]
        shutil.rmtree(folder, ignore_errors=True)


def _start(target: Callable[..., None], arguments: tuple[Any, ...]) -> _Started:
    process = _spawn.Process(target=target, args=arguments, name="api")
    process.start()
    return _Started(process, time.monotonic())


def _end(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
