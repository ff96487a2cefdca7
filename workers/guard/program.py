"""The guard: `python program.py ORDER WORKER`, started by `workers.guard.guarded`; see the package.

Standard input is its tie to the worker, standard output carries the verdict, in JSON.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from workers.guard import tree
from workers.guard.log import BoundedLog, Tail
from workers.guard.words import STOP, Order, Verdict

TERM_SECONDS = 5.0  # between SIGTERM and SIGKILL
CHUNK = 1 << 16
STDIN, STDOUT = 0, 1


def main(order: str, worker: str) -> None:
    tie = _handle_on(int(worker))
    if front := os.fork():
        os.close(STDIN)
        os.close(STDOUT)  # that the guard is gone must show at its other end
        os.waitpid(front, 0)
        return
    guard = Guard(Order.from_json(Path(order).read_bytes()))
    verdict = guard.carry_out(tie)
    with suppress(BrokenPipeError):
        os.write(STDOUT, verdict.to_json())


class Guard:
    """Runs one command. `_end` says how it ends once the guard has begun to end it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._log = BoundedLog(Path(order.log)) if order.log else None
        self._stderr = Tail()
        self._selector = selectors.DefaultSelector()
        self._pid = 0
        self._status: int | None = None
        self._end: Literal["exit", "stopped", "timeout", "killed"] = "exit"
        self._term_at = math.inf
        self._kill_at = math.inf
        self._time_is_up: Literal["stopped", "timeout"] = "timeout"

    def carry_out(self, tie: int | None) -> Verdict:
        oom_kills = tree.oom_kills()
        tree.adopt_orphans()
        self._listen(tie)
        try:
            process = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: a text that no system takes
            return Verdict("unstartable", why=str(error))
        while self._status is None and self._end != "killed":
            self._turn()
        self._sweep()
        self._drain()
        process.returncode = 0 if self._status is None else os.waitstatus_to_exitcode(self._status)
        if self._end == "killed":
            self._remove_folder()
        kills = tree.oom_kills() - oom_kills
        return Verdict(self._end, process.returncode, self._stderr.text, oom_kills=kills)

    def _start(self) -> subprocess.Popen[bytes]:
        guard = os.getpid()
        process = subprocess.Popen(
            self._order.command,
            cwd=self._order.workdir,
            env=self._order.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            preexec_fn=lambda: tree.die_with(guard),
        )
        self._pid = process.pid
        if self._order.seconds is not None:
            self._term_at = time.monotonic() + self._order.seconds
        for stream in (process.stdout, process.stderr):
            assert stream
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, "stderr" if stream is process.stderr else "stdout")
        return process

    def _listen(self, tie: int | None) -> None:
        """To the worker's words, to its end, and to signals: of children that ended, and of who wants us to end."""
        hear, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(hear, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # it is waited for in `_turn`
        self._selector.register(STDIN, selectors.EVENT_READ, "words")
        self._selector.register(hear, selectors.EVENT_READ, "signals")
        if tie is not None:
            self._selector.register(tie, selectors.EVENT_READ, "end of the worker")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._end = "killed"

    def _turn(self) -> None:
        """Waits until something happens, and does what follows."""
        now = time.monotonic()
        patience = min(self._term_at, self._kill_at) - now
        for key, _ in self._selector.select(None if patience == math.inf else max(0.0, patience)):
            match key.data:
                case "words":
                    self._obey(os.read(STDIN, CHUNK))
                case "signals":
                    os.read(key.fd, CHUNK)
                case "end of the worker":
                    self._end = "killed"
                case stream:
                    self._copy(key, stream)
        now = time.monotonic()
        if now >= self._term_at:
            self._term_at = math.inf
            self._kill_at = now + TERM_SECONDS
            self._end = self._time_is_up if self._end == "exit" else self._end
            self._signal_group(signal.SIGTERM)
        if now >= self._kill_at:
            self._kill_at = math.inf
            self._signal_group(signal.SIGKILL)
        self._reap()

    def _obey(self, words: bytes) -> None:
        if not words:
            self._end = "killed"
        elif STOP in words:
            Path(self._order.stop).touch()
            end = time.monotonic() + self._order.grace
            if end < self._term_at and self._end == "exit":
                self._term_at, self._time_is_up = end, "stopped"

    def _copy(self, key: selectors.SelectorKey, stream: str) -> bool:
        """Takes what the command has written; whether there was anything."""
        try:
            data = os.read(key.fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(key.fileobj)
            return False
        if self._log:
            with suppress(OSError):  # a full disk costs the log, not the run
                self._log.write(data)
        if stream == "stderr":
            self._stderr.write(data)
        return True

    def _drain(self) -> None:
        """Takes what is left in the pipes; nobody writes to them any more."""
        for key in list(self._selector.get_map().values()):
            if key.data in ("stdout", "stderr"):
                while self._copy(key, key.data):
                    pass
        if self._log:
            self._log.close()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _reap(self) -> bool:
        """Takes note of who ended; whether a child is left."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self._pid:
                    self._status = status
        return False

    def _sweep(self) -> None:
        """Kills until there is no child left: then, since orphans become our children, there is no descendant."""
        deadline = time.monotonic() + tree.SWEEP_SECONDS
        self._signal_group(signal.SIGKILL)
        while self._reap() and time.monotonic() < deadline:
            for pid in tree.descendants(os.getpid()):
                tree.kill(pid)
            time.sleep(0.002)

    def _remove_folder(self) -> None:
        import shutil  # loads much, for what is rarely needed

        shutil.rmtree(self._order.folder, ignore_errors=True)


def _handle_on(pid: int) -> int | None:
    """A file descriptor that becomes readable when the process ends."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not this system, or it is gone: then standard input is at its end as well
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
