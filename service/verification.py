"""The verification of a record, in a process of its own.

It may take as long as all the study's suggestions together, and the libraries below some of them have global state
(PyTorch its random generator, for one), which the suggestions of running studies use at the same time. A process can
also be ended at any moment, and gives way to others. It loads this module, which imports the search and no more.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from search.replay import Difference, Record, Verified, verify

PULSE_SECONDS = 1.0
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How many events have been gone through, of how many."""

    events: int
    of: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The verification itself went wrong, and why, for a log."""

    why: str


News = Progress | Verified | Difference | Broken


class Verification:
    """One record being verified: `start` it, ask for `news` until there are other ones than progress, then `close`.

    Every method blocks for a moment. Not thread-safe.
    """

    def __init__(self, record: Record) -> None:
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would share locks and connections with what goes on here
        self._receiver, self._sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(self._sender, record), name="verification", daemon=True)
        self._last = Progress(0, len(record.events))

    def start(self) -> None:
        self._process.start()
        self._sender.close()  # the child has its own: when that closes, nobody is left to write

    def news(self) -> News:
        """What has come out meanwhile, after waiting for it for a second."""
        if not self._receiver.poll(PULSE_SECONDS):
            return self._last
        try:
            news: News = self._receiver.recv()
        except EOFError:
            self._process.join()
            return Broken(f"its process ended with exit code {self._process.exitcode}")
        if isinstance(news, Progress):
            self._last = news
        return news

    def close(self) -> None:
        """Ends it, whatever it has come to."""
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._process.close()
        self._receiver.close()
        self._sender.close()


def _work(sender: Connection, record: Record) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the service, which ends this
    os.nice(NICENESS)
    told = time.monotonic()

    def tell(checked: int) -> None:
        nonlocal told
        if time.monotonic() >= told + PULSE_SECONDS / 2:
            told = time.monotonic()
            sender.send(Progress(checked, len(record.events)))

    with suppress(BrokenPipeError):  # nobody waits for it any more
        try:
            sender.send(verify(record, tell))
        except Exception:  # noqa: BLE001 (a process's boundary: the service logs it)
            sender.send(Broken(traceback.format_exc()))
