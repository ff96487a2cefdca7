"""A pool that does what the test says, and studies to run on it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.dispatcher import Dispatcher
from service.lifecycle import create_study
from service.models import DEFAULT_PROJECT_ID, Study
from service.repositories.studies import Studies
from workers.protocol import (
    Assignment,
    Failed,
    FailureClass,
    Finished,
    PoolEvent,
    Preempted,
    Report,
    Reported,
    Resources,
    Result,
    Started,
)


class ScriptedPool:
    """Workers that never do anything by themselves: the test ends their attempts."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self.steps: dict[str, int] = {}
        self.preempted: list[str] = []
        self.open: dict[str, Assignment] = {}
        self.submitted: list[Assignment] = []
        self.stopped: list[str] = []
        self.killed: list[str] = []
        self.wanted: Mapping[Resources, int] = {}
        self.events: list[PoolEvent] = []

    def capacity(self, resources: Resources) -> int:
        return max(0, self.workers - len(self.open)) if resources.gpus == 0 else 0

    def submit(self, assignment: Assignment) -> None:
        assert len(self.open) < self.workers, "more was submitted than the pool has room for"
        self.open[assignment.key] = assignment
        self.submitted.append(assignment)
        self.events.append(Started(assignment.key, "worker"))

    def poll(self, timeout: float) -> list[PoolEvent]:
        events, self.events = self.events, []
        return events

    def stop(self, key: str) -> None:
        self.stopped.append(key)

    def preempt(self, key: str) -> None:
        """The attempts obey at once, where the test has said after which step."""
        self.preempted.append(key)
        assignment = self.open.get(key)
        if assignment is not None and assignment.key in self.steps:
            self.give_back(assignment, self.steps[key])

    def want(self, shapes: Mapping[Resources, int]) -> None:
        self.wanted = dict(shapes)

    def kill(self, key: str) -> None:
        self.killed.append(key)
        self.open.pop(key, None)

    def shutdown(self) -> None:
        self.open.clear()

    @property
    def first(self) -> Assignment:
        return next(iter(self.open.values()))

    def report(self, assignment: Assignment, step: int, **metrics: float) -> None:
        self.events.append(Reported(assignment.key, Report(step, metrics)))

    def finish(
        self, assignment: Assignment, *, stopped: bool = False, details: dict[str, Any] | None = None, **metrics: float
    ) -> None:
        del self.open[assignment.key]
        if assignment.checkpoint:
            assignment.checkpoint.write_text("saved")
        result = Result(metrics, assignment.checkpoint is not None, details or {})
        self.events.append(Finished(assignment.key, result, stopped))

    def give_back(self, assignment: Assignment, step: int) -> None:
        """The attempt was preempted after this step."""
        del self.open[assignment.key]
        if assignment.checkpoint is None:
            self.events.append(Preempted(assignment.key, Result({})))
            return
        assignment.checkpoint.write_text(f"saved after step {step}")
        self.events.append(Preempted(assignment.key, Result({"loss": float(step)}, checkpointed=True), step))

    def fail(self, assignment: Assignment, failure: FailureClass, message: str = "it broke") -> None:
        del self.open[assignment.key]
        self.events.append(Failed(assignment.key, failure, message, "Traceback ..."))


class Flaky:
    """A database whose commits fail on demand: before they are stored, or after, when only the answer is lost."""

    def __init__(self, database: Database, stored: bool) -> None:
        self.database = database
        self.embedded = database.embedded
        self.telemetry = database.telemetry
        self.stored = stored
        self.failures = 0

    @contextmanager
    def session(self, *, write: bool = True) -> Any:
        fail = write and self.failures > 0
        self.failures -= fail
        with self.database.session(write=write) as session:
            yield session
            if fail and not self.stored:
                session.flush()
                raise DatabaseUnavailable("the connection broke")
        if fail:
            raise DatabaseUnavailable("the connection broke")


STUDY: dict[str, Any] = {
    "name": "s",
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ]
    },
    "objective": {"type": "function", "function": "branin"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 4},
    "parallelism": 2,
}
HYPERBAND = {
    "space": {**STUDY["space"], "fidelity": {"name": "epochs", "low": 1, "high": 9}},
    "algorithm": {"name": "hyperband", "eta": 3},
}


@pytest.fixture
def pool() -> ScriptedPool:
    return ScriptedPool()


@pytest.fixture
def study_payload() -> dict[str, Any]:
    return dict(STUDY)


@pytest.fixture
def hyperband_payload() -> dict[str, Any]:
    return {**STUDY, **HYPERBAND, "budget": {"max_runs": 22}}


@pytest.fixture
def create(sqlite_database: Database) -> Callable[..., int]:
    """Stores a study, `STUDY` with changes, and answers its id."""

    def make(payload: dict[str, Any] | None = None, **changes: Any) -> int:
        with sqlite_database.session() as session:
            return create_study(session, {**(payload or STUDY), **changes}).id

    return make


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


@pytest.fixture
def breaking(sqlite_database: Database) -> Callable[[bool], Flaky]:
    """The database, to be broken: after what was written is stored, or before."""
    return lambda stored: Flaky(sqlite_database, stored)


@pytest.fixture
def dispatcher(sqlite_database: Database, pool: ScriptedPool, checkpoints: Checkpoints) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    yield dispatcher
    dispatcher.hand_over()


@pytest.fixture
def turn(dispatcher: Dispatcher) -> Callable[[], None]:
    """One turn of the dispatcher's loop that looks at the studies whatever the clock says."""
    return lambda: take_turn(dispatcher)


def take_turn(dispatcher: Dispatcher) -> None:
    dispatcher._next_look = 0.0
    dispatcher.step(0.0)


@pytest.fixture
def show(sqlite_database: Database) -> Callable[[], Study]:
    """The study `s` as it is stored."""

    def read(name: str = "s") -> Study:
        with sqlite_database.session(write=False) as session:
            return Studies(session, DEFAULT_PROJECT_ID).get(name)

    return read


class Server:
    """The app on a socket, in a thread of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    @property
    def requests(self) -> int:
        """How many are being answered."""
        return len(self._server.server_state.tasks)

    def stop(self, timeout: float = 30) -> bool:
        """Whether the server has ended, with all its connections."""
        self.app.state.closing.set()
        self._server.should_exit = True
        self._thread.join(timeout)
        return not self._thread.is_alive()


@pytest.fixture
def server(app: FastAPI) -> Iterator[Server]:
    """The fixture `app`, served."""
    server = Server(app)
    yield server
    assert server.stop()
