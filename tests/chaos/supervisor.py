"""Processes that are started again when they end, as on any server; the test kills and freezes them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.3
"""Before a process that ended by itself is started again."""
STOP_SECONDS = 60.0


@dataclass
class Process:
    """One place for a process; `command` answers what to start there for the n-th time.

    `exits` has what happened when it ended, but was not to: the exit status and the end of its log.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    log: Path
    environment: Mapping[str, str]
    starts: int = 0
    exits: list[tuple[int, str]] = field(default_factory=list)
    frozen: bool = False
    running: subprocess.Popen[bytes] | None = None
    _start_at: float = 0.0

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [*self.command(self.starts)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self.starts += 1

    def kill(self, down: float) -> None:
        """`kill -9`, and nobody starts it again for `down` seconds."""
        assert self.running is not None
        self.running.kill()
        self.running.wait()
        self.running, self.frozen = None, False
        self._start_at = time.monotonic() + down

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self.frozen:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def look(self) -> None:
        """Starts it if it is its time."""
        if self.running is not None and self.running.poll() is not None:
            self.exits.append((self.running.returncode, self.tail()))
            self.running, self._start_at = None, time.monotonic() + PAUSE_SECONDS
        if self.running is None and time.monotonic() >= self._start_at:
            self.start()

    def stop(self) -> int | None:
        """Asks it to end; answers its exit status, or None when it did not end for that."""
        if self.running is None:
            return 0
        self.thaw()
        self._signal(signal.SIGINT)
        try:
            return self.running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
            return None

    def tail(self, characters: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def _signal(self, number: signal.Signals) -> None:
        assert self.running is not None
        with contextlib.suppress(ProcessLookupError):
            self.running.send_signal(number)


class Supervisor:
    """Looks after processes in a thread of its own. Whoever does something to one holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.processes: list[Process] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def add(self, process: Process) -> Process:
        with self.lock:
            self.processes.append(process)
            process.start()
        return process

    def start(self) -> None:
        self._thread.start()

    def rest(self) -> None:
        """From now on nobody is started again."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            with self.lock:
                for process in self.processes:
                    process.look()


@contextlib.contextmanager
def supervising() -> Iterator[Supervisor]:
    """A supervisor of which nothing is left at the end."""
    supervisor = Supervisor()
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.rest()
        for process in supervisor.processes:
            if process.running is not None and process.running.poll() is None:
                process.running.kill()
                process.running.wait()
