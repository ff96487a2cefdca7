"""Evolution at full fidelity: children of good configs, one gene changed, in two forms that differ in who survives.

`RegularizedEvolution` (Real et al. 2019): a queue. The best of a random few is the parent, the child joins the queue
when it succeeds, and the oldest leaves it, however good: a config that was lucky once has to prove itself through its
children. `ElitistEvolution`: generations. The best few live on, the rest is replaced by children.

Nobody waits: members join in the order in which they succeed, and parents are chosen among those that have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from search.actions import Sample
from search.history import INHERITS, Config, Ended, Event, History, Outcome, Run, RunState
from search.points import points
from search.samplers import Origin, Streams
from search.samplers.random import RandomSampler
from search.samplers.variation import crossed, mutated
from spaces import Space

Member = tuple[float, int]
"""(loss, trial): the best is the least."""

Removal = Literal["oldest", "worst"]
Selection = Literal["rank", "tournament"]


@dataclass(frozen=True, slots=True)
class RegularizedEvolution:
    """The first `population` trials are uniform draws (failed ones are made up for), all others are children.

    The parent is the best of `tournament` members, drawn without replacement; None is a fifth of the population, two at
    least. Removing the "worst" instead of the "oldest" is the non-aging variant that Real et al. compare with.
    """

    space: Space
    population: int = 20
    tournament: int | None = None
    removes: Removal = "oldest"

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        queue = history.view(self, lambda: Queue(self.population, self.removes))
        if queue.succeeded + history.open_count < self.population or not queue.members:
            return RandomSampler(self.space).sample(request, history, streams)
        parent = -1

        def child(rng: np.random.Generator) -> Config:
            nonlocal parent
            members = queue.members
            size = min(_tournament(self.tournament, self.population), len(members))
            _, parent = min(members[int(index)] for index in rng.choice(len(members), size, replace=False))
            return mutated(self.space, _config(history, parent), rng)

        config, left = points(self.space, history).new(streams("config"), child)
        origin = {"rule": "mutation", "probabilities": {"mutation": 1.0}}
        return config, {**origin, "left": left} if left is not None else {**origin, "parent": parent}


@dataclass(frozen=True, slots=True)
class ElitistEvolution:
    """The first `population` trials are uniform draws (failed ones are made up for), all others are children.

    A generation has `population` members: the best of the one before, a share of `elites` rounded up, and the children
    that have succeeded since; it is complete with the last of them, and the parent of all that are drawn until the
    next. Parents are drawn with replacement, with weights N, N - 1, ..., 1 by "rank" or as the best of a "tournament".
    With probability `crossover` the child takes each gene from one of two parents at random before it is mutated.
    With `inherit` it begins with what its (first) parent has learned.
    """

    space: Space
    population: int = 20
    elites: float = 0.1
    selection: Selection = "tournament"
    tournament: int | None = None
    crossover: float = 0.3
    inherit: bool = False

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        generations = self._generations(history)
        members = generations.members
        if generations.succeeded + history.open_count < self.population or not members:
            return RandomSampler(self.space).sample(request, history, streams)
        parents: list[int] = []

        def child(rng: np.random.Generator) -> Config:
            nonlocal parents
            crossing = bool(rng.random() < self.crossover)
            parents = [self._select(members, rng) for _ in range(1 + crossing)]
            config = _config(history, parents[0])
            if crossing:
                config = crossed(self.space, config, _config(history, parents[1]), rng)
            return mutated(self.space, config, rng)

        config, left = points(self.space, history).new(streams("config"), child)
        origin: dict[str, Any] = {
            "rule": "crossover" if len(parents) == 2 else "mutation",
            "probabilities": {"mutation": 1 - self.crossover, "crossover": self.crossover},
            "generation": generations.number + 1,
        }
        if left is not None:
            return config, {**origin, "left": left}
        return config, {**origin, "parents": parents, **self._inherited(history, parents[0])}

    def possible_parents(self, history: History) -> set[int]:
        """The runs of all trials that may yet be parents."""
        return {history.runs_of(trial)[0] for _, trial in self._generations(history).candidates}

    def _generations(self, history: History) -> Generations:
        return history.view(self, lambda: Generations(self.population, self.elites))

    def _inherited(self, history: History, parent: int) -> Origin:
        """What was carried out elsewhere has left no weights here."""
        run = history.runs[history.runs_of(parent)[0]]
        return {INHERITS: run.number} if self.inherit and not run.told else {}

    def _select(self, members: list[Member], rng: np.random.Generator) -> int:
        if self.selection == "rank":
            weights = np.arange(len(members), 0, -1, dtype=np.float64)
            return members[int(rng.choice(len(members), p=weights / weights.sum()))][1]
        size = _tournament(self.tournament, self.population)
        return min(members[int(index)] for index in rng.integers(len(members), size=size))[1]


class Queue:
    """The view of the queue: the last `size` successes, or the best ones; oldest first."""

    def __init__(self, size: int, removes: Removal) -> None:
        self.members: list[Member] = []
        self.succeeded = 0
        self._size, self._removes = size, removes

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if _joins(history.runs[number], outcome):
                self.succeeded += 1
                self.members.append((outcome.loss, history.runs[number].trial))
                if len(self.members) > self._size:
                    gone = 0 if self._removes == "oldest" else self.members.index(max(self.members))
                    del self.members[gone]


class Generations:
    """The view of the last complete generation, best first; of the successes so far while there is none."""

    def __init__(self, size: int, elites: float) -> None:
        self.number = -1
        self.succeeded = 0
        self._size = size
        self._elites = elite_count(size, elites)
        self._members: list[Member] = []
        self._children: list[Member] = []

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if _joins(history.runs[number], outcome):
                self.succeeded += 1
                self._children.append((outcome.loss, history.runs[number].trial))
                elites = self._members[: self._elites]
                if len(elites) + len(self._children) == self._size:
                    self._members = sorted(elites + self._children)
                    self._children = []
                    self.number += 1

    @property
    def members(self) -> list[Member]:
        return self._members or sorted(self._children)

    @property
    def candidates(self) -> list[Member]:
        """The members of this generation, and those of the next so far."""
        return self._members + self._children


def elite_count(population: int, share: float) -> int:
    """The share rounded up; at least one member of a generation is new."""
    return min(int(np.ceil(round(share * population, 9))), population - 1)


def _joins(run: Run, outcome: Outcome) -> bool:
    return outcome.state is RunState.SUCCEEDED and not run.partial


def _tournament(size: int | None, population: int) -> int:
    return max(2, population // 5) if size is None else size


def _config(history: History, trial: int) -> Config:
    return history.runs[history.runs_of(trial)[0]].config
