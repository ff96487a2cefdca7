"""Configs in bulk, as points of the unit cube: what is active, which cell a coordinate lies in, what is nearby.

`Space.decode` and `Space.encode` go through a config at a time; a search among thousands of them goes through columns.
A *settled* point is what `encode(decode(point))` gives: the middle of its cell on each discrete axis, NaN on inactive
ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.history import Config
from spaces import Space
from spaces.conditions import compiled
from spaces.domain import Discrete, LogCells
from spaces.structure import Declaration, topological_order

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY_CHOICES = 10
"""Of the other choices of a parameter, so many are neighbours."""
DRAWS = 4


@dataclass(frozen=True, slots=True)
class _Gate:
    """The condition of one axis, as a function of the axes that it looks at."""

    axis: int
    parents: list[int]
    holds: Callable[[Config], bool]


class Cube:
    """The cube of a space. Points have shape [n, parameters]."""

    def __init__(self, space: Space) -> None:
        self._space = space
        domains = [parameter.domain for parameter in space.parameters]
        self._count = np.array([np.inf if domain.count is None else domain.count for domain in domains])
        self._ordered = [domain.ordered for domain in domains]
        logs = [
            (axis, cells)
            for axis, each in enumerate(domains)
            if isinstance(cells := getattr(each, "cells", None), LogCells)
        ]
        self._log_axes = np.array([axis for axis, _ in logs], dtype=np.int64)
        self._start = np.array([cells.start for _, cells in logs])
        self._range = np.log1p(np.array([cells.count for _, cells in logs]) / self._start)
        axis_of = {parameter.name: axis for axis, parameter in enumerate(space.parameters)}
        by_name = {parameter.name: parameter.domain for parameter in space.parameters}
        order = topological_order([Declaration(each.name, each.domain, each.when) for each in space.parameters])
        self._gates = [
            _Gate(axis, sorted(axis_of[name] for name in when.mentions), compiled(when, by_name))
            for axis in order
            if (when := space.parameters[axis].when) is not None
        ]

    def uniform(self, n: int, rng: np.random.Generator) -> Floats:
        """Settled points of uniform draws from the space."""
        if self._space.constraints:
            return np.array([self._space.encode(self._space.sample(rng)) for _ in range(n)])
        return self.settled(rng.random((n, len(self._space))))

    def settled(self, points: Floats) -> Floats:
        """The points settled; coordinates of parameters that turn out active must not be NaN."""
        settled = self._centred(points)
        for gate in self._gates:
            settled[~self._holds(gate, settled), gate.axis] = np.nan
        return settled

    def neighbours(self, points: Floats, sd: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """The settled points that differ from these by one parameter (and its children), with the rows they belong to.

        Numbers take normal steps of this standard deviation, reflected at the ends, and those with steps the two next
        values as well; of choices every other one is a neighbour, or some where there are many. Points that the
        constraints rule out are left out.
        """
        # a coordinate that is not active counts once a change makes it so
        filled = np.where(np.isnan(points), rng.random(points.shape), points)
        rows: list[Ints] = []
        moved: list[Floats] = []
        for axis in range(points.shape[1]):
            active = np.flatnonzero(~np.isnan(points[:, axis]))
            for coordinates in self._moves(filled[active, axis], axis, sd, rng):
                changed = filled[active]
                changed[:, axis] = coordinates
                rows.append(active)
                moved.append(changed)
        if not rows:
            return np.empty(0, dtype=np.int64), points[:0]
        belongs, settled = np.concatenate(rows), self.settled(np.concatenate(moved))
        keep = ~((settled == points[belongs]) | (np.isnan(settled) & np.isnan(points[belongs]))).all(axis=1)
        if self._space.constraints:
            keep &= np.array([self._space.allows(self._space.decode(point)) for point in settled], dtype=np.bool_)
        return belongs[keep], settled[keep]

    def _centred(self, points: Floats) -> Floats:
        centred = np.clip(points, 0.0, 1.0)
        even = np.isfinite(self._count)
        even[self._log_axes] = False
        count = self._count[even]
        centred[:, even] = (np.minimum(np.floor(centred[:, even] * count), count - 1) + 0.5) / count
        logs = self._log_axes
        cell = np.minimum(np.floor(self._start * np.expm1(centred[:, logs] * self._range)), self._count[logs] - 1)
        centred[:, logs] = np.log1p((cell + 0.5) / self._start) / self._range
        return centred

    def _holds(self, gate: _Gate, points: Floats) -> NDArray[np.bool_]:
        """Whether the condition holds at each point: asked once for each combination of the parents' values."""
        seen, which = np.unique(np.nan_to_num(points[:, gate.parents], nan=-1.0), axis=0, return_inverse=True)
        parents = [self._space.parameters[axis] for axis in gate.parents]
        answers = [
            gate.holds({each.name: each.domain.from_unit(u) for each, u in zip(parents, row, strict=True) if u >= 0})
            for row in seen.tolist()
        ]
        return np.array(answers, dtype=np.bool_)[which.reshape(-1)]

    def _moves(self, u: Floats, axis: int, sd: float, rng: np.random.Generator) -> list[Floats]:
        """Other coordinates on this axis for each of these; each array of the list has one of each."""
        count = self._count[axis]
        if count == 1:
            return []
        if not self._ordered[axis]:
            others = np.arange(1, count)
            if len(others) > MANY_CHOICES:
                others = rng.choice(others, MANY_CHOICES, replace=False)
            return [(u + other / count) % 1.0 for other in others.tolist()]
        steps = [_reflected(u + sd * rng.standard_normal(len(u))) for _ in range(DRAWS)]
        domain = self._space.parameters[axis].domain
        if not isinstance(domain, Discrete):
            return steps
        cells, last = domain.cells, domain.count - 1
        present = [cells.from_unit(each) for each in u.tolist()]
        down = np.array([cells.to_unit(max(cell - 1, 0)) for cell in present])
        up = np.array([cells.to_unit(min(cell + 1, last)) for cell in present])
        return [*steps, down, up]


def _reflected(u: Floats) -> Floats:
    """Into [0, 1], as between two mirrors."""
    folded = np.abs(u) % 2.0
    return np.where(folded > 1, 2 - folded, folded)
