"""Local search: from the best config so far to a neighbour that is better, as long as there is one.

A *climb* begins at a random config. The neighbours of its centre (one parameter changed) are tried in random order; the
first that is strictly better becomes the new centre. When they are used up, another climb begins. Parallel workers try
several neighbours at once; a late result of an old centre's neighbour counts as any other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

from search.actions import Sample
from search.history import Added, Config, Ended, Event, History, RunState
from search.points import Points, points
from search.samplers import Origin, Streams
from spaces import Space


@dataclass(frozen=True, slots=True)
class LocalSampler:
    """The climb whose centre is best goes on first; ties go to the older centre. Configs that some trial already has,
    failed ones too, are no neighbours any more.

    The neighbours are those of `Space.neighbours`: numbers change by normal steps of the standard deviation `step` in
    the unit interval, integers with `integers="adjacent"` to the next value only.

    The first `initial` trials are uniform draws, of which the best are climbed from; later on, one in 1 / `epsilon` is,
    so that no corner of the space is given up for ever.
    """

    space: Space
    initial: int = 10
    epsilon: float = 0.02
    step: float = 0.2
    integers: Literal["normal", "adjacent"] = "normal"

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        tried = points(self.space, history)
        if history.trial_count >= self.initial:
            climbs = history.view("local", _Climbs)
            chance = {"neighbour": 1 - self.epsilon, "uniform": self.epsilon}
            if streams("rule").random() >= self.epsilon:
                if step := climbs.step(tried, lambda centre: self._around(centre, history, streams)):
                    parent, config = step
                    return config, {"rule": "neighbour", "probabilities": chance, "parent": parent}
                chance = {"uniform": 1.0}
        else:
            chance = {"uniform": 1.0}
        config, left = tried.new(streams("config"), self.space.sample)
        origin = {"rule": "uniform", "probabilities": chance}
        return config, origin if left is None else {**origin, "left": left}

    def _around(self, centre: int, history: History, streams: Streams) -> list[Config]:
        """The neighbours of a trial in random order: the same whenever they are asked for."""
        rng = streams.of(centre)("neighbours")
        config = history.runs[history.runs_of(centre)[0]].config
        found = self.space.neighbours(config, rng, sd=self.step, adjacent=self.integers == "adjacent")
        return [found[index] for index in rng.permutation(len(found))]


@dataclass(slots=True)
class _Climb:
    """Where a climb stands: its best success, as (loss, trial); and the neighbours of that trial, once they were asked
    for, of which the first `passed` are taken."""

    best: tuple[float, int] = (inf, 0)
    neighbours: list[Config] | None = None
    passed: int = 0


class _Climbs:
    """The view of all climbs."""

    def __init__(self) -> None:
        self._of: list[_Climb] = []  # by trial
        self._alive: list[tuple[float, int]] = []
        """A heap of the centres (loss, trial) that may have neighbours left, and of some that were left since."""

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.trial == len(self._of):
                is_neighbour = run.origin.get("rule") == "neighbour"
                self._of.append(self._of[run.origin["parent"]] if is_neighbour else _Climb())
            case Ended(number, outcome) if outcome.state is RunState.SUCCEEDED and not history.runs[number].partial:
                run = history.runs[number]
                climb = self._of[run.trial]
                if outcome.loss < climb.best[0]:
                    climb.best, climb.neighbours, climb.passed = (outcome.loss, run.trial), None, 0
                    heapq.heappush(self._alive, climb.best)

    def step(self, tried: Points, around: Callable[[int], list[Config]]) -> tuple[int, Config] | None:
        """The centre (its trial) to go on from and the next of its neighbours; None when no centre has any left."""
        while self._alive:
            centre = self._alive[0]
            climb = self._of[centre[1]]
            if climb.best == centre and (config := _next(climb, tried, around)) is not None:
                return centre[1], config
            heapq.heappop(self._alive)
        return None


def _next(climb: _Climb, tried: Points, around: Callable[[int], list[Config]]) -> Config | None:
    if climb.neighbours is None:
        climb.neighbours = around(climb.best[1])
    while climb.passed < len(climb.neighbours):
        config = climb.neighbours[climb.passed]
        if not tried.taken(config):
            return config
        climb.passed += 1
    return None
