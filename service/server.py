"""Everything in one process: API, dispatcher and pool; or one of them, for a deployment on several machines."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import IO

import uvicorn

from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseError
from service.dispatcher import Dispatcher
from service.settings import Settings, SettingsInvalid, load_settings
from workers.protocol import Pool

log = logging.getLogger(__name__)


class StartError(RuntimeError):
    """The service cannot start; the message says why and what to do."""


def up(
    *,
    host: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    pool: str | None = None,
    workers: int | None = None,
    database_url: str | None = None,
    only: str | None = None,
) -> None:
    """`assay up`: serves until SIGINT or SIGTERM. What is None comes from the environment. Raises StartError."""
    try:
        serve(
            load_settings(
                host=host,
                port=port,
                data_dir=data_dir,
                pool=pool,
                workers=workers,
                database_url=database_url,
                role=only,
            )
        )
    except (SettingsInvalid, DatabaseError) as error:
        raise StartError(str(error)) from error


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises StartError or DatabaseError when it cannot start or go on."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("alembic", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # uvicorn raises the signals that it took again when it is done; by default they would end the process on the spot,
    # before the dispatcher has given its studies back.
    asked = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: asked.set())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    # Two dispatchers on an embedded database would take each other's leases; PostgreSQL may have many.
    alone = database.embedded and settings.role != "api"
    with _only_one(Path(f"{database.url.database}.lock")) if alone else nullcontext():
        try:
            # The port is taken first: failing late would leave a started Ray behind for nothing.
            listener = _listen(settings.host, settings.port) if settings.role != "dispatcher" else None
            database.migrate()
            worker = DispatcherThread(settings, database) if settings.role != "api" else None
            if worker:
                worker.start()
            try:
                if listener:
                    _serve_http(settings, database, listener, worker)
                else:
                    asked.wait()
            finally:
                if worker:
                    worker.stop()
        finally:
            database.dispose()
    if worker and worker.error:
        raise StartError(f"the dispatcher ended: {worker.error}") from worker.error


class DispatcherThread(threading.Thread):
    """Runs the dispatcher and its pool beside the API. `error` holds what ended it, if it did not end on request."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(name="dispatcher")
        self.settings = settings
        self.database = database
        self.stopping = threading.Event()
        self.working = False
        self.error: BaseException | None = None

    def trouble(self) -> str | None:
        """Why no study is worked on just now; None when all is well."""
        if self.error:
            return f"it failed: {self.error}"
        return None if self.working else "it is starting its workers"

    def run(self) -> None:
        pool: Pool | None = None
        try:
            pool = make_pool(self.settings)
            checkpoints = Checkpoints(self.settings.data_dir.resolve() / "checkpoints")
            dispatcher = Dispatcher(self.database, pool, checkpoints, exclusive=self.database.embedded)
            self.working = True
            dispatcher.run(self.stopping)
        except Exception as error:  # the end of a thread: the process must learn of it and end too
            log.exception("the dispatcher failed")
            self.error = error
            if not self.stopping.is_set():
                signal.raise_signal(signal.SIGTERM)
        finally:
            if pool:
                pool.shutdown()

    def stop(self) -> None:
        self.stopping.set()
        self.join()


def make_pool(settings: Settings) -> Pool:
    """The pool that the settings name; ray and torch are loaded only now."""
    if settings.pool == "local":
        from workers.pools.local import LocalPool

        return LocalPool(settings.workers or os.cpu_count() or 1)
    from workers.pools.ray_pool import RayPool

    return RayPool(settings.workers, address=settings.ray_address)


class HttpServer(uvicorn.Server):
    """Ends the open event streams when a signal asks the server to stop, instead of waiting for their clients."""

    def __init__(self, config: uvicorn.Config, closing: threading.Event) -> None:
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._closing.set()
        super().handle_exit(sig, frame)


def _serve_http(
    settings: Settings, database: Database, listener: socket.socket, worker: DispatcherThread | None
) -> None:
    app = create_app(settings, database, {"dispatcher": worker.trouble} if worker else None)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3)
    log.info("serving on http://%s:%d", settings.host, listener.getsockname()[1])
    HttpServer(config, app.state.closing).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host"
        ) from error
    listener.listen(2048)
    return listener


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Holds the lock on the database, which the kernel gives back even after a kill -9."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(
                f"{path.with_suffix('')} is in use by {_holder(file)}; choose another --data-dir"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "another process"
