"""What all mixtures of product kernels compute: from the log kernels of components to the log density of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 2**15
"""So many kernels at once: they stay in the processor's cache."""
WORK = 2**18
"""So many multiplications in one matrix product, at most. With more, OpenBLAS divides it among threads, which cost more
than they save where the processors are busy training: the threads wait for each other."""
LOWEST = -1e300
NEGLIGIBLE = -500.0
"""Beside the top of its block, exp(-500) changes no digit; the exponential of less takes five times as long."""


class Table(NamedTuple):
    """A factor of the kernels that depends on a component only by a code: [codes, candidates] and [components]."""

    log_factor: Floats
    code: NDArray[np.int32] | Ints


class Correction(NamedTuple):
    """What has to be added for some components, ascending: [rows, candidates] and [rows]."""

    log_factor: Floats
    rows: Ints


def log_sum(
    candidates: int,
    weights: Floats,
    log_kernels: Callable[[slice], Floats],
    tables: Sequence[Table] = (),
    correction: Correction | None = None,
) -> Floats:
    """ln sum_i w_i exp(k_ic) for each candidate c; -inf where there are no components.

    `log_kernels` gives [components, candidates] for a slice of the components, an array that is used up; the factors
    in `tables` and `correction` are added to it. A component's kernels lie side by side, so that looking up its factors
    is one copy.
    """
    size = max(BLOCK // candidates, 1)
    tops, sums = [np.full(candidates, LOWEST)], [np.zeros(candidates)]
    starts = range(0, len(weights), size)
    bounds = [] if correction is None else np.searchsorted(correction.rows, (*starts, len(weights))).tolist()
    for number, start in enumerate(starts):
        block = slice(start, start + size)
        kernels = log_kernels(block)
        room = np.empty_like(kernels)
        for table in tables:
            np.take(table.log_factor, table.code[block], axis=0, out=room, mode="clip")
            kernels += room
        if correction is not None and (first := bounds[number]) < (last := bounds[number + 1]):
            kernels[correction.rows[first:last] - start] += correction.log_factor[first:last]
        top = np.maximum(_highest(kernels), LOWEST)  # a finite one, also where no component has weight
        kernels -= top
        np.maximum(kernels, NEGLIGIBLE, out=kernels)
        np.exp(kernels, out=kernels)
        tops.append(top)
        sums.append(weights[block] @ kernels)
    highest = np.max(tops, axis=0)
    total = (np.array(sums) * np.exp(np.array(tops) - highest)).sum(axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total) + highest, dtype=np.float64)


def product(left: Floats, right: Floats) -> Floats:
    """The matrix product, on one thread (see `WORK`)."""
    answer = np.empty((len(left), right.shape[1]))
    size = max(WORK // max(right.size, 1), 1)
    for start in range(0, len(left), size):
        np.matmul(left[start : start + size], right, out=answer[start : start + size])
    return answer


def _highest(kernels: Floats) -> Floats:
    """The maximum over the components. NumPy is slow on many short rows, so they are laid side by side first."""
    rows = len(kernels) // 32
    if not rows:
        return np.asarray(kernels.max(axis=0), dtype=np.float64)
    highest = kernels[: 32 * rows].reshape(32, -1).max(axis=0).reshape(rows, -1).max(axis=0)
    return np.asarray(np.maximum(highest, kernels[32 * rows :].max(axis=0, initial=LOWEST)), dtype=np.float64)


def pick(u: Floats, weights: Floats) -> Ints:
    """The components at the levels u in [0, 1) of the cumulated weights."""
    cumulated = np.cumsum(weights)
    found = np.searchsorted(cumulated, u * cumulated[-1], side="right")
    return np.asarray(np.minimum(found, len(weights) - 1), dtype=np.int64)
