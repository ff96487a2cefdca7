"""Product-kernel density estimates with one width per parameter, as BOHB uses them (Falkner et al. 2018).

Widths follow the normal reference rule: 1.06 sd n^(-1 / (4 + d)), with the standard deviation (of choices and ordered
cells: of their indices) and the numbers of observations n and parameters d. Kernels are normals, Aitchison and Aitken's
for choices and, for ordered cells, Wang and van Ryzin's, normalised over the levels that there are.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from search.density import normal
from search.density.axes import Axes
from search.density.mixture import Table, log_sum, product

Floats = NDArray[np.float64]
Levels = NDArray[np.int64]


def normal_reference(data: Floats) -> Floats:
    """The width for each column of data, shape [observations, columns] to [columns]."""
    observed, columns = data.shape
    return np.asarray(1.06 * data.std(axis=0) * observed ** (-1.0 / (4 + columns)), dtype=np.float64)


def aitchison_aitken(width: float, count: int, value: Levels, observed: Levels) -> Floats:
    """The probability of one of `count` choices around an observed one: 1 - h if equal, else h / (count - 1)."""
    return np.where(value == observed, 1 - width, width / (count - 1))


def wang_van_ryzin(width: float, count: int, value: Levels, observed: Levels) -> Floats:
    """The probability of one of `count` cells around an observed one: 1 - h if equal, else h^distance (1 - h) / 2, over
    the sum for all cells."""
    distance = np.abs(value - observed)
    below, above = observed, count - 1 - observed
    total = (1 - width) + 0.5 * width * (2 - width**below - width**above)
    return np.asarray(np.where(distance == 0, 1 - width, 0.5 * (1 - width) * width**distance) / total, dtype=np.float64)


class KDE:
    """The density of some observations, shape [observations, coordinates], all present.

    `least` is the smallest width; that of a discrete parameter is at most that of a uniform kernel over its values.
    """

    def __init__(self, axes: Axes, data: Floats, least: float) -> None:
        smooth = len(axes.smooth)
        self._axes, self._x = axes, data[:, :smooth]
        level = axes.levels(data)
        self._level = level.T.copy()
        counts = np.concatenate((axes.rows.count, axes.counts))
        width = np.maximum(normal_reference(np.concatenate((self._x, level), axis=1)), least)
        width[smooth:] = np.minimum(width[smooth:], (counts - 1) / counts)
        self.width = width
        self._counts = counts.tolist()

    def log_density(self, candidates: Floats) -> Floats:
        """The log density at candidates, shape [candidates, coordinates] to [candidates]; of a discrete parameter, the
        log probability of its value."""
        width = self.width[: len(self._axes.smooth)]
        z, centre = candidates[:, : len(width)] / width, self._x / width
        # -|z - centre|^2 / 2 for all pairs at once, but for what depends on the candidate alone
        of_candidates = np.concatenate((z, np.ones((len(z), 1))), axis=1).T
        of_centres = np.concatenate((centre, -0.5 * (centre * centre).sum(axis=1, keepdims=True)), axis=1)
        tables = []
        for index, value in enumerate(self._axes.levels(candidates).T):
            kernel = self._kernel(index, value, np.arange(self._counts[index])[:, None])
            tables.append(Table(np.log(kernel), self._level[index]))
        count = len(self._x)
        total = log_sum(
            len(candidates), np.ones(count), lambda block: product(of_centres[block], of_candidates), tables
        )
        heights = np.log(width).sum() + len(width) * normal.LOG_SQRT_2PI
        return np.asarray(total - 0.5 * (z * z).sum(axis=1) - heights - log(count), dtype=np.float64)

    def draw_around(self, rng: np.random.Generator, number: int, factor: float) -> Floats:
        """Draws near observations picked uniformly, shape [number, coordinates].

        Smooth ones from a normal truncated to [0, 1], `factor` times as wide as the kernel; cells from the kernel; a
        choice is kept with probability 1 - h, else any of all choices.
        """
        smooth = len(self._axes.smooth)
        u = rng.random((number, 1 + len(self._axes)))
        row = np.minimum((u[:, 0] * len(self._x)).astype(np.int64), len(self._x) - 1)
        drawn = np.empty((number, len(self._axes)))
        drawn[:, :smooth] = normal.draw(u[:, 1 : 1 + smooth], self._x[row], factor * self.width[:smooth])
        for index, count in enumerate(self._counts):
            v, level = u[:, 1 + smooth + index], self._level[index, row]
            if index < len(self._axes.cells):
                cumulated = np.cumsum(self._kernel(index, np.arange(count), level[:, None]), axis=1)
                cell = np.minimum((v[:, None] >= cumulated).sum(axis=1), count - 1)
                drawn[:, smooth + index] = self._axes.rows[index].centre(cell)
            else:
                keep = 1 - self.width[smooth + index]
                anew = np.minimum(np.floor((v - keep) / (1 - keep) * count), count - 1)
                drawn[:, smooth + index] = np.where(v < keep, level, anew)
        return drawn

    def _kernel(self, index: int, value: Levels, observed: Levels) -> Floats:
        """The kernel of a discrete parameter, cells first."""
        law = wang_van_ryzin if index < len(self._axes.cells) else aitchison_aitken
        return law(float(self.width[len(self._axes.smooth) + index]), self._counts[index], value, observed)
