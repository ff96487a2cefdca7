"""What a model learns from: the trials as points of the unit cube, and how their runs ended, in arrays.

A view of the history that every model-based sampler shares. Rows are only ever appended (points by trial number, the
rest by run number), so a model may keep what it derived from the first n rows and look at the others alone. Only the
end of a run changes a row: its `state` and `losses`, and which run stands for its trial (`latest`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.history import Added, Ended, Event, History, Outcome, RunState
from search.replication import Averages
from spaces import Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

OPEN: Final = 0
SUCCEEDED: Final = 1
FAILED: Final = 2
STOPPED: Final = 3
CANCELLED: Final = 4

_CODES = {
    RunState.SUCCEEDED: SUCCEEDED,
    RunState.FAILED: FAILED,
    RunState.STOPPED: STOPPED,
    RunState.CANCELLED: CANCELLED,
}


class Observations:
    """The view. All properties are views of growing arrays: read them, do not keep or change them.

    Runs of a kind other than `train` (supernets) and replicates have rows, so that a row is a number, but `learnable`
    leaves them out. The row of a repeated run has the average over its replicates.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._trials = self._runs = 0
        self._points = np.empty((16, len(space)))
        self._latest = np.empty(16, dtype=np.int64)
        self._trial = np.empty(16, dtype=np.int64)
        self._fidelity = np.empty(16)
        self._state = np.empty(16, dtype=np.int8)
        self._train = np.empty(16, dtype=np.bool_)
        self._violation = np.empty(16)
        self._losses = np.empty((16, 0))
        self._averages = Averages()

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run):
                if run.trial == self._trials:
                    self._points = _room(self._points, self._trials)
                    self._latest = _room(self._latest, self._trials)
                    self._points[run.trial] = self._space.encode(run.config)
                    self._latest[run.trial] = run.number
                    self._trials += 1
                self._trial = _room(self._trial, run.number)
                self._fidelity = _room(self._fidelity, run.number)
                self._state = _room(self._state, run.number)
                self._train = _room(self._train, run.number)
                self._violation = _room(self._violation, run.number)
                self._losses = _room(self._losses, run.number)
                self._trial[run.number] = run.trial
                self._fidelity[run.number] = np.nan if run.fidelity is None else run.fidelity
                self._state[run.number] = OPEN
                self._train[run.number] = run.kind == "train" and not run.slot.replicate
                self._violation[run.number] = 0.0
                self._losses[run.number] = np.nan
                self._runs += 1
            case Ended(number, outcome):
                self._end(number, outcome)
                repeated, results, average = self._averages.add(history, number, outcome)
                if results > 1:
                    self._end(repeated, average)
                elif outcome.losses:
                    self._latest[self._trial[number]] = number

    def _end(self, number: int, outcome: Outcome) -> None:
        self._state[number] = _CODES[outcome.state]
        self._violation[number] = outcome.violation
        if outcome.losses:
            if self._losses.shape[1] != len(outcome.losses):  # the first success tells how many there are
                assert not self._losses.shape[1], "the number of metrics never changes"
                self._losses = np.full((len(self._losses), len(outcome.losses)), np.nan)
            self._losses[number] = outcome.ranking
        elif self._losses.shape[1]:
            self._losses[number] = np.nan

    @property
    def trial_count(self) -> int:
        return self._trials

    @property
    def run_count(self) -> int:
        return self._runs

    @property
    def points(self) -> Floats:
        """The configs in the unit cube, shape [trials, parameters]; NaN where a parameter is inactive."""
        return self._points[: self._trials]

    @property
    def latest(self) -> Ints:
        """The run that stands for each trial, shape [trials]: its last success, or else its first run.

        A trial is promoted from a success to a higher fidelity, so the last success is the one that tells most.
        """
        return self._latest[: self._trials]

    @property
    def trial(self) -> Ints:
        """The trial of each run, shape [runs]."""
        return self._trial[: self._runs]

    @property
    def fidelity(self) -> Floats:
        """The fidelity of each run, shape [runs]; NaN without a fidelity axis."""
        return self._fidelity[: self._runs]

    @property
    def state(self) -> NDArray[np.int8]:
        """OPEN, SUCCEEDED, FAILED, STOPPED or CANCELLED for each run, shape [runs]."""
        return self._state[: self._runs]

    @property
    def learnable(self) -> Mask:
        """Whether a run is the first training of a config at its fidelity, shape [runs]."""
        return self._train[: self._runs]

    @property
    def losses(self) -> Floats:
        """What each run is ranked by, all minimised, shape [runs, objectives]; NaN unless it succeeded.

        The losses of a run that keeps all constraints, else a number beyond any loss: see `Outcome.ranking`. Fit for
        ranking; a model of numbers leaves out what is not `feasible`, or takes it for as bad as the worst that is.
        Shape [runs, 0] while no run has succeeded: the history does not know the objectives before.
        """
        return self._losses[: self._runs]

    @property
    def feasible(self) -> Mask:
        """Whether nothing that a run reported breaks a constraint, shape [runs]."""
        return np.asarray(self._violation[: self._runs] == 0)


def observations(space: Space, history: History) -> Observations:
    """The observations of a study, up to date."""
    return history.view(("observations", space), lambda: Observations(space), sees="replicates")


def _room(array: NDArray[Any], row: int) -> NDArray[Any]:
    """The array, or a copy twice as long where it has no such row."""
    if row < len(array):
        return array
    longer = np.empty((2 * len(array), *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer
