"""The worker's side of a guard: starts it, waits for its verdict, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import workers
from workers.guard import tree
from workers.guard.words import STOP, Order, Verdict

CLOSE_SECONDS = tree.SWEEP_SECONDS + 5.0
CHUNK = 1 << 16

# A fresh interpreter that looks at no setting and no installed package: it has this one's sources and nothing else.
_ROOT = Path(workers.__file__).parent.parent
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from workers.guard.program import main; main(*sys.argv[1:])"


class Guarded:
    """A command that runs. `marker` is a variable of its environment whose value nobody else's has.

    `kill` may be called from any thread, everything else from one.
    """

    def __init__(self, order: Order, marker: str, env: Mapping[str, str]) -> None:
        self._marker = (marker, order.env[marker])
        self._answer = bytearray()
        self._verdict: Verdict | None = None
        self._lock = threading.Lock()
        path = Path(order.folder) / "order.json"
        path.write_bytes(order.to_json())
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(_ROOT), str(path), str(os.getpid())],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the worker's affair
        )

    def wait(self, seconds: float) -> Verdict | None:
        """The verdict, or None when the command still runs after so many seconds."""
        assert self._process.stdout
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while self._verdict is None and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            chunk = os.read(self._process.stdout.fileno(), CHUNK)
            self._answer += chunk
            if not chunk:
                self._verdict = Verdict.from_json(bytes(self._answer)) if self._answer else Verdict("vanished")
        return self._verdict

    def stop(self) -> None:
        """Asks the command to end within its grace period."""
        self._say(STOP)

    def kill(self) -> None:
        """Ends it at once. Idempotent."""
        with self._lock:
            assert self._process.stdin
            self._process.stdin.close()

    def close(self) -> None:
        """Ends whatever still runs and waits for that."""
        self.kill()
        if self.wait(CLOSE_SECONDS) in (None, Verdict("vanished")):
            # Somebody killed the guard, and with it the command. Of those it started, some may have been orphaned.
            tree.kill_carrying(*self._marker)
            self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def _say(self, words: bytes) -> None:
        with self._lock, suppress(BrokenPipeError):
            if self._process.stdin and not self._process.stdin.closed:
                self._process.stdin.write(words)
