"""What a model of the loss over configs *and* fidelities learns from: all results, wherever they were reached.

A fidelity is written as its share of the way from the lowest to the highest one, on a log scale: the rungs of a ladder
lie evenly on it.

    succeeded  its loss, at its fidelity
    stopped    the last loss that it reported, at the step of that report
    failed     the worst loss seen at its fidelity (at any, where nothing has succeeded there), so the model keeps away
    infeasible worse than the worst of the others, as for `search.surrogate`
    pending    no loss: each model has its way to keep off the points that are being tried
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.history import History
from search.observations import FAILED, OPEN, STOPPED, SUCCEEDED, observations
from search.surrogate import LEAST_SUCCESSES, kept, numbers
from spaces import Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GradedData:
    """Of each run: its `trials` number, shape [n], the config's `points` in the unit cube, [n, parameters], NaN where
    inactive, its fidelity as `shares` of the axis, [n], and its `losses`, [n], all finite; `pending` and
    `pending_shares`, as `points` and `shares`, of the runs without a result. `successes` and `failed` count runs."""

    trials: Ints
    points: Floats
    shares: Floats
    losses: Floats
    pending: Floats
    pending_shares: Floats
    successes: int
    failed: int


def graded_data(space: Space, history: History, at_most: int) -> GradedData | None:
    """The runs to learn from, by number; None while fewer than two have succeeded.

    Of more than `at_most` the best 30 % and the newest of the others are kept.
    """
    observed = observations(space, history)
    succeeded, failed, open_ = (
        np.flatnonzero(observed.learnable & (observed.state == state)) for state in (SUCCEEDED, FAILED, OPEN)
    )
    if len(succeeded) < LEAST_SUCCESSES:
        return None
    stopped, last, steps = _stopped(history, np.flatnonzero(observed.learnable & (observed.state == STOPPED)))
    losses, last = np.split(numbers(np.concatenate((observed.losses[succeeded, 0], last))), [len(succeeded)])
    worst = [_worst(losses, observed.fidelity[succeeded] == at) for at in observed.fidelity[failed]]
    runs = np.concatenate((succeeded, stopped, failed))
    fidelities = np.concatenate((observed.fidelity[succeeded], steps, observed.fidelity[failed]))
    losses = np.concatenate((losses, last, np.array(worst, dtype=np.float64)))
    order = np.argsort(runs, kind="stable")
    order = order[kept(losses[order], at_most)]
    trials = observed.trial[runs[order]]
    return GradedData(
        trials=trials,
        points=observed.points[trials],
        shares=shares(space, fidelities[order]),
        losses=losses[order],
        pending=observed.points[observed.trial[open_]],
        pending_shares=shares(space, observed.fidelity[open_]),
        successes=len(succeeded),
        failed=len(failed),
    )


def shares(space: Space, fidelities: Floats) -> Floats:
    """Where these fidelities lie between the lowest one, 0, and the highest, 1, on a log scale."""
    axis = space.fidelity
    assert axis is not None, "refused before"
    if axis.low == axis.high:
        return np.ones_like(fidelities)
    return np.asarray(np.clip(np.log(fidelities / axis.low) / np.log(axis.high / axis.low), 0.0, 1.0), dtype=np.float64)


def _worst(losses: Floats, there: NDArray[np.bool_]) -> float:
    return float(losses[there].max() if there.any() else losses.max())


def _stopped(history: History, runs: Ints) -> tuple[Ints, Floats, Floats]:
    """Of the runs that a rule stopped those that had reported a loss, the last one, and its step."""
    found = [
        (run, curve[-1].loss, curve[-1].step)
        for run in runs.tolist()
        if (curve := [report for report in history.curve(run) if report.losses])
    ]
    stopped, last, steps = zip(*found, strict=True) if found else ((), (), ())
    return np.array(stopped, dtype=np.int64), np.array(last, dtype=np.float64), np.array(steps, dtype=np.float64)
