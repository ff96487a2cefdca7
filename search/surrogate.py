"""What surrogate models learn from, whatever the model: which points, which losses, which of them are guesses.

A model of the loss needs a number for every trial it is to learn from, and comparable ones:

    fidelity   only results at one fidelity, the highest that has enough of them
    failed     the worst loss seen, so the model keeps away; never infinite
    infeasible worse than the worst of the others, by a share of their spread that grows with the violation
    stopped    what it last reported, but no better than the median: it was not trained to the end
    pending    no loss: each model has its way to keep off the points that are being tried
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.history import INFEASIBLE, Added, Event, History
from search.observations import FAILED, OPEN, STOPPED, SUCCEEDED, Observations, observations
from spaces import Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_SUCCESSES = 2
"""A single loss has no scale."""
SKEWED = 2.0
KEPT_BEST = 0.3
FEWEST = 5


def initial_trials(axes: int) -> int:
    """How many trials a Gaussian process waits for, if the study does not say."""
    return max(axes + 1, FEWEST)


@dataclass(frozen=True, slots=True)
class Data:
    """`points`, shape [n, parameters], in the unit cube, NaN where inactive; `losses`, shape [n], all finite; `pending`
    as `points`, the trials without a result. `successes` and `failed` count trials, also ones that were left out."""

    points: Floats
    losses: Floats
    pending: Floats
    successes: int
    failed: int
    fidelity: float | None


def training_data(space: Space, history: History, needed: int, at_most: int) -> Data | None:
    """The trials to learn from, by number; None while no fidelity has `needed` of them (failed ones count).

    Of more than `at_most` the best 30 % and the newest of the others are kept.
    """
    observed = observations(space, history)
    finished = observed.learnable & (observed.state == SUCCEEDED)
    failed = np.setdiff1d(observed.trial[observed.learnable & (observed.state == FAILED)], observed.trial[finished])
    rows = _one_fidelity(observed.fidelity, finished, needed - len(failed))
    if rows is None:
        return None
    known = observed.trial[rows]
    stopped, last = _stopped(observed, history, known)
    losses, last = np.split(numbers(np.concatenate((observed.losses[rows, 0], last))), [len(rows)])
    trials = np.concatenate((known, stopped, failed))
    fidelity = float(observed.fidelity[rows[0]])
    worst = np.full(len(failed), losses.max())
    losses = np.concatenate((losses, np.maximum(last, np.median(losses)), worst))
    pending = np.setdiff1d(observed.trial[observed.learnable & (observed.state == OPEN)], trials)
    order = np.argsort(trials, kind="stable")
    order = order[kept(losses[order], at_most)]
    return Data(
        points=observed.points[trials[order]],
        losses=losses[order],
        pending=observed.points[pending],
        successes=len(known),
        failed=len(failed),
        fidelity=None if np.isnan(fidelity) else fidelity,
    )


def standardised(losses: Floats) -> Floats:
    """The losses with mean 0 and variance 1, on a log scale above their minimum where a few are far larger than the
    rest (skewness beyond 2); any increasing affine change of the losses leaves the result as it is."""
    centred = losses - losses.mean()
    spread = centred.std()
    if spread == 0:
        return np.zeros_like(losses)
    if (centred**3).mean() / spread**3 > SKEWED:
        above = losses - losses.min()
        unit = np.median(above)
        if unit > 0:
            centred = np.log1p(above / unit)
            centred -= centred.mean()
            spread = centred.std()
    return np.asarray(centred / spread, dtype=np.float64)


class _Modelled:
    """The view of how many trials a model has suggested."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.resume_from is None and run.origin.get("rule") == "model":
                self.count += 1


def suggestion_number(history: History) -> int:
    """The number of the next suggestion of the model, from 1."""
    return history.view("modelled", _Modelled).count + 1


def _one_fidelity(fidelity: Floats, finished: NDArray[np.bool_], needed: int) -> Ints | None:
    """The finished runs at the highest fidelity that has enough of them; all of them without a fidelity axis."""
    rows = np.flatnonzero(finished)
    enough = max(needed, LEAST_SUCCESSES)
    if len(rows) and not np.isnan(fidelity[rows[0]]):
        levels, counts = np.unique(fidelity[rows], return_counts=True)
        if not (counts >= enough).any():
            return None
        rows = rows[fidelity[rows] == levels[counts >= enough].max()]
    return rows if len(rows) >= enough else None


def numbers(losses: Floats) -> Floats:
    """The losses, with numbers of their scale for those that break constraints; if all do, the violations instead."""
    infeasible = losses >= INFEASIBLE
    if not infeasible.any():
        return losses
    excess = losses / INFEASIBLE - 1  # from 0 to 1, see `Outcome.ranking`
    if infeasible.all():
        return excess
    worst, least = losses[~infeasible].max(), losses[~infeasible].min()
    return np.where(infeasible, worst + excess * ((worst - least) or max(abs(worst), 1.0)), losses)


def _stopped(observed: Observations, history: History, known: Ints) -> tuple[Ints, Floats]:
    """The trials that a rule stopped before they had a result, and the last loss that each reported."""
    trials, last = [], []
    for run in np.flatnonzero(observed.learnable & (observed.state == STOPPED)).tolist():
        curve = [report for report in history.curve(run) if report.losses]
        trial = int(observed.trial[run])
        if curve and trial not in known:
            trials.append(trial)
            last.append(curve[-1].loss)
    return np.array(trials, dtype=np.int64), np.array(last, dtype=np.float64)


def kept(losses: Floats, at_most: int) -> Ints:
    """The rows that are kept, ascending."""
    if len(losses) <= at_most:
        return np.arange(len(losses))
    best = np.argsort(losses, kind="stable")[: int(KEPT_BEST * at_most)]
    newest = np.setdiff1d(np.arange(len(losses)), best)[-(at_most - len(best)) :]
    return np.union1d(best, newest)
