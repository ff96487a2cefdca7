"""How many of those that a ranking puts first are truly first.

Of n architectures a first tenth has k = max(1, n // 10). The hit is the share of the k with the highest scores that are
among the k with the best results. Of equal ones any order is as good as another: what is told is the mean over all
orders of both columns, so that a ranking which knows nothing comes to k / n, whatever is equal in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopHit:
    """From 0 to 1, with the bounds of a 95 % interval by resampling the pairs; `top` is how many a first tenth has."""

    value: float
    low: float
    high: float
    top: int


def top_hit(scores: Numbers, goods: Numbers, counts: Numbers, edge: float, rng: np.random.Generator) -> TopHit:
    """Of pairs [pairs] of a score and how good it is. `counts`, shape [samples, pairs], says how often a pair is in a
    resample; `edge` is the part of these, in percent, that lies beyond either bound."""
    top = max(1, len(scores) // 10)
    value = (chances(scores, top) * chances(goods, top)).sum() / top
    hits = np.minimum(*(taken(column, counts, top, rng) for column in (scores, goods))).sum(axis=1) / top
    low, high = np.percentile(hits, [edge, 100 - edge])
    return TopHit(float(value), float(low), float(high), top)


def chances(column: Numbers, top: int) -> Numbers:
    """How probably each is among the `top` highest [pairs], when equal ones come in any order."""
    above = (column[None] > column[:, None]).sum(axis=1)
    equal = (column[None] == column[:, None]).sum(axis=1)
    return np.asarray(np.clip((top - above) / equal, 0, 1), dtype=np.float64)


def taken(column: Numbers, counts: Numbers, top: int, rng: np.random.Generator) -> Numbers:
    """How many copies of each pair are among the `top` highest of each resample [samples, pairs], equal ones in a drawn
    order. The copies of one pair are no different ones: they stay together."""
    _, descending = np.unique(-column, return_inverse=True)
    order = np.argsort(descending + rng.random(counts.shape), axis=1)
    ordered = np.take_along_axis(counts, order, axis=1)
    before = ordered.cumsum(axis=1) - ordered
    found = np.empty_like(counts)
    np.put_along_axis(found, order, np.clip(top - before, 0, ordered), axis=1)
    return found
