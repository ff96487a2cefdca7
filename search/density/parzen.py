"""Parzen estimators of the tree-structured kind: one kernel around each observation, and one broad one, the prior.

The density of TPE (Bergstra et al. 2011, 2013) on the unit cube. A component is a product over the parameters of
truncated normals (for cells: their masses) and of smoothed indicators of the choices; its widths follow from where the
other observations are, parameter by parameter. The mixture keeps what it computed: an observation that joins or leaves
changes the widths of its neighbours only, so a large mixture follows the history at the price of a few vector
operations. Whether it was kept or made anew, it is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.density import normal
from search.density.axes import Axes
from search.density.mixture import Correction, Table, log_sum, pick, product
from search.density.tables import CellKernels, log_cell, packs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FEW_CHANGES = 8
"""With more observations that joined or left, everything is computed anew."""
ODD = 37
"""Keeps the lengths of the arrays' rows off the powers of two, at which columns fight for the same cache lines."""
FEW_ROWS = 128
"""So few are computed row by row; with more it is worth looking up kernels by the level of a row."""
MANY_CELLS = 1024
"""More cells than this, and than there are rows, are not looked up either."""


@dataclass(frozen=True, slots=True)
class Law:
    """How wide the kernels are. Widths are in units of a parameter's range.

    `bandwidth`: "neighbours", the larger of the gaps to the neighbouring observations (the outermost have one gap, an
    only one measures to the ends of the range); or "scott", 0.2 n^(-1 / (d + 4)) for all. Never below the larger of
    `floor` and (n + 2)^-`exponent`, never above 1; Optuna's are 0.01 and 1, these are those that Watanabe (2023) found
    best. `choice`: the probability of leaving the observed choice, None for the law of a prior observation shared among
    the n + 1 components.
    """

    bandwidth: Literal["neighbours", "scott"] = "neighbours"
    floor: float = 0.03
    exponent: float = 2.0
    choice: float | None = None

    def least(self, observed: int) -> float:
        """The least width with so many observations."""
        return min(1.0, max(self.floor, float((observed + 2) ** -self.exponent)))

    def scott(self, observed: int, dimensions: int) -> float:
        wide = 0.2 * float(max(observed, 1) ** (-1.0 / (dimensions + 4)))
        return min(max(wide, self.least(observed)), 1.0)

    def choices(self, observed: int, counts: Floats) -> tuple[Floats, Floats]:
        """The probabilities of the observed choice and of each other one, for parameters with so many choices."""
        if self.choice is None:
            share = 1.0 / (observed + 1)
            return (1 + share) / (1 + counts * share), share / (1 + counts * share)
        leave = np.minimum(self.choice, (counts - 1) / counts)
        return 1 - leave, leave / (counts - 1)


