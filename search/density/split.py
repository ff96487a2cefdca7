"""Which trials are good: the split of a history that density-ratio samplers learn from."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search import pareto
from search.observations import CANCELLED, OPEN, SUCCEEDED, Observations

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Growth = Literal["linear", "sqrt"]


def good(finished: int, growth: Growth = "linear", factor: float = 0.1, at_most: int = 25) -> int:
    """How many of the finished trials are good (gamma of TPE): a share, or a share of the square root, of their number.

    Optuna: linear, 0.1; hyperopt: sqrt, 0.25.
    """
    share = factor * (finished if growth == "linear" else sqrt(finished))
    return min(ceil(share - 1e-9), at_most)


def best(observed: Observations, trials: Ints, size: int) -> Ints:
    """The best `size` of these trials, which have all succeeded; ascending.

    The highest fidelity first, then the loss (of several: the front, the last one cut so that a large hypervolume is
    kept), then the lower number.
    """
    runs = observed.latest[trials]
    losses, fidelity = observed.losses[runs], observed.fidelity[runs]
    if not fidelity.min() < fidelity.max():  # one for all, or NaN
        return np.sort(trials[_least(losses, size)])
    chosen: list[Ints] = []
    left = np.arange(len(trials))
    while size > 0 and len(left):
        at_top = fidelity[left] == fidelity[left].max()
        top, left = left[at_top], left[~at_top]
        chosen.append(trials[top[_least(losses[top], min(size, len(top)))]])
        size -= len(top)
    return np.sort(np.concatenate(chosen))


def finished(observed: Observations) -> Mask:
    """Which trials have a result, be it a failure, shape [trials]. A cancelled one says nothing about its config."""
    state = observed.state[observed.latest]
    return np.asarray((state != OPEN) & (state != CANCELLED) & observed.learnable[observed.latest])


def succeeded(observed: Observations) -> Ints:
    """The trials with a success, ascending."""
    return np.flatnonzero((observed.state[observed.latest] == SUCCEEDED) & observed.learnable[observed.latest])


def pending(observed: Observations) -> Mask:
    """Which trials wait for their first result, shape [trials]."""
    return np.asarray((observed.state[observed.latest] == OPEN) & observed.learnable[observed.latest])


def _least(losses: NDArray[np.float64], size: int) -> Ints:
    """The indices of the `size` best rows; ties go to the lower one."""
    if losses.shape[1] > 1:
        return pareto.best(losses, size)
    loss = losses[:, 0]
    if size >= len(loss):
        return np.arange(len(loss))
    bound = np.partition(loss, size - 1)[size - 1]
    below = np.flatnonzero(loss < bound)
    return np.concatenate((below, np.flatnonzero(loss == bound)[: size - len(below)]))
