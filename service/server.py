"""Everything in one process: API, dispatcher and pool; or one of them, for a deployment on several machines."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeVar

import uvicorn

from service.api_processes import ApiProcessesFailed, end_with_parent, shared_metrics, supervise
from service.app import create_app
from service.auth.bootstrap import first_token
from service.database import Database, DatabaseError
from service.dispatcher import Dispatcher
from service.files import checkpoints_of, store_of
from service.observability import traces
from service.observability.endpoint import serve_metrics
from service.observability.logs import configure
from service.observability.metrics import Metrics
from service.observability.telemetry import Telemetry
from service.observability.traces import Traces, TracesUnavailable
from service.settings import Settings
from service.settings_sources import SettingsInvalid, load_settings
from service.store import StorageError
from service.store.sweep import sweeping
from service.webhooks.deliverer import Deliverer
from service.webhooks.targets import Guard
from workers.protocol import Pool

log = logging.getLogger(__name__)

BACKLOG = 2048

T = TypeVar("T")


class StartError(RuntimeError):
    """The service cannot start; the message says why and what to do."""


def up(*, config: Path | None = None, **options: Any) -> None:
    """`assay up`: serves until SIGINT or SIGTERM.

    `options` are settings by their names; what is None comes from the environment or the file of settings.
    Raises StartError.
    """
    try:
        serve(load_settings(config, **options))
    except (SettingsInvalid, DatabaseError) as error:
        raise StartError(str(error)) from error


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises StartError or DatabaseError when it cannot start or go on."""
    configure(settings.log_level, settings.log_format)
    asked = _asked_to_end()
    with ExitStack() as stack:
        # Everything that may be missing is taken first: failing late would leave a started Ray behind for nothing.
        prepared = _prepare(settings, stack)
        telemetry = Telemetry(Metrics(settings.role), prepared.traces)
        database = Database(settings.database_url, telemetry)
        stack.callback(database.dispose)
        if database.embedded and settings.role != "api":
            # Two dispatchers on an embedded database would take each other's leases; PostgreSQL may have many.
            stack.enter_context(_only_one(Path(f"{database.url.database}.lock")))
        database.migrate()
        _announce(settings, prepared)
        if prepared.listener and (token := first_token(settings, database)):
            # Not logged: logs are kept, and read by others.
            sys.stderr.write(f"\nThe first token, good for everything; it is not shown again:\n\n    {token}\n\n")
        if prepared.metrics:
            stack.enter_context(serve_metrics(prepared.metrics, database))
        if prepared.listener and settings.api_workers > 1:
            database.dispose()  # its connections are not for others
            _supervise(settings, prepared.listener, asked)
        else:
            _work(settings, database, prepared.listener, asked)


def _asked_to_end() -> threading.Event:
    """Set by SIGINT and SIGTERM.

    uvicorn raises the signals that it took again when it is done; by default they would end the process on the spot,
    before the dispatcher has given its studies back.
    """
    asked = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: asked.set())
    return asked


def _work(settings: Settings, database: Database, listener: socket.socket | None, asked: threading.Event) -> None:
    """API, dispatcher or both in this process, until it is asked to end."""
    worker = DispatcherThread(settings, database) if settings.role != "api" else None
    if worker:
        worker.start()
    webhooks = Deliverer(database, Guard(settings.webhooks_allow_private)).running() if worker else nullcontext()
    try:
        with webhooks, sweeping(database, store_of(settings)) if worker else nullcontext():
            if listener:
                _serve_http(settings, database, listener, worker, asked)
            else:
                asked.wait()
    finally:
        if worker:
            worker.stop()
    if worker and worker.error:
        raise StartError(f"the dispatcher ended: {worker.error}") from worker.error


def _supervise(settings: Settings, listener: socket.socket, asked: threading.Event) -> None:
    try:
        supervise(_api_process, (settings, listener), settings.api_workers, asked)
    except ApiProcessesFailed as error:
        raise StartError(str(error)) from error


def _api_process(settings: Settings, listener: socket.socket) -> None:
    """One of several processes for the API, on a database that its parent has migrated."""
    configure(settings.log_level, settings.log_format)
    asked = _asked_to_end()
    end_with_parent()
    telemetry = Telemetry(Metrics(settings.role), traces.configure(settings.otel_endpoint, settings.role))
    database = Database(settings.database_url, telemetry)
    try:
        _serve_http(settings, database, listener, None, asked)
    finally:
        telemetry.traces.shutdown()
        database.dispose()


