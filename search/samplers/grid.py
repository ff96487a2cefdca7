"""Grid search: a few values per parameter, every combination once, in random order.

A numeric parameter has points at equal distances in its own scale, both ends included; every other one has all its
values. A conditional parameter multiplies only the combinations in which it is active, so no two of them are the same
config; what constraints rule out is left out. The order is drawn from the study's seed: a study that ends early has
covered the space evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from search.actions import Done, Sample
from search.history import Added, Config, Event, History, Value
from search.points import ENUMERABLE, points
from search.samplers import Origin, Streams
from spaces import Space
from spaces.conditions import Predicate, compiled
from spaces.domain import Domain
from spaces.structure import Declaration, topological_order

FORBIDDEN_IN_A_ROW = 100
"""Draws that constraints rule out, at most, when the grid is too large to list."""


@dataclass(frozen=True, slots=True)
class GridSampler:
    """`points` is the number of values of a numeric parameter; an integer has fewer when its range has fewer.

    Configs that a trial has already taken are skipped. A grid of more than `ENUMERABLE` configs is not listed: its
    configs are drawn one by one, without repetition.
    """

    space: Space
    points: int = 5

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin] | Done:
        grid = history.view("grid", lambda: _Untried(self.space, self.points, streams.of_study("grid")))
        origin = {"rule": "grid", "probabilities": {"grid": 1.0}}
        if grid.order is None:
            config, _ = points(self.space, history).new(streams("config"), grid.draw)
            return config, origin
        index = grid.next()
        if index is None:
            return Done("exhausted", f"all {len(grid.order)} configs of the grid have been tried")
        return dict(grid.order[index]), {**origin, "index": index, "of": len(grid.order)}


class _Axis(NamedTuple):
    """One parameter: its values on the grid, and when it is active (None: always). Parents come before children."""

    name: str
    values: Sequence[Value]
    is_active: Predicate | None


class _Untried:
    """The view of the grid and of what is left of it. `order` holds its configs, None when they are too many."""

    def __init__(self, space: Space, points: int, rng: np.random.Generator) -> None:
        self._space = space
        self._axes = _axes(space, points)
        listed = self._list()
        self.order = listed and [listed[index] for index in rng.permutation(len(listed))]
        self._taken: set[str] = set()
        self._tried = 0

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if self.order is not None and run.resume_from is None:
                self._taken.add(self._space.key(run.config))

    def next(self) -> int | None:
        """The place in the order of the first config that no trial has."""
        assert self.order is not None
        while self._tried < len(self.order):
            if self._space.key(self.order[self._tried]) not in self._taken:
                return self._tried
            self._tried += 1
        return None

    def draw(self, rng: np.random.Generator) -> Config:
        """A random config of the grid; the nearest one that is allowed where constraints rule out too many."""
        for _ in range(FORBIDDEN_IN_A_ROW):
            config: dict[str, Value] = {}
            for axis in self._axes:
                if axis.is_active is None or axis.is_active(config):
                    config[axis.name] = axis.values[int(rng.integers(len(axis.values)))]
            if self._space.allows(config):
                return self._in_declared_order(config)
        return self._space.repair(config, rng)

    def _list(self) -> list[Config] | None:
        """All configs of the grid that are allowed; None when there are more than `ENUMERABLE`, forbidden ones too."""
        configs: list[dict[str, Value]] = [{}]
        for axis in self._axes:
            grown: list[dict[str, Value]] = []
            for config in configs:
                active = axis.is_active is None or axis.is_active(config)
                grown += [{**config, axis.name: value} for value in axis.values] if active else [config]
                if len(grown) > ENUMERABLE:
                    return None
            configs = grown
        return [self._in_declared_order(config) for config in configs if self._space.allows(config)]

    def _in_declared_order(self, config: Config) -> Config:
        return {parameter.name: config[parameter.name] for parameter in self._space if parameter.name in config}


def _axes(space: Space, points: int) -> list[_Axis]:
    domains = {parameter.name: parameter.domain for parameter in space}
    order = topological_order([Declaration(p.name, p.domain, p.when) for p in space])
    return [
        _Axis(
            name=(parameter := space.parameters[index]).name,
            values=grid_values(parameter.domain, points),
            is_active=None if parameter.when is None else compiled(parameter.when, domains),
        )
        for index in order
    ]


def grid_values(domain: Domain, points: int) -> list[Any]:
    """The values of one parameter: all choices, or at most `points` numbers from one end to the other."""
    if not domain.numeric:
        assert domain.count is not None
        return [domain.value(cell) for cell in range(domain.count)]
    if points == 1:
        return [domain.from_unit(0.5)]
    return list(dict.fromkeys(domain.from_unit(index / (points - 1)) for index in range(points)))
