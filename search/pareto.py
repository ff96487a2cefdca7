"""Several losses at once: which results dominate which, and how much of the space of losses a set covers.

All losses are minimised, shape [results, metrics]. A result dominates another when it is at least as good in every
metric and better in one, so equal results do not dominate each other. A failure is written as a row of infinities, and
a result that breaks constraints as a row of one number beyond `INFEASIBLE` (see `Outcome.ranking`): both have a place
in the order, and no volume.
"""

from __future__ import annotations

from bisect import bisect_left
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search import volume
from search.history import INFEASIBLE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SLICES = 10_000
"""A hypervolume of four metrics and more is exact while it has at most so many slices of two metrics."""
LINES = 2**14
"""So many lines estimate it beyond."""
GAIN_SLICES = 700
"""What results add, one by one, is exact while that takes at most so many slices; it is asked for again and again."""
GAIN_LINES = 2**10


def front(losses: ArrayLike) -> Mask:
    """Which results no other one dominates, shape [results]."""
    return np.asarray(ranks(losses, at_least=1) == 0)


def ranks(losses: ArrayLike, at_least: int | None = None) -> Ints:
    """The number of the front that each result is on, from 0, by non-dominated sorting (Deb et al. 2002).

    With `at_least`, sorting stops once that many results are on a front; the others get the number of the next one.
    """
    values = _matrix(losses)
    unique, index = _distinct(values)
    multiplicity = np.bincount(index, minlength=len(unique))
    wanted = len(values) if at_least is None else at_least
    of_unique = np.zeros(len(unique), dtype=np.int64)
    left, rank, ranked = np.arange(len(unique)), 0, 0
    while len(left):
        of_unique[left] = rank
        if ranked >= wanted:
            break
        on_front = _first_front(unique[left])
        ranked += int(multiplicity[left[on_front]].sum())
        left, rank = left[~on_front], rank + 1
    return of_unique[index]


class Fronts:
    """Non-dominated sorting of results that come in one by one.

    A new result takes its front, found by bisection; whoever it dominates there moves to the next one, and so on (Li et
    al. 2017, efficient non-domination level update). Where a whole front gives way, all behind it move up together.
    """

    def __init__(self) -> None:
        self._values = np.empty((16, 0))
        self._ranks = np.empty(16, dtype=np.int64)
        self._count = 0
        self._fronts: list[Ints] = []

    @property
    def values(self) -> Floats:
        """All results as they came, shape [results, metrics]."""
        return self._values[: self._count]

    @property
    def ranks(self) -> Ints:
        """What `ranks` would say of `values`, shape [results]."""
        return self._ranks[: self._count]

    def front(self, rank: int) -> Ints:
        """The results on a front, by their numbers in `values`, in no particular order."""
        return self._fronts[rank]

    def add(self, losses: tuple[float, ...]) -> None:
        if not self._count:
            self._values = np.empty((len(self._ranks), len(losses)))
        if self._count == len(self._ranks):
            self._values = np.concatenate((self._values, np.empty_like(self._values)))
            self._ranks = np.concatenate((self._ranks, np.empty_like(self._ranks)))
        new, row = self._count, np.asarray(losses, dtype=np.float64)
        self._values[new], self._ranks[new] = row, -1
        self._count += 1
        rank = bisect_left(self._fronts, True, key=lambda there: not self._beaten(self._values[there], row[None]).any())
        moving = np.array([new])
        while rank < len(self._fronts):
            there = self._fronts[rank]
            beaten = self._beaten(self._values[moving], self._values[there])
            if beaten.all():
                break
            self._fronts[rank] = np.concatenate((there[~beaten], moving))
            self._ranks[moving] = rank
            moving, rank = there[beaten], rank + 1
            if not len(moving):
                return
        self._ranks[: self._count] += self.ranks >= rank
        self._ranks[moving] = rank
        self._fronts.insert(rank, moving)

    @staticmethod
    def _beaten(ours: Floats, theirs: Floats) -> Mask:
        """Which of theirs one of ours dominates, shape [theirs]."""
        no_worse, better = np.ones((len(ours), len(theirs)), np.bool_), np.zeros((len(ours), len(theirs)), np.bool_)
        for mine, other in zip(ours.T[:, :, None], theirs.T, strict=True):
            no_worse &= mine <= other
            better |= mine < other
        return np.asarray((no_worse & better).any(axis=0), dtype=np.bool_)


def crowding(losses: ArrayLike) -> Floats:
    """The crowding distance of each result of one front (Deb et al. 2002); infinite at the ends."""
    values = _matrix(losses)
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        distance[order[[0, -1]]] = np.inf
        spread = ordered[-1] - ordered[0]
        if spread > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / spread
    return distance


def reference(losses: ArrayLike) -> Floats:
    """A reference point a tenth beyond the worst losses of feasible results (of 0 if there are none), shape
    [metrics]."""
    values = _matrix(losses)
    values = values[_measurable(values)]
    worst = values.max(axis=0) if len(values) else np.zeros(values.shape[1])
    return np.where(worst == 0, 1e-12, np.maximum(1.1 * worst, 0.9 * worst))


