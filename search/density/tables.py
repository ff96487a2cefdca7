"""The kernels of discrete parameters, for looking them up: of cells those that were needed before, and which parameters
share a table."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from search.density import normal
from search.density.axes import Cells

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KEPT = 2**19
"""Of the kernels between the cells of a parameter so many are kept (4 MiB)."""
LARGEST_TABLE = 512
"""Parameters are looked up together as long as they have no more combinations than this: tables of several fit into the
processor's cache."""


def log_cell(lower: Floats, upper: Floats, mean: Floats, sd: Floats) -> Floats:
    """ln of the mass of a cell under the normal that is truncated to [0, 1]."""
    return normal.log_mass(lower, upper, mean, sd) - normal.log_normaliser(mean, sd)


class CellKernels:
    """The log masses that the kernels around all cells of one parameter have on some of its cells, kept while the width
    stays the same; forgotten, and computed again, when they become too many."""

    def __init__(self, cells: Cells) -> None:
        self._cells, self._width = cells, np.nan
        self._place = np.empty(0, dtype=np.int64)  # of each cell among those kept; -1 is none
        self._kept = np.empty((0, 0))
        self._known = 0

    def __call__(self, value: Ints, width: float) -> Floats:
        """Of these cells, shape [cells, values]."""
        if width != self._width or self._known + len(value) > len(self._kept):
            self._forget(len(value))
            self._width = width
        new = np.unique(value[self._place[value] < 0])
        if len(new):
            place = np.arange(self._known, self._known + len(new))
            self._place[new], self._known = place, self._known + len(new)
            lower, upper = self._cells.edge(new)[:, None], self._cells.edge(new + 1)[:, None]
            centre = self._cells.centre(np.arange(len(self._place)))
            self._kept[place] = log_cell(lower, upper, centre, np.array(width))
        return self._kept[self._place[value]].T

    def _forget(self, values: int) -> None:
        count = int(self._cells.count)
        self._place = np.full(count, -1)
        self._kept = np.empty((max(min(KEPT // count, count + values), values), count))
        self._known = 0


@lru_cache
def packs(counts: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The parameters with so many values, by index, in packs that may share a table: the largest ones first."""
    found: list[list[int]] = []
    for index in sorted(range(len(counts)), key=lambda index: -counts[index]):
        for pack in found:
            if prod(counts[other] for other in pack) * counts[index] <= LARGEST_TABLE:
                pack.append(index)
                break
        else:
            found.append([index])
    return tuple(tuple(pack) for pack in found)
