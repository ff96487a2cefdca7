"""Volumes of what results dominate, up to a limit: exact by slices, or estimated along lines.

Exact: slices along the last metric, each a volume of one metric less. That is quick for two metrics, and takes n times
as long for each further one. Estimate: the space is crossed by lines parallel to the last metric, through the points of
a scrambled Sobol sequence in the others; on each line the measure is exact, and the volume is its mean over the lines.
The sequence has a fixed seed, so the same results have the same estimate everywhere.

Losses have shape [results, metrics], limits shape [metrics].
"""

from __future__ import annotations

import heapq
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def volume(values: Floats, limit: Floats) -> float:
    """Exact, of results (at least one) below the limit in every metric."""
    if values.shape[1] == 1:
        return float(limit[0] - values.min())
    values = values[np.argsort(values[:, -1], kind="stable")]
    thickness = np.diff(values[:, -1], append=limit[-1])
    if values.shape[1] == 2:
        return float((limit[0] - np.minimum.accumulate(values[:, 0])) @ thickness)
    slices = (volume(values[: index + 1, :-1], limit[:-1]) * depth for index, depth in enumerate(thickness) if depth)
    return float(sum(slices))


def gains(values: Floats, picked: Floats, limit: Floats) -> Floats:
    """What each of the results would add to the volume of the picked ones, exact, shape [results].

    Slices along the last metric: between two neighbouring values of the picked ones, what a result adds is what it adds
    to those below in one metric less, as far as the slice lies above the result.
    """
    picked = picked[np.argsort(picked[:, -1], kind="stable")]
    levels = np.minimum(np.concatenate(([-np.inf], picked[:, -1], limit[-1:])), limit[-1])
    last = values[:, -1:]
    thickness = np.maximum(levels[1:] - np.maximum(levels[:-1], last), 0.0)
    if values.shape[1] == 2:
        lowest = np.minimum.accumulate(np.concatenate((limit[:1], picked[:, 0])))
        return np.asarray((thickness * np.maximum(lowest - values[:, :1], 0.0)).sum(axis=1), dtype=np.float64)
    if values.shape[1] == 1:
        return np.asarray(thickness[:, 0], dtype=np.float64)
    total = np.zeros(len(values))
    for below in np.flatnonzero(thickness.any(axis=0)).tolist():
        rows = np.flatnonzero(thickness[:, below])
        total[rows] += thickness[rows, below] * gains(values[rows, :-1], picked[:below, :-1], limit[:-1])
    return total


class Lines:
    """`count` lines (a power of two) that cross what the results may dominate, evenly spread."""

    def __init__(self, values: Floats, limit: Floats, count: int) -> None:
        low, limit_across = np.minimum(values[:, :-1].min(axis=0), limit[:-1]), limit[:-1]
        self._values = values
        self._limit = float(limit[-1])
        self._at = low[:, None] + _sobol(len(low), count).T * (limit_across - low)[:, None]
        self._each = float(np.prod(limit_across - low)) / count
        """The volume that a line stands for, per unit of its length."""

    def volume(self) -> float:
        """Of all results. A line is left once a result has it: those with the least last metric come first."""
        total, at = 0.0, self._at
        for row in self._values[np.argsort(self._values[:, -1], kind="stable")]:
            crossed = _crossed(row, at)
            total += np.count_nonzero(crossed) * max(self._limit - float(row[-1]), 0.0)
            at = at[:, ~crossed]
            if not at.shape[1]:
                break
        return total * self._each

    def contributions(self) -> Floats:
        """What the volume would lose without each result, shape [results]."""
        longest, second = np.zeros((2, self._at.shape[1]))
        owner = np.zeros(self._at.shape[1], dtype=np.int64)
        for row, losses in enumerate(self._values):
            lengths = _crossed(losses, self._at) * max(self._limit - float(losses[-1]), 0.0)
            longer = lengths > longest
            second = np.where(longer, longest, np.maximum(second, lengths))
            longest = np.where(longer, lengths, longest)
            owner[longer] = row
        lost = np.zeros(len(self._values))
        np.add.at(lost, owner, longest - second)
        return lost * self._each

    def subset(self, size: int) -> Ints:
        """The indices of `size` results, each the one that adds most to those before it; ties go to the lower index.

        What a result adds only sinks as others are picked, so it is computed again only for one that would be next
        (Minoux 1978, accelerated greedy).
        """
        crossed = np.array([_crossed(row, self._at) for row in self._values])
        longest = np.clip(self._limit - self._values[:, -1], 0.0, np.finfo(np.float64).max)
        covered = np.zeros(self._at.shape[1])
        queue = list(zip((-longest * crossed.sum(axis=1)).tolist(), range(len(longest)), strict=True))
        heapq.heapify(queue)
        picked: list[int] = []
        while len(picked) < size:
            row = queue[0][1]
            gained = np.maximum(longest[row] - covered, 0.0)
            gained *= crossed[row]
            now = -float(np.add.reduce(gained)), row
            heapq.heapreplace(queue, now)
            if queue[0] == now:
                heapq.heappop(queue)
                picked.append(row)
                covered += gained
        return np.array(picked, dtype=np.int64)


def _crossed(row: Floats, at: Floats) -> NDArray[np.bool_]:
    """Which lines come to where the result dominates, shape [lines]; `at` has shape [metrics - 1, lines]."""
    crossed: NDArray[np.bool_] = at[0] >= row[0]
    for loss, where in zip(row[1:], at[1:], strict=False):
        crossed &= where >= loss
    return crossed


@lru_cache(maxsize=16)
def _sobol(dimensions: int, count: int) -> Floats:
    """Points of the unit cube, shape [count, dimensions]."""
    from scipy.stats import qmc  # heavy, and for many results with many metrics only

    points: Floats = qmc.Sobol(dimensions, scramble=True, rng=0).random(count)
    points.flags.writeable = False
    return points
