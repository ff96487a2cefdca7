"""ASHA as a stopping rule (Li et al. 2020): only the best 1/eta of those that come to a rung go on.

The rungs are at the steps grace, grace * eta, grace * eta^2, ... Nothing is paused and resumed: a run is judged once
per rung, when it gets there, against all that have been there before.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite
from operator import attrgetter
from typing import Literal

from search.history import Ended, Event, History, Reported
from search.stopping import Stop

Cutoff = Literal["quantile", "rank"]

ROUND_OFF = 1 + 1e-9
"""A step of 0.3 has come to the rung at 0.1 * 3, although the product is a hair above it."""


@dataclass(frozen=True, slots=True)
class AshaStop:
    """A run's loss on a rung is that of its first report there or later; it counts whatever becomes of the run.

    `cutoff` is how bad it may be: at most the 1/eta quantile (linear interpolation) of all losses on the rung, its own
    included, where the first to arrive goes on in any case; or at most the loss of rank n/eta, rounded down, where each
    of the first eta - 1 must be the best so far.
    """

    eta: float = 3
    grace: float = 1
    cutoff: Cutoff = "quantile"

    def check(self, history: History, run: int) -> Stop | None:
        curve = history.curve(run)
        rungs = history.view(self, lambda: _Rungs(self))
        last, before = curve[-1], curve[-2].step if len(curve) > 1 else 0.0
        for rung, step in enumerate(self.rungs(last.step)):
            if step <= before * ROUND_OFF:
                continue
            others = rungs.losses(rung)
            for number in history.open:
                if number != run and history.runs[number].kind == "train":
                    others += [report.loss for report in first_at(history.curve(number), step)]
            losses = sorted([*others, last.loss])
            threshold = self.threshold(losses)
            if last.loss > threshold or (not last.losses and len(losses) > 1):
                return self._stop(last, step, losses, threshold)
        return None

    def rungs(self, step: float) -> Iterator[float]:
        """The steps of the rungs up to this step, ascending."""
        rung, factor = Fraction(self.grace), Fraction(self.eta)
        while float(rung) <= step * ROUND_OFF:
            yield float(rung)
            rung *= factor

    def threshold(self, losses: Sequence[float]) -> float:
        """The greatest loss that goes on, when these (ascending) have come to the rung."""
        if self.cutoff == "rank":
            return losses[max(floor(len(losses) / Fraction(self.eta)), 1) - 1]
        place = (len(losses) - 1) / Fraction(self.eta)
        below, part = floor(place), float(place - floor(place))
        if len(losses) == 1 or part == 0 or losses[below] == losses[below + 1]:
            return losses[below]
        return losses[below] + part * (losses[below + 1] - losses[below])

    def _stop(self, report: Reported, rung: float, losses: Sequence[float], threshold: float) -> Stop:
        limit = threshold if isfinite(threshold) else None
        return Stop(
            "asha-stop",
            {
                "step": report.step,
                "compared": f"the loss on the rung at step {rung:g}",
                "loss": report.loss if report.losses else None,
                "against": f"the best 1/{self.eta:g} of the {len(losses)} trials that came to it",
                "threshold": limit,
                "rung": rung,
                "rank": bisect_left(losses, report.loss) + 1,
                "of": len(losses),
                "counterfactual": "goes on with a finite loss"
                if limit is None
                else f"goes on with a loss of at most {limit:g}",
            },
        )


def first_at(curve: Sequence[Reported], step: float) -> Sequence[Reported]:
    """The first report at this step or later, if there is one."""
    place = bisect_left(curve, step / ROUND_OFF, key=attrgetter("step"))
    return curve[place : place + 1]


class _Rungs:
    """The view of the losses on each rung, ascending, of the runs that have ended."""

    def __init__(self, rule: AshaStop) -> None:
        self._rule = rule
        self._losses: list[list[float]] = []

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number):
                curve = history.curve(number)
                if not curve or history.runs[number].kind != "train":
                    return
                for rung, step in enumerate(self._rule.rungs(curve[-1].step)):
                    if rung == len(self._losses):
                        self._losses.append([])
                    (report,) = first_at(curve, step)
                    insort(self._losses[rung], report.loss)

    def losses(self, rung: int) -> list[float]:
        """A new list."""
        return list(self._losses[rung]) if rung < len(self._losses) else []