class Parzen:
    """A mixture over growing rows of observations, of which the selected ones have a component.

    Rows are added once and for all; `select` says which of them count, and how much. Shapes: [coordinates, rows].
    """

    def __init__(self, axes: Axes, law: Law) -> None:
        self._axes, self._law = axes, law
        self._smooth, self._numeric = len(axes.smooth), axes.numeric
        self._columns = np.arange(self._numeric)
        self._rows = 0
        self._live = np.zeros(16, dtype=np.bool_)
        self._weights = np.zeros(16)
        self._x = np.zeros((self._numeric, 16))
        self._level = np.zeros((len(axes.cells) + len(axes.choices), 16), dtype=np.int32)
        self._counts = [*axes.rows.count.tolist(), *axes.counts.tolist()]
        self._packs = packs(tuple(self._counts))
        self._code = np.zeros((len(self._packs), 16), dtype=np.int32)
        self._sd = np.ones((self._numeric, 16))
        # the logarithm of the smooth kernels of row i at x is q_i x^2 + l_i x + c_i, a matrix product for all rows
        self._quadratic_and_linear = np.zeros((2 * self._smooth, 16))
        self._constant = np.zeros((self._smooth, 16))
        # per coordinate, a list of the live rows by position, of equal ones the newest first; -1 is no row
        self._previous = np.full((self._numeric, 16), -1, dtype=np.int32)
        self._following = np.full((self._numeric, 16), -1, dtype=np.int32)
        self._first = np.full(self._numeric, -1, dtype=np.int32)
        self._observed = 0
        self._prior_weight = 1.0
        self._least = law.least(0)
        self._kernels = [CellKernels(axes.rows[index]) for index in range(len(axes.cells))]

    def add(self, coordinates: Floats) -> None:
        """Adds rows, shape [rows, coordinates]; they have no components yet."""
        start, self._rows = self._rows, self._rows + len(coordinates)
        if self._rows > len(self._live):
            self._grow(max(self._rows, 2 * len(self._live)) + ODD)
        new = slice(start, self._rows)
        self._x[:, new] = coordinates[:, : self._numeric].T
        self._sd[:, new] = 1.0
        self._level[:, new] = self._axes.levels(coordinates).T
        for code, pack in zip(self._code, self._packs, strict=True):
            code[new] = 0
            for index in pack:
                code[new] = code[new] * self._counts[index] + self._level[index, new]

    def select(self, live: Mask, weights: Floats, prior_weight: float = 1.0) -> None:
        """From now on the rows of `live`, shape [rows], are the components, with these weights, shape [components]."""
        assert live.shape == (self._rows,)
        known = self._live[: self._rows]
        changed = np.flatnonzero(live != known)
        before, least = self._observed, self._least
        self._observed = int(np.count_nonzero(live))
        self._least = self._law.least(self._observed)
        local = self._law.bandwidth == "neighbours" and least == self._least and min(before, self._observed) > 2
        if local and len(changed) <= FEW_CHANGES:
            for row in changed.tolist():
                self._join(row) if live[row] else self._leave(row)
        elif len(changed):
            known[:] = live
            self._compute()
        self._weights[: self._rows] = 0.0
        self._weights[: self._rows][live] = weights
        self._prior_weight = prior_weight

    def log_density(self, candidates: Floats) -> Floats:
        """The log density at candidates, shape [candidates, coordinates] to [candidates].

        Of cells and choices, the log probability of the value.
        """
        rows = self._rows
        x = candidates[:, : self._smooth]
        features = np.concatenate((x * x, x), axis=1).T
        constant = self._constant[:, :rows].sum(axis=0)[:, None]
        constant[~self._live[:rows]] = -np.inf

        def log_kernels(block: slice) -> Floats:
            kernels = product(self._quadratic_and_linear[:, :rows][:, block].T, features)
            kernels += constant[block]
            return kernels

        weights = self._weights[:rows]
        total = log_sum(len(candidates), weights, log_kernels, *self._discrete(candidates))
        prior = log(self._prior_weight) + self._log_prior(candidates)
        whole = log(float(weights.sum()) + self._prior_weight)
        return np.asarray(np.logaddexp(total, prior) - whole, dtype=np.float64)

    def draw(self, rng: np.random.Generator, number: int) -> Floats:
        """Draws from the mixture, shape [number, coordinates]."""
        u = rng.random((number, 1 + len(self._axes)))
        row = pick(u[:, 0], np.append(self._weights[: self._rows], self._prior_weight))
        broad = row == self._rows  # the prior
        row[broad] = 0
        mean = np.where(broad, 0.5, self._x[:, row]).T
        sd = np.where(broad, 1.0, self._sd[:, row]).T
        drawn = np.empty((number, len(self._axes)))
        drawn[:, : self._numeric] = normal.draw(u[:, 1 : 1 + self._numeric], mean, sd)
        self._axes.snap(drawn)
        # a row of the choice kernel is: stay with some probability, else any choice, the observed one included
        equal, other = self._law.choices(self._observed, self._axes.counts.astype(np.float64))
        stay = np.where(broad[:, None], 0.0, equal - other)
        v = u[:, 1 + self._numeric :]
        anew = np.minimum(np.floor((v - stay) / (1 - stay) * self._axes.counts), self._axes.counts - 1)
        drawn[:, self._numeric :] = np.where(v < stay, self._level[len(self._axes.cells) :, row].T, anew)
        return drawn

    def _discrete(self, candidates: Floats) -> tuple[list[Table], Correction | None]:
        """The factors of cells and choices.

        Those of a pack of parameters are looked up in one table over their combinations, or one after the other where
        there are fewer rows than combinations. The tables have cells at the usual width, the least: of a large mixture
        few are wider, since the gaps between neighbours sum to one, and these are corrected.
        """
        levels, every = self._axes.levels(candidates), np.arange(self._rows)
        if self._rows < FEW_ROWS:
            return [Table(self._row_by_row(levels, range(len(self._counts))), every)], None
        factors: dict[int, Floats] = {}
        tables = []
        for pack, code in zip(self._packs, self._code, strict=True):
            if prod(self._counts[index] for index in pack) > max(self._rows, MANY_CELLS) and len(pack) == 1:
                tables.append(Table(self._row_by_row(levels, pack), every))
                continue
            factors |= {index: self._by_level(index, levels[:, index]) for index in pack}
            if prod(self._counts[index] for index in pack) > self._rows:
                tables += [Table(factors[index], self._level[index, : self._rows]) for index in pack]
                continue
            table = np.zeros((1, len(candidates)))
            for index in pack:
                table = (table[:, None, :] + factors[index]).reshape(-1, len(candidates))
            tables.append(Table(table, code[: self._rows]))
        return tables, self._wider(levels, factors)

    def _by_level(self, index: int, value: Ints) -> Floats:
        """The log kernels of one discrete parameter around all its levels, cells at the usual width, at the candidates'
        values: [levels, candidates]."""
        cells = len(self._axes.cells)
        if index < cells:
            return self._kernels[index](value, self._usual)
        equal, other = (
            np.log(share[index - cells])
            for share in self._law.choices(self._observed, self._axes.counts.astype(np.float64))
        )
        return np.asarray(np.where(np.arange(self._counts[index])[:, None] == value, equal, other), dtype=np.float64)

    def _row_by_row(self, levels: Ints, parameters: Sequence[int]) -> Floats:
        """The log kernels of some discrete parameters around all rows, their sum: [rows, candidates]."""
        cells = [index for index in parameters if index < len(self._axes.cells)]
        choices = [index for index in parameters if index >= len(self._axes.cells)]
        lower, upper = self._edges(levels)
        at = [self._smooth + index for index in cells]
        x, sd = (each[at, : self._rows, None] for each in (self._x, self._sd))
        total = log_cell(lower[cells, None, :], upper[cells, None, :], x, sd).sum(axis=0)
        for index in choices:
            total += self._by_level(index, levels[:, index])[self._level[index, : self._rows]]
        return np.asarray(total, dtype=np.float64)

    def _wider(self, levels: Ints, factors: Mapping[int, Floats]) -> Correction | None:
        """What the rows with cells of more than the usual width have other than `factors`, by level, say."""
        sd = self._sd[self._smooth :, : self._rows]
        cells = [index for index in factors if index < len(self._axes.cells)]
        which, row = np.nonzero(self._live[: self._rows] & (sd[cells] != self._usual))
        if not len(row):
            return None
        cell = np.array(cells)[which]
        lower, upper = self._edges(levels)
        exact = log_cell(lower[cell], upper[cell], self._x[self._smooth + cell, row, None], sd[cell, row, None])
        ends = np.searchsorted(which, np.arange(len(cells) + 1))
        usual = [factors[index][self._level[index, row[slice(*ends[i : i + 2])]]] for i, index in enumerate(cells)]
        order = np.argsort(row, kind="stable")
        row, excess = row[order], (exact - np.concatenate(usual))[order]
        first = np.flatnonzero(np.diff(row, prepend=-1))
        return Correction(np.add.reduceat(excess, first), row[first])

    def _edges(self, levels: Ints) -> tuple[Floats, Floats]:
        """The ends of the candidates' cells, each [cells, candidates]."""
        cell = levels[:, : len(self._axes.cells)]
        return self._axes.rows.edge(cell).T, self._axes.rows.edge(cell + 1).T

    @property
    def _usual(self) -> float:
        """The width of most kernels."""
        scott = self._law.bandwidth == "scott"
        return self._law.scott(self._observed, len(self._axes)) if scott else self._least

    def _log_prior(self, candidates: Floats) -> Floats:
        """The log density of the broad component: a normal around the middle with the range as its width."""
        middle, wide = np.array(0.5), np.array(1.0)
        x = candidates[:, : self._smooth]
        height = -normal.LOG_SQRT_2PI - normal.log_normaliser(middle, wide)
        total = (height - 0.5 * (x - middle) ** 2).sum(axis=1)
        lower, upper = self._edges(self._axes.levels(candidates))
        total += log_cell(lower, upper, middle, wide).sum(axis=0)
        return np.asarray(total - np.log(self._axes.counts).sum(), dtype=np.float64)

    def _join(self, row: int) -> None:
        """Puts a row among its neighbours, in all coordinates at once."""
        x = self._x[:, : self._rows]
        value = x[:, row, None]
        before = x < value
        before[:, row + 1 :] |= x[:, row + 1 :] == value
        before &= self._live[: self._rows]
        places = np.where(before, x, -1.0)
        previous = places.argmax(axis=1)  # of equal ones the first, which is the last in the list
        previous[places[self._columns, previous] < 0] = -1
        following = np.where(previous < 0, self._first, self._following[self._columns, previous])
        self._live[row] = True
        self._link(previous, np.full_like(previous, row))
        self._link(np.full_like(previous, row), following)
        self._widen(self._columns, np.full_like(previous, row))
        self._widen_neighbours(previous, following)

    def _leave(self, row: int) -> None:
        previous, following = self._previous[:, row].copy(), self._following[:, row].copy()
        self._live[row] = False
        self._link(previous, following)
        self._widen_neighbours(previous, following)

    def _link(self, previous: NDArray[Any], following: NDArray[Any]) -> None:
        """Makes the rows neighbours, one pair per coordinate."""
        inner = previous >= 0
        self._following[self._columns[inner], previous[inner]] = following[inner]
        self._first[~inner] = following[~inner]
        inner = following >= 0
        self._previous[self._columns[inner], following[inner]] = previous[inner]

    def _widen_neighbours(self, previous: NDArray[Any], following: NDArray[Any]) -> None:
        for neighbour in (previous, following):
            inner = neighbour >= 0
            self._widen(self._columns[inner], neighbour[inner])

    def _widen(self, column: NDArray[Any], row: NDArray[Any]) -> None:
        """Computes the widths at these places from the gaps, and what depends on them."""
        x, previous, following = self._x[column, row], self._previous[column, row], self._following[column, row]
        left = np.where(previous < 0, 0.0, x - self._x[column, previous])
        right = np.where(following < 0, 0.0, self._x[column, following] - x)
        self._set(column, row, x, np.clip(np.maximum(left, right), self._least, 1.0))

    def _set(self, column: NDArray[Any], row: NDArray[Any], x: Floats, sd: Floats) -> None:
        self._sd[column, row] = sd
        smooth = column < self._smooth
        column, row, x, sd = column[smooth], row[smooth], x[smooth], sd[smooth]
        precision = 1.0 / (sd * sd)
        self._quadratic_and_linear[column, row] = -0.5 * precision
        self._quadratic_and_linear[column + self._smooth, row] = x * precision
        heights = np.log(sd) + normal.log_normaliser(x, sd) + normal.LOG_SQRT_2PI
        self._constant[column, row] = -0.5 * x * x * precision - heights

    def _compute(self) -> None:
        """Finds all neighbours and widths anew."""
        live = np.flatnonzero(self._live[: self._rows])
        if not len(live) or not self._numeric:
            return
        column, row = (axis.ravel() for axis in np.meshgrid(self._columns, live, indexing="ij"))
        x = self._x[:, live]
        if self._law.bandwidth == "scott":
            self._set(column, row, x.ravel(), np.full(x.size, self._usual))
            return
        order = live[::-1][np.argsort(x[:, ::-1], axis=1, kind="stable")]
        columns = self._columns[:, None]
        self._first = order[:, 0].astype(np.int32)
        self._previous[columns, order] = np.concatenate((np.full_like(order[:, :1], -1), order[:, :-1]), axis=1)
        self._following[columns, order] = np.concatenate((order[:, 1:], np.full_like(order[:, :1], -1)), axis=1)
        if len(live) == 1:
            self._set(column, row, x.ravel(), np.clip(np.maximum(x, 1 - x).ravel(), self._least, 1.0))
        else:
            self._widen(column, row)

    def _grow(self, rows: int) -> None:
        state = ("_live", "_weights", "_x", "_level", "_code", "_sd", "_quadratic_and_linear", "_constant")
        for name in (*state, "_previous", "_following"):
            array = getattr(self, name)
            longer = np.zeros((*array.shape[:-1], rows), dtype=array.dtype)
            longer[..., : array.shape[-1]] = array
            setattr(self, name, longer)