@dataclass(frozen=True)
class Prepared:
    """What a process needs from its machine."""

    traces: Traces
    listener: socket.socket | None
    metrics: socket.socket | None


def _prepare(settings: Settings, stack: ExitStack) -> Prepared:
    """Takes ports, the data directory and what sends traces. Raises StartError with everything that is missing."""
    problems: list[str] = []

    def attempt(take: Callable[[], T]) -> T | None:
        try:
            return take()
        except (StartError, TracesUnavailable, StorageError) as error:
            problems.append(str(error))
            return None

    attempt(lambda: _make_folder(settings.data_dir))
    attempt(lambda: store_of(settings))
    found = attempt(lambda: traces.configure(settings.otel_endpoint, settings.role))
    listener = attempt(lambda: _listen(settings.host, settings.port)) if settings.serves_http else None
    metrics = None
    if settings.metrics_port is not None:
        port = settings.metrics_port
        metrics = attempt(lambda: _listen(settings.host, port, "ASSAY_METRICS_PORT"))
    for taken in (listener, metrics):
        if taken:
            stack.callback(taken.close)
    if problems:
        raise StartError("\n".join(problems))
    assert found is not None
    stack.callback(found.shutdown)
    if settings.api_workers > 1:
        stack.enter_context(shared_metrics())
    return Prepared(found, listener, metrics)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"cannot make the data directory {path}: {error.strerror}; choose another --data-dir"
        ) from error


def _announce(settings: Settings, prepared: Prepared) -> None:
    """Says once what is served, where, and to whom."""
    log.info("database %s, data in %s", settings.shown_database, settings.data_dir)
    if prepared.listener:
        auth = "requests need a token" if settings.auth_on else "without auth, for this machine only"
        processes = f", {settings.api_workers} processes" if settings.api_workers > 1 else ""
        log.info("serving on http://%s (%s%s)", _address(settings.host, prepared.listener), auth, processes)
    if prepared.metrics:
        log.info("metrics on http://%s/metrics", _address(settings.host, prepared.metrics))
    if settings.role != "api":
        log.info("dispatching to the pool %s", settings.pool)


def _address(host: str, listener: socket.socket) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


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
        main = threading.main_thread().ident
        assert main is not None
        try:
            pool = make_pool(self.settings)
            checkpoints = checkpoints_of(self.settings, store_of(self.settings))
            dispatcher = Dispatcher(
                self.database,
                pool,
                checkpoints,
                lease_seconds=self.settings.lease_seconds,
                renewal_seconds=self.settings.renewal_seconds,
                exclusive=self.database.embedded,
                drain_seconds=self.settings.drain_seconds,
            )
            self.working = True
            dispatcher.run(self.stopping)
        except Exception as error:  # the end of a thread: the process must learn of it and end too
            log.exception("the dispatcher failed")
            self.error = error
            if not self.stopping.is_set():
                # To the main thread, which sleeps: a signal to this one would not wake it.
                signal.pthread_kill(main, signal.SIGTERM)
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

    return RayPool(
        settings.workers,
        address=settings.ray_address,
        object_store_bytes=settings.ray_object_store_bytes,
        idle_seconds=settings.ray_idle_seconds,
    )


class HttpServer(uvicorn.Server):
    """Ends the open event streams when a signal asks the server to stop, instead of waiting for their clients.

    `asked` says that a signal came before this server could hear it.
    """

    def __init__(self, config: uvicorn.Config, closing: threading.Event, asked: threading.Event) -> None:
        super().__init__(config)
        self._closing = closing
        self._asked = asked

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._closing.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """asyncio takes as many connections at once as the backlog that it is told, and so would one of several
        processes: it is told one, and afterwards the kernel the real number."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        self.should_exit |= self._asked.is_set()
        log.info("process %d answers requests", os.getpid())


def _serve_http(
    settings: Settings,
    database: Database,
    listener: socket.socket,
    worker: DispatcherThread | None,
    asked: threading.Event,
) -> None:
    app = create_app(settings, database, {"dispatcher": worker.trouble} if worker else None)
    config = uvicorn.Config(app, log_config=None, access_log=False, backlog=1, timeout_graceful_shutdown=3)
    HttpServer(config, app.state.closing, asked).run(sockets=[listener])


def _listen(host: str, port: int, setting: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, for asyncio sends small packets at once only where it knows the protocol; else clients wait 40 ms for each.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another {setting} or --host"
        ) from error
    listener.listen(BACKLOG)
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
