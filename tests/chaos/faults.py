"""What goes wrong at an installation, one thing after another, drawn from a seed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from tests.chaos.installation import STUDY_LEASE_SECONDS, Installation, below_of, pick
from tests.chaos.objective import LEASE_SECONDS
from tests.chaos.proxy import NOISE, STORM
from tests.chaos.supervisor import Process

PATIENCE_SECONDS = 60.0
"""So long a fault waits for somebody whom it can happen to."""


@dataclass(frozen=True)
class Fault:
    """One that happened: when, in seconds since the first, and to whom."""

    at: float
    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.kind}: {self.target}"


class Chaos:
    """Brings faults about. Each method is one kind; it answers to whom it happened, or None when nobody was there."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self.installation = installation
        self.faults: list[Fault] = []
        self._random = random.Random(f"faults/{seed}")
        self._began = time.monotonic()

    def run(self, weights: Mapping[str, int], number: int, gap: tuple[float, float]) -> None:
        """`number` faults, each kind at least once if there are enough; between two of them a while from `gap`."""
        kinds = list(weights)
        self._random.shuffle(kinds)
        kinds += self._random.choices(list(weights), list(weights.values()), k=max(0, number - len(kinds)))
        kinds = kinds[:number]
        self._random.shuffle(kinds)
        for kind in kinds:
            self._wait(self._random.uniform(*gap))
            bring_about: Callable[[], str | None] = getattr(self, f"_{kind.replace(' ', '_')}")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (target := self._locked(bring_about)) is None:
                assert time.monotonic() < deadline, f"nobody to {kind}\n{self.installation.tails()}"
                self._wait(0.2)
            self._tell(Fault(time.monotonic() - self._began, kind, target))

    def summary(self) -> str:
        """How many of each kind, and all of them in order."""
        lines = [f"{number:4d} {kind}" for kind, number in sorted(Counter(one.kind for one in self.faults).items())]
        lines += [f"{number:4d} requests: {kind}" for kind, number in sorted(self.installation.proxy.done.items())]
        return "\n".join([*lines, *map(str, self.faults)])

    def _tell(self, fault: Fault) -> None:
        """In a file too, for whoever looks on meanwhile."""
        self.faults.append(fault)
        with (self.installation.folder / "faults.txt").open("a") as file:
            file.write(f"{fault}\n")

    def _wait(self, seconds: float) -> None:
        """Meanwhile there is always something to do."""
        until = time.monotonic() + seconds
        self.installation.refill()
        time.sleep(max(0.0, until - time.monotonic()))

    def _locked(self, bring_about: Callable[[], str | None]) -> str | None:
        with self.installation.supervisor.lock:
            self.installation.remember_children()
            return bring_about()

    # Processes that are killed

    def _kill_api(self) -> str | None:
        return self._kill(self.installation.apis)

    def _kill_dispatcher(self) -> str | None:
        return self._kill(self.installation.dispatchers)

    def _kill_worker(self) -> str | None:
        return self._kill(self.installation.workers)

    def _kill(self, processes: Sequence[Process]) -> str | None:
        process = pick(self._random, processes)
        if process:
            process.kill(down=self._random.uniform(0, 1))
        return process and process.name

    # Processes that hang, and come back when they are given up

    def _freeze_api(self) -> str | None:
        return self._freeze(self.installation.apis, self._random.uniform(0.5, 6))

    def _freeze_dispatcher(self) -> str | None:
        return self._freeze(self.installation.dispatchers, STUDY_LEASE_SECONDS + self._random.uniform(0.5, 2))

    def _freeze_worker(self) -> str | None:
        return self._freeze(self.installation.workers, LEASE_SECONDS + self._random.uniform(0.5, 2))

    def _freeze(self, processes: Sequence[Process], seconds: float) -> str | None:
        process = pick(self._random, processes)
        if not process:
            return None
        process.freeze()
        self.installation.later(seconds, lambda: self._thaw(process))
        return f"{process.name}, {seconds:.1f} s"

    def _thaw(self, process: Process) -> None:
        with self.installation.supervisor.lock:
            process.thaw()

    # The database

    def _kill_postgres(self) -> str | None:
        if not self.installation.postgres.up:
            return None
        self.installation.postgres.kill()
        seconds = self._random.uniform(0, 2)
        self.installation.later(seconds, self.installation.postgres.start)
        return f"{seconds:.1f} s"

    def _cut_connections(self) -> str | None:
        if not self.installation.postgres.up:
            return None
        return str(self.installation.postgres.cut_connections())

    # The network

    def _storm(self) -> str | None:
        seconds = self._random.uniform(1, 3)
        self.installation.proxy.weather = STORM
        self.installation.later(seconds, lambda: setattr(self.installation.proxy, "weather", NOISE))
        return f"{seconds:.1f} s"

    def _cut_off_replica(self) -> str | None:
        port, seconds = self._random.choice(self.installation.ports), self._random.uniform(1, 3)
        self.installation.proxy.unreachable.add(port)
        self.installation.later(seconds, lambda: self.installation.proxy.unreachable.discard(port))
        return f"{seconds:.1f} s"

    # Ray

    def _kill_ray_worker(self) -> str | None:
        return self._kill_below("ray::Worker")

    def _kill_ray_head(self) -> str | None:
        return self._kill_below("gcs_server")

    def _kill_raylet(self) -> str | None:
        return self._kill_below("raylet")

    def _kill_below(self, what: str) -> str | None:
        """Something that a dispatcher has started."""
        found: list[tuple[Process, psutil.Process]] = []
        for dispatcher in self.installation.dispatchers:
            if not dispatcher.frozen:
                found += [(dispatcher, process) for process in below_of(dispatcher) if _is(process, what)]
        if not found:
            return None
        dispatcher, process = self._random.choice(found)
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return None
        return f"{process.pid} of {dispatcher.name}"


def _is(process: psutil.Process, what: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return bool(words) and words[0].rpartition("/")[2].startswith(what)
