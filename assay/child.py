"""A service as a child process, in a session of its own with everything it starts: nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.client import Client
from assay.errors import AssayError

HOST = "127.0.0.1"
_START_SECONDS = 180.0  # a first start of Ray on a small machine takes half a minute
_STOP_SECONDS = 30.0
_TAIL = 15  # lines of the log that are shown when the service does not start


class ChildService:
    """`assay up` in a child process; its output goes to `service.log` in the data directory.

    A context manager: on leaving, by whatever way, the service is asked to end, and forced to after half a minute.
    """

    def __init__(self, port: int, data_dir: Path, options: Sequence[str]) -> None:
        self.url = f"http://{HOST}:{port}"
        self.log = data_dir / "service.log"
        self._command = [sys.executable, "-m", "assay", "up", "--host", HOST, "--port", str(port)]
        self._command += ["--data-dir", str(data_dir), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # The settings of the user's own service, its database above all, are none of ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we end the service in good order
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            pass  # too slow, or a second Ctrl-C: the force below
        finally:
            _kill_session(self._process.pid)
            self._process.wait()

    def wait_until_ready(self, client: Client) -> None:
        """Raises AssayError, with the end of the log, when the service ends or is not ready in time."""
        deadline = time.monotonic() + _START_SECONDS
        while not client.ready():
            self.check()
            if time.monotonic() > deadline:
                raise self._broken(f"the service was not ready after {_START_SECONDS:.0f} seconds")
            time.sleep(0.2)
        self.check()

    def wait_for_end(self) -> None:
        """Serves on. Returns only by an exception: of the caller's signals, or AssayError when the service ends."""
        assert self._process
        self._process.wait()
        self.check()

    def check(self) -> None:
        """Raises AssayError if the service has ended."""
        assert self._process
        if (code := self._process.poll()) is not None:
            raise self._broken(f"the service ended by itself (exit code {code})")

    def _broken(self, message: str) -> AssayError:
        error = AssayError(f"{message}; the end of {self.log}:")
        error.add_note("\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL:]))
        return error


def _kill_session(leader: int) -> None:
    """Kills what is left of the session that the leader began, also when the leader itself is gone.

    Its process group is not enough: Ray gives every worker a group of its own, and they outlive it for a while.
    """
    with suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
    for entry in Path("/proc").glob("[1-9]*"):  # where there is no /proc, the group has to do
        with suppress(OSError):  # that process has just ended
            if os.getsid(pid := int(entry.name)) == leader:
                os.kill(pid, signal.SIGKILL)


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on. Raises AssayError when there is none."""
    for port in range(first, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service will: TIME_WAIT is no obstacle
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise AssayError(f"no free port from {first} on")
