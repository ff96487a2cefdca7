"""The median rule (Golovin et al. 2017, Vizier): a run that has never been as good as the others usually were."""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from math import inf, isfinite

from search.history import Ended, Event, History, RunState
from search.stopping import Stop


@dataclass(frozen=True, slots=True)
class Median:
    """Stops a run at step s when its best loss so far is above the median of the others' running averages up to s.

    The others are the trials that have ended, by success or by a stop, and that have come to s; with fewer than
    `trials` of them, and before the step `grace`, every run goes on. Reports without a finite loss are left out of an
    average.
    """

    trials: int = 5
    grace: float = 0

    def check(self, history: History, run: int) -> Stop | None:
        curve = history.curve(run)
        step = curve[-1].step
        if step < self.grace:
            return None
        averages = history.view("running averages", _Averages).at(step)
        if len(averages) < self.trials:
            return None
        best, median = min(report.loss for report in curve), _median(averages)
        if best <= median and isfinite(best):
            return None
        threshold = median if isfinite(median) else None
        return Stop(
            "median",
            {
                "step": step,
                "compared": "the best loss so far",
                "loss": best if isfinite(best) else None,
                "against": f"the median of the running averages of {len(averages)} trials",
                "threshold": threshold,
                "of": len(averages),
                "counterfactual": "goes on with a finite loss"
                if threshold is None
                else f"goes on with a best loss of at most {threshold:g}",
            },
        )


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1], ordered[middle]
    return low if low == high else low / 2 + high / 2


@dataclass(slots=True)
class _Column:
    """The running averages at one step, ascending, of the first `folded` curves."""

    values: list[float] = field(default_factory=list)
    folded: int = 0


class _Averages:
    """The view of the running averages of all curves that count: a column per step, filled when it is asked for."""

    def __init__(self) -> None:
        self._curves: list[tuple[array[float], array[float]]] = []  # steps, averages
        self._columns: dict[float, _Column] = {}

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if outcome.state in (RunState.SUCCEEDED, RunState.STOPPED):
                curve = history.curve(number)
                if not curve or history.runs[number].kind != "train":
                    return
                average, count, averages = 0.0, 0, array("d")
                for report in curve:
                    if report.losses:
                        count += 1
                        average += (report.loss - average) / count  # exact for a curve that is constant
                    averages.append(average if count else inf)
                self._curves.append((array("d", (report.step for report in curve)), averages))

    def at(self, step: float) -> list[float]:
        """The running averages up to this step of the curves that have come so far, ascending."""
        column = self._columns.setdefault(step, _Column())
        for steps, averages in self._curves[column.folded :]:
            if steps[-1] >= step and (place := bisect_right(steps, step)):
                insort(column.values, averages[place - 1])
        column.folded = len(self._curves)
        return column.values