def hypervolume(losses: ArrayLike, beyond: ArrayLike) -> float:
    """The volume that the results dominate, up to the reference point `beyond`; those outside it add nothing.

    Exact for up to three metrics (O(n log n) for two, O(n^2 log n) for three), and for fronts of up to 141 results with
    four metrics, 40 with five, 23 with six. Beyond, which takes n times as long for each further metric, an estimate
    that is the same for the same results: mostly within 0.5 % (`volume.Lines`).
    """
    values, limit = _matrix(losses), np.asarray(beyond, dtype=np.float64)
    values = values[(values < limit).all(axis=1)]
    if not len(values):
        return 0.0
    metrics = values.shape[1]
    if metrics > 3:
        values = values[front(values)]
        if comb(len(values), metrics - 2) > SLICES:
            return volume.Lines(values, limit, LINES).volume()
    return volume.volume(values, limit)


def contributions(losses: ArrayLike, beyond: ArrayLike) -> Floats:
    """What the hypervolume would lose without each result, shape [results]; 0 for one that is dominated or repeated.

    Exact for two metrics, and for up to 26 results with three, 12 with four, 9 with five; an estimate beyond.
    """
    values, limit = _matrix(losses), np.asarray(beyond, dtype=np.float64)
    count, metrics = values.shape
    if metrics > 2 and count * comb(count - 1, metrics - 2) > GAIN_SLICES:
        return volume.Lines(values, limit, GAIN_LINES).contributions()
    lost = [volume.gains(values[[row]], np.delete(values, row, axis=0), limit)[0] for row in range(count)]
    return np.array(lost, dtype=np.float64)


def subset(losses: ArrayLike, size: int, beyond: ArrayLike) -> Ints:
    """The indices of `size` results that cover a large hypervolume, in the order in which they were picked.

    Greedy, so at least 1 - 1/e of the largest (the hypervolume is submodular); ties go to the lower index. By exact
    volumes for two metrics, and for a `size` of up to 37 with three, 17 with four, 12 with five; by estimates beyond.
    """
    values, limit = _matrix(losses), np.asarray(beyond, dtype=np.float64)
    assert size <= len(values)
    metrics = values.shape[1]
    if metrics > 2 and comb(size, metrics - 1) > GAIN_SLICES:
        return volume.Lines(values, limit, GAIN_LINES).subset(size)
    picked: list[int] = []
    while len(picked) < size:
        gains = volume.gains(values, values[picked], limit)
        gains[picked] = -1.0
        picked.append(int(gains.argmax()))
    return np.array(picked, dtype=np.int64)


def best(losses: ArrayLike, size: int) -> Ints:
    """The indices of the `size` best results: whole fronts, and of the last one a subset that covers a large volume."""
    values = _matrix(losses)
    assert size <= len(values)
    rank = ranks(values, at_least=size)
    order = np.argsort(rank, kind="stable")
    last = rank[order[size - 1]]
    whole, cut = np.flatnonzero(rank < last), np.flatnonzero(rank == last)
    if len(whole) + len(cut) == size:
        return np.concatenate((whole, cut))
    measurable = _measurable(values[cut]).all()
    some = subset(values[cut], size - len(whole), reference(values)) if measurable else np.arange(size - len(whole))
    return np.concatenate((whole, cut[some]))


def _matrix(losses: ArrayLike) -> Floats:
    values = np.asarray(losses, dtype=np.float64)
    assert values.ndim == 2, f"losses have shape [results, metrics], got {values.shape}"
    return values


def _measurable(values: Floats) -> Mask:
    """Which results have losses that mean something, shape [results]."""
    return np.asarray((values < INFEASIBLE).all(axis=1), dtype=np.bool_)


def _distinct(values: Floats) -> tuple[Floats, Ints]:
    """The distinct rows in lexicographic order, and which of them each row is; a fifth of the time of `np.unique`."""
    order = np.lexsort(values.T[::-1])
    ordered = values[order]
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    index = np.empty(len(values), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return ordered[new], index


def _first_front(unique: Floats) -> Mask:
    """The front of distinct rows in lexicographic order: nothing is dominated by what comes after it."""
    if unique.shape[1] <= 2:
        last = unique[:, -1]
        best_before = np.concatenate(([np.inf], np.minimum.accumulate(last)[:-1]))
        on_front = last < best_before
        on_front[0] = True  # also where all is infinite
        return on_front
    on_front = np.zeros(len(unique), dtype=np.bool_)
    # whoever has the least sum of ranks is dominated by nobody, and dominates many
    left = np.argsort(sum(np.searchsorted(np.sort(column), column) for column in unique.T), kind="stable")
    while len(left):
        on_front[left[0]] = True
        left = left[1:][(unique[left[1:]] < unique[left[0]]).any(axis=1)]
    return on_front
