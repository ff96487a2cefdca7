"""A whole installation: PostgreSQL, replicas of the API behind a bad network, dispatchers, and people's own workers."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import sqlalchemy as sa

from service.database import Database, DatabaseUnavailable
from service.models import Study
from tests.chaos.follower import Follower
from tests.chaos.kinds import Kind
from tests.chaos.postgres import Postgres
from tests.chaos.proxy import QUIET, FaultyProxy
from tests.chaos.supervisor import Process, Supervisor, supervising

STUDY_LEASE_SECONDS = 3
READY_SECONDS = 90.0


@dataclass(frozen=True)
class Plan:
    """What an installation consists of."""

    kinds: Sequence[Kind]
    apis: int
    dispatchers: int
    pool: str
    workers: int


class Installation:
    """Keeps one study of every kind open until it is told to `drain`."""

    def __init__(self, plan: Plan, folder: Path, seed: int, postgres: Postgres, supervisor: Supervisor) -> None:
        self.plan = plan
        self.folder = folder
        self.seed = seed
        self.postgres = postgres
        self.supervisor = supervisor
        self.database = Database(postgres.url)
        self.ports = [_free_port() for _ in range(plan.apis)]
        self.proxy = FaultyProxy(self.ports, seed)
        self.studies: dict[str, Kind] = {}
        self.followers: dict[str, Follower] = {}
        self._names = folder / "studies.txt"
        self._names.touch()
        self._ordered: dict[str, dict[str, Any]] = {}
        self.stopped: dict[str, int | None] = {}
        self.left: list[int] = []
        self._timers: list[threading.Timer] = []
        self._children: set[psutil.Process] = set()
        environment = {"ASSAY_LEASE_SECONDS": str(STUDY_LEASE_SECONDS), "ASSAY_DATABASE_URL": postgres.url}
        self.apis = [self._process(f"api{i}", self._api(port), environment) for i, port in enumerate(self.ports)]
        self.dispatchers = [
            self._process(f"dispatcher{i}", self._dispatcher(), environment) for i in range(plan.dispatchers)
        ]
        self.workers = [self._process(f"worker{i}", self._worker(i), {}) for i in range(plan.workers)]

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def journal(self) -> list[dict[str, Any]]:
        """What the workers were answered."""
        lines = [line for path in self.folder.glob("journal-*") for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    # Life

    def start(self) -> None:
        self.proxy.start()
        self.database.migrate()
        for process in (*self.apis, *self.dispatchers):
            self.supervisor.add(process)
        for port in self.ports:
            self.wait_for(lambda port=port: _is_ready(port), f"the API on port {port} answers", READY_SECONDS)
        for process in self.workers:
            self.supervisor.add(process)

    def refill(self) -> None:
        """Orders a study of every kind of which none is open."""
        try:
            with self.database.session(write=False) as session:
                open_ = set(session.scalars(sa.select(Study.name).where(Study.finished_at.is_(None))))
        except DatabaseUnavailable:
            return
        busy = {self.studies[name].name for name in open_} | {self.studies[name].name for name in self._ordered}
        for kind in self.plan.kinds:
            if kind.name not in busy:
                name = f"{kind.name}-{sum(other is kind for other in self.studies.values())}"
                self.studies[name] = kind
                self._ordered[name] = kind.body(name, self.seed * 1000 + len(self.studies))
        self._submit()

    def _submit(self) -> None:
        """What was not answered is ordered again, with its key: it may be there although nobody has heard of it."""
        for name, body in list(self._ordered.items()):
            with contextlib.suppress(httpx.TransportError):
                headers = {"Idempotency-Key": name}
                answer = httpx.post(f"{self.proxy.url}/api/v1/studies", json=body, headers=headers, timeout=5)
                if answer.status_code == 503:
                    continue
                assert answer.status_code == 201, answer.text
                del self._ordered[name]
                self.followers[name] = Follower(self.ports, name)
                if self.studies[name].external:
                    with self._names.open("a") as names:
                        names.write(f"{name}\n")

    def drain(self, seconds: float) -> None:
        """Lets the weather clear and waits until all studies have ended."""
        self.proxy.weather = QUIET
        for timer in self._timers:
            timer.join()
        self.wait_for(self._all_ordered, "all studies are there", 60)
        self.wait_for(lambda: not self.unfinished(), "all studies end", seconds, self._where)

    def _all_ordered(self) -> bool:
        self._submit()
        return not self._ordered

    def unfinished(self) -> list[tuple[str, str, Any]]:
        with self.database.session(write=False) as session:
            unfinished = sa.select(Study.name, Study.state, Study.counts).where(Study.finished_at.is_(None))
            return [(name, state, counts) for name, state, counts in session.execute(unfinished)]

    def all_begun(self) -> bool:
        """Whether there is a study of every kind, and each has a result."""
        self.refill()
        with self.database.session(write=False) as session:
            counts = session.scalars(sa.select(Study.counts)).all()
        return len(counts) >= len(self.plan.kinds) and all(count.get("succeeded") for count in counts)

    def items(self, port: int, path: str) -> list[dict[str, Any]]:
        """Everything behind a paged address of a replica."""
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 1000}
        while True:
            page = httpx.get(f"http://127.0.0.1:{port}/api/v1{path}", params=query, timeout=30).json()
            items += page["items"]
            if page["next"] is None:
                return items
            query["after"] = page["next"]

    def wait_for(
        self, condition: Callable[[], object], what: str, seconds: float, why: Callable[[], str] = lambda: ""
    ) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(DatabaseUnavailable, httpx.TransportError):
                if condition():
                    return
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; {why()}\n{self.tails()}"
            time.sleep(0.1)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Does something after a while, at the latest before the studies are waited for."""
        timer = threading.Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def close(self) -> None:
        """Asks everybody to end; what is left of them afterwards is killed."""
        for timer in self._timers:
            timer.join()
        for follower in self.followers.values():
            follower.stop()
        self.supervisor.rest()
        below = self.remember_children()
        for worker in self.workers:
            if worker.running is not None:
                worker.kill(0)
        self.stopped = {process.name: process.stop() for process in (*self.dispatchers, *self.apis)}
        _, left = psutil.wait_procs(below, timeout=30)
        self.left = [process.pid for process in left]
        for process in self._children:  # of Ray two idle ones may outlive a kill -9 of what started them by a minute
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def remember_children(self) -> set[psutil.Process]:
        """The processes that the dispatchers have started, and those that they have; none of them is forgotten."""
        children = {child for dispatcher in self.dispatchers for child in below_of(dispatcher)}
        self._children |= children
        return children

    def tails(self) -> str:
        return "\n".join(f"--- {process.name}\n{process.tail(2000)}" for process in (*self.apis, *self.dispatchers))

    def _where(self) -> str:
        return str(self.unfinished())

    # The processes

    def _process(self, name: str, command: Callable[[int], Sequence[str]], environment: dict[str, str]) -> Process:
        return Process(name, command, self.folder / f"{name}.log", environment)

    def _api(self, port: int) -> Callable[[int], Sequence[str]]:
        return lambda _: [*self._up("api"), "--port", str(port)]

    def _dispatcher(self) -> Callable[[int], Sequence[str]]:
        return lambda _: [*self._up("dispatcher"), "--pool", self.plan.pool, "--workers", "2"]

    def _up(self, part: str) -> list[str]:
        return [sys.executable, "-m", "assay", "up", "--only", part, "--data-dir", str(self.data_dir)]

    def _worker(self, place: int) -> Callable[[int], Sequence[str]]:
        """After every other death another worker takes the place of the former one; else it comes back."""
        program = str(Path(__file__).with_name("worker.py"))
        journal = str(self.folder / f"journal-{place}")

        def command(start: int) -> Sequence[str]:
            name = f"worker-{place}-{start // 2}"
            return [sys.executable, program, self.proxy.url, name, str(self.seed), str(self._names), journal]

        return command


def below_of(process: Process) -> list[psutil.Process]:
    """The processes that a process has started, and those that they have."""
    if process.running is None:
        return []
    try:
        return psutil.Process(process.running.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextlib.contextmanager
def building(plan: Plan, folder: Path, seed: int) -> Iterator[Installation]:
    """A running installation of which nothing is left at the end."""
    postgres = Postgres()
    try:
        postgres.start()
        with supervising() as supervisor:
            installation = Installation(plan, folder, seed, postgres, supervisor)
            try:
                installation.start()
                yield installation
            finally:
                with supervisor.lock:
                    for process in supervisor.processes:
                        process.thaw()
                installation.close()
                installation.proxy.stop()
                installation.database.dispose()
    finally:
        postgres.remove()


def _is_ready(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200


def _free_port() -> int:
    """One that stays free while its owner is dead: the kernel gives none below 32768 to connections."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def pick(chance: random.Random, processes: Sequence[Process]) -> Process | None:
    """One that is alive and well."""
    found = [process for process in processes if process.alive and not process.frozen]
    return chance.choice(found) if found else None
