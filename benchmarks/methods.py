"""The methods that are compared: any row of ALGORITHMS with any options, and the peers.

A method is written `name`, `name:option=value,option=value` or `name@good` (`medium`, `bad`: it is told a prior of that
quality); a peer's name begins with `peer/`. `auto` is, on each task, the method that it chooses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.peers.client import PeerSession
from benchmarks.protocol import Session, Suggestion
from benchmarks.tasks import Missing, Task
from benchmarks.tasks.priors import QUALITIES, with_prior
from search import ALGORITHMS, Added, Ended, History, Outcome, Run, RunState, StudySpec, ask
from search.auto import NAME as AUTO
from spaces import InvalidInput
from spaces.checks import unknown

ROOT = Path(__file__).resolve().parents[1]
PEER_PREFIX = "peer/"
SHARED = ("client", "wire", "configspace")
"""The modules of `benchmarks.peers` that all adapters may use."""

FULL_ONLY = {"name": "full", "type": "float", "low": 1.0, "high": 1.01}
"""A fidelity too short for a second rung: on a task without one, a multi-fidelity algorithm runs everything in full."""


@dataclass(frozen=True)
class Method:
    """A name as it was written, and what it stands for. `start` opens a search."""

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    prior: str | None = None

    @property
    def peer(self) -> bool:
        return self.label.startswith(PEER_PREFIX)

    def on(self, task: Task, budget: float) -> Method:
        """What is played on a task: of `auto` what it chooses there for this budget, so the searches are the same."""
        if self.name != AUTO:
            return self
        space = task.space if self.prior is None else with_prior(task, self.prior, 0)  # any seed: that there is one
        chosen = StudySpec.from_json(_study(space, {"name": AUTO, **self.options}, 0, budget)).algorithm.name
        return parse(chosen if self.prior is None else f"{chosen}@{self.prior}")

    def start(self, task: Task, seed: int, budget: float) -> Session:
        """Opens a search. Raises Missing when this machine or this task cannot serve the method."""
        space = task.space if self.prior is None else with_prior(task, self.prior, seed)
        if self.peer:
            return PeerSession(self.name, space, task.eta, seed, budget, self.options)
        return OwnSession(space, task.eta, {"name": self.name, **self.options}, seed, budget)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the code that the results come from: an older result is not that of this method."""
        sources = [ROOT / "benchmarks" / "protocol.py", *sorted((ROOT / "benchmarks" / "tasks").glob("*.py"))]
        if self.peer:
            sources += [ROOT / "benchmarks" / "peers" / f"{name}.py" for name in (PEERS[self.name].adapter, *SHARED)]
            version = " ".join(PEERS[self.name].requirements)
        else:
            sources += sorted(path for package in ("search", "spaces") for path in (ROOT / package).rglob("*.py"))
            version = ""
        digest = hashlib.blake2b(version.encode(), digest_size=8)
        for source in sources:
            digest.update(source.read_bytes())
        return digest.hexdigest()


class OwnSession:
    """An algorithm of the table, played in this process."""

    def __init__(
        self, space: Mapping[str, Any], eta: float, algorithm: dict[str, Any], seed: int, budget: float
    ) -> None:
        row = ALGORITHMS[algorithm["name"]]
        self._full = row.needs_fidelity and "fidelity" not in space
        if self._full:
            space = {**space, "fidelity": FULL_ONLY}
        if any(option.name == "eta" for option in row.options) and not self._full:
            algorithm = {"eta": eta, **algorithm}
        try:
            self._study = StudySpec.from_json(_study(space, algorithm, seed, budget))
        except InvalidInput as invalid:
            raise Missing(f"{algorithm['name']} cannot serve the space: {invalid}") from invalid
        self._history = History()

    def ask(self) -> Suggestion | None:
        run = ask(self._study, self._history)
        if not isinstance(run, Run):
            return None
        self._history.append(Added(run))
        resumed = 0.0 if run.resume_from is None else self._history.runs[run.resume_from].fidelity or 0.0
        return Suggestion(run.config, None if self._full else run.fidelity, resumed, run.number)

    def tell(self, suggestion: Suggestion, loss: float) -> None:
        self._history.append(Ended(suggestion.token, Outcome(RunState.SUCCEEDED, (loss,))))

    def close(self) -> None:
        pass


def _study(space: Mapping[str, Any], algorithm: Mapping[str, Any], seed: int, budget: float) -> dict[str, Any]:
    return {
        "space": space,
        "algorithm": algorithm,
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "budget": {"max_fidelity": budget * (space["fidelity"]["high"] if "fidelity" in space else 1)},
        "seed": seed,
    }


def parse(written: str) -> Method:
    """Reads a method; values of options are JSON or else text. Raises ValueError with what is known."""
    rest, _, prior = written.partition("@")
    label, _, given = rest.partition(":")
    options = dict(_option(part, written) for part in given.split(",")) if given else {}
    if prior and prior not in QUALITIES:
        raise ValueError(unknown("quality of a prior", prior, list(QUALITIES)))
    known = [AUTO, *ALGORITHMS, *(PEER_PREFIX + name for name in PEERS)]
    if label not in known:
        raise ValueError(unknown("method", label, known))
    return Method(written, label.removeprefix(PEER_PREFIX), options, prior or None)


def _option(part: str, written: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not equals:
        raise ValueError(f"{written!r}: write options as name=value, got {part!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
