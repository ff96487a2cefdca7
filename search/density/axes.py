"""The parameters of a density, sorted by the kind of their kernels, so that all of a kind are computed at once.

A point of a density has one coordinate per modelled parameter, in the order smooth, cells, choices:

    smooth    a number with a density: floats, and integers with so many values that they are as good as a continuum
    cells     an ordered row of values, each with the mass of its cell of the unit interval
    choices   values without an order

A coordinate of the first two kinds is the position in [0, 1] (of a cell: its centre), of the last one the index of the
choice. Parameters with one value take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces import Space
from spaces.domain import Discrete, LogCells

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Rows of cells, one per ordered parameter: `count` of equal width or, where `log`, as `spaces.domain.LogCells`.

    Everything is elementwise and broadcasts with the shape of the rows, so that one call serves all parameters: [rows]
    with the last axis of points, or whatever shape of places `rows[index]` picks them for.
    """

    count: Ints
    log: Mask
    start: Floats
    scale: Floats
    """ln of how many times wider than the start of the row its end is; 1 where the widths are equal, as `start`."""

    def __getitem__(self, rows: int | Ints) -> Cells:
        return Cells(*(np.asarray(field[rows]) for field in (self.count, self.log, self.start, self.scale)))

    def edge(self, cell: Floats | Ints) -> Floats:
        """The lower edge of a cell; edge(cell + 1/2) is the position of its value."""
        even = np.asarray(cell / self.count, dtype=np.float64)
        return np.where(self.log, np.log1p(cell / self.start) / self.scale, even) if self.log.any() else even

    def centre(self, cell: Ints) -> Floats:
        return self.edge(np.asarray(cell + 0.5, dtype=np.float64))

    def cell(self, position: Floats) -> Ints:
        """The cell in which a position lies."""
        found = position * self.count
        if self.log.any():
            found = np.where(self.log, self.start * np.expm1(position * self.scale), found)
        return np.asarray(np.minimum(found.astype(np.int64), self.count - 1), dtype=np.int64)

    @property
    def widest(self) -> float:
        """The width of the widest cell."""
        return float(self.edge(np.ones_like(self.start)).max())  # of a log scale: the first

    @classmethod
    def of(cls, *domains: Discrete[Any]) -> Cells:
        """The rows of these domains, shape [domains]."""
        rows = [domain.cells for domain in domains]
        starts = [row.start if isinstance(row, LogCells) else 1.0 for row in rows]
        scales = [log1p(row.count / row.start) if isinstance(row, LogCells) else 1.0 for row in rows]
        return cls(
            np.array([row.count for row in rows], dtype=np.int64),
            np.array([isinstance(row, LogCells) for row in rows], dtype=np.bool_),
            np.array(starts),
            np.array(scales),
        )


@dataclass(frozen=True)
class Axes:
    """The modelled parameters: the columns of the space that they are, in the order of a point's coordinates."""

    smooth: tuple[int, ...]
    cells: tuple[int, ...]
    choices: tuple[int, ...]
    rows: Cells
    """Of `cells`."""
    counts: Ints
    """The number of values of each of `choices`."""

    @classmethod
    def of(cls, space: Space, columns: Iterable[int], is_smooth: Callable[[Discrete[Any]], bool]) -> Axes:
        """The parameters in these columns of the space; `is_smooth` tells which ordered rows count as smooth."""
        smooth, cells, choices = [], [], []
        for column in columns:
            domain = space.parameters[column].domain
            if not isinstance(domain, Discrete):
                smooth.append(column)
            elif domain.count > 1 and not domain.ordered:
                choices.append((column, domain))
            elif domain.count > 1:
                if is_smooth(domain):
                    smooth.append(column)
                else:
                    cells.append((column, domain))
        return cls(
            tuple(smooth),
            tuple(column for column, _ in cells),
            tuple(column for column, _ in choices),
            Cells.of(*(domain for _, domain in cells)),
            np.array([domain.count for _, domain in choices], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.smooth) + len(self.cells) + len(self.choices)

    @property
    def numeric(self) -> int:
        """The number of coordinates that are positions: those of `smooth`, then those of `cells`."""
        return len(self.smooth) + len(self.cells)

    @cached_property
    def columns(self) -> Ints:
        """The columns of the space, in the order of the coordinates, shape [coordinates]."""
        return np.array([*self.smooth, *self.cells, *self.choices], dtype=np.int64)

    def read(self, points: Floats) -> Floats:
        """The coordinates of points of the unit cube, shape [points, parameters] to [points, coordinates]."""
        coordinates: Floats = np.asarray(points[:, self.columns], dtype=np.float64)
        choice = coordinates[:, self.numeric :]
        np.floor(choice * self.counts, out=choice)
        return coordinates

    def levels(self, coordinates: Floats) -> Ints:
        """The cells and choices, shape [points, coordinates] to [points, discrete parameters]."""
        levels = coordinates[:, len(self.smooth) :].astype(np.int64)
        levels[:, : len(self.cells)] = self.rows.cell(coordinates[:, len(self.smooth) : self.numeric])
        return levels

    def snap(self, coordinates: Floats) -> None:
        """Moves the positions of `cells` to the centres of the cells in which they lie, in place."""
        cells = coordinates[:, len(self.smooth) : self.numeric]
        cells[:] = self.rows.centre(self.rows.cell(cells))

    def uniform(self, rng: np.random.Generator, coordinate: int, number: int) -> Floats:
        """Uniform draws of one coordinate, shape [number]."""
        u = rng.random(number)
        if coordinate >= self.numeric:
            return np.asarray(np.floor(u * self.counts[coordinate - self.numeric]), dtype=np.float64)
        if coordinate >= len(self.smooth):
            row = self.rows[coordinate - len(self.smooth)]
            return row.centre(row.cell(u))
        return u

    def write(self, coordinates: Floats, points: Floats) -> None:
        """Puts coordinates, shape [..., coordinates], into points of the unit cube, [..., parameters], in place."""
        values = coordinates.copy()
        values[..., self.numeric :] = (values[..., self.numeric :] + 0.5) / self.counts
        points[..., self.columns] = values
