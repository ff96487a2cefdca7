"""Configs as the inputs of smooth models (Gaussian processes, networks): real columns, none missing.

A number is its coordinate in the unit cube, in the middle while it is inactive. A choice is one-hot (of two choices one
column tells), all zeros while it is inactive. Each condition has a column that tells whether it holds. So configs in
which a parameter is inactive do not differ by it, and those in which it is active differ from them at least by the
condition's column.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spaces import Condition, Space

Floats = NDArray[np.float64]

ONE_HOT = 1 / math.sqrt(2)
"""Different choices are at distance 1, like the two ends of a number's range."""
SMOOTH = 20
"""A number with more values than this may be treated as continuous, and rounded afterwards."""


class Features:
    """The map of a space. `smooth`: the axes that may be treated as continuous; `columns`: where they are mapped to.
    `axes`: the axis that each column tells of."""

    def __init__(self, space: Space) -> None:
        domains = [parameter.domain for parameter in space.parameters]
        numbers = [axis for axis, domain in enumerate(domains) if domain.ordered and domain.count != 1]
        self._numbers = np.array(numbers, dtype=np.int64)
        self._choices = [
            (axis, domain.count)
            for axis, domain in enumerate(domains)
            if not domain.ordered and domain.count is not None and domain.count > 1
        ]
        conditions: dict[Condition, int] = {}
        for axis, parameter in enumerate(space.parameters):
            if parameter.when is not None:
                conditions.setdefault(parameter.when, axis)
        self._conditional = np.array(list(conditions.values()), dtype=np.int64)
        self.width = len(numbers) + sum(_columns(count) for _, count in self._choices) + len(conditions)
        smooth = [(axis, column) for column, axis in enumerate(numbers) if _is_smooth(domains[axis].count)]
        self.smooth = np.array([axis for axis, _ in smooth], dtype=np.int64)
        self.columns = np.array([column for _, column in smooth], dtype=np.int64)
        of_choices = [axis for axis, count in self._choices for _ in range(_columns(count))]
        self.axes = np.array([*numbers, *of_choices, *self._conditional.tolist()], dtype=np.int64)

    def __call__(self, points: Floats) -> Floats:
        """Shape [n, parameters], NaN where inactive, to shape [n, width]."""
        blocks = [np.nan_to_num(points[:, self._numbers], nan=0.5)]
        for axis, count in self._choices:
            cell = np.nan_to_num(np.floor(points[:, axis] * count), nan=-1.0)[:, None]
            hot = (np.minimum(cell, count - 1) == np.arange(count)).astype(np.float64)
            blocks.append(hot[:, 1:] if count == 2 else ONE_HOT * hot)
        blocks.append((~np.isnan(points[:, self._conditional])).astype(np.float64))
        return np.concatenate(blocks, axis=1)


def _columns(choices: int) -> int:
    return 1 if choices == 2 else choices


def _is_smooth(count: int | None) -> bool:
    return count is None or count > SMOOTH
