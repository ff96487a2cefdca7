"""ASHA (Li et al. 2020) and asynchronous Hyperband (Klein et al. 2020): halving without waiting for a rung to fill.

A trial goes up as soon as it is among the best 1/eta of all that have completed its rung so far, those promoted before
included; when no trial is, a new one begins. So no worker ever idles, at the price of promoting some trials that a full
rung would not have. Asynchronous Hyperband has several such ladders, which begin on different rungs, and draws the one
of each new trial at random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import isfinite

from search.actions import Promote, Sample, Wait
from search.history import Added, Ended, Event, History, Invalidated, Outcome, Run, Slot
from search.schedulers.brackets import OUTSIDE, bracket_law, ladder
from search.streams import Streams


@dataclass(frozen=True, slots=True)
class Asha:
    """Promotions before samples, the highest rung first, the lower bracket first; the best trial first.

    Bracket b begins b rungs above the lowest. `brackets` is how many there are, None for one per rung; only the first
    is ASHA. A new trial's bracket follows `bracket_law`. Runs that failed, were stopped or cancelled never enter a
    rung. Ties go to the lower trial.

    When no new trials may begin, rungs cannot grow any more: the best of a rung goes up although it is none of the best
    1/eta, once nothing below can overtake it and if nobody has gone up from there. So the study ends with a result at
    the highest fidelity.
    """

    low: float | int
    high: float | int
    integer: bool
    eta: float = 3
    brackets: int | None = 1

    def rung(self, slot: Slot) -> Rung:
        """An empty rung."""
        return _Sorted(slot)

    def next(self, history: History, new_trials: bool, streams: Streams) -> Sample | Promote | Wait | None:
        rungs = history.view(self, lambda: _Ladders(self), sees="schedule")
        if action := rungs.promotion():
            return action
        if new_trials:
            return rungs.beginning(streams)
        if action := rungs.last_promotion():
            return action
        if rungs.undecided:
            return Wait("barrier", "open runs may yet be promoted")
        return None


class Rung(ABC):
    """What is known of one rung of one bracket: how many runs are open, and how many trials went up."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.running = 0
        self.promoted = 0

    @abstractmethod
    def enter(self, run: Run, outcome: Outcome) -> None:
        """A success."""

    @abstractmethod
    def leave(self, run: Run, outcome: Outcome) -> None:
        """A success that goes up."""

    @abstractmethod
    def drop(self, trial: int) -> None:
        """The result of this trial, if it is one of those that completed the rung, counts no more."""

    @abstractmethod
    def promotion(self, above: Slot, eta: Fraction | None) -> Promote | None:
        """The best that is still here, if it is among the best 1/eta of all that completed the rung (None: in any
        case).

        Leaving out the promoted ones before taking 1/eta of the rest would promote nearly every trial in the end.
        """


class _Sorted(Rung):
    """(loss, trial, run) of all that completed the rung, and of those still here, both best first."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self._completed: list[tuple[float, int, int]] = []
        self._here: list[tuple[float, int, int]] = []

    def enter(self, run: Run, outcome: Outcome) -> None:
        for members in (self._completed, self._here):
            insort(members, (outcome.loss, run.trial, run.number))

    def leave(self, run: Run, outcome: Outcome) -> None:
        place = bisect_left(self._here, (outcome.loss, run.trial, run.number))
        assert self._here[place][2] == run.number, f"run {run.number} is not promotable"
        del self._here[place]

    def drop(self, trial: int) -> None:
        for members in (self._completed, self._here):
            members[:] = [member for member in members if member[1] != trial]

    def promotion(self, above: Slot, eta: Fraction | None) -> Promote | None:
        if not self._here:
            return None
        loss, _, run = self._here[0]
        rank = bisect_left(self._completed, self._here[0])
        if eta is not None and rank >= places(len(self._completed), eta):
            return None
        origin = {"rule": "promote", "rank": rank + 1, "of": len(self._completed), "from_run": run, "loss": loss}
        return Promote(above, run, origin)


def places(completed: int, eta: Fraction) -> int:
    """How many of a rung's trials go up."""
    return completed * eta.denominator // eta.numerator


class _Ladders:
    """The view of all rungs of all brackets."""

    def __init__(self, asha: Asha) -> None:
        fidelities = ladder(asha.low, asha.high, asha.eta, asha.integer)
        count = len(fidelities) if asha.brackets is None else min(asha.brackets, len(fidelities))
        self._eta = Fraction(asha.eta)
        law = bracket_law(len(fidelities) - 1, asha.eta)[:count]
        self._law = law / law.sum()
        self._brackets = [
            [asha.rung(Slot(first, rung, fidelities[rung])) for rung in range(first, len(fidelities))]
            for first in range(count)
        ]
        steps = [step for bracket in self._brackets for step in pairwise(bracket)]
        self._steps = sorted(steps, key=lambda step: -step[0].slot.rung)
        """(rung, the one above) of all brackets, the highest first."""

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.slot.bracket != OUTSIDE:
                rung = self._rung(run.slot)
                rung.running += 1
                if run.resume_from is not None:
                    self._leave(run.resume_from, history)
            case Ended(number, outcome) if (run := history.runs[number]).slot.bracket != OUTSIDE:
                rung = self._rung(run.slot)
                rung.running -= 1
                if isfinite(outcome.loss):
                    rung.enter(run, outcome)
            case Invalidated(trial):
                for bracket in self._brackets:
                    for rung in bracket:
                        rung.drop(trial)

    def promotion(self) -> Promote | None:
        for rung, above in self._steps:
            if promotion := rung.promotion(above.slot, self._eta):
                return promotion
        return None

    def last_promotion(self) -> Promote | None:
        """The one that goes up because its rung and those below it are settled."""
        for bracket in self._brackets:
            for rung, above in pairwise(bracket):
                if rung.running:
                    break
                if not rung.promoted and (promotion := rung.promotion(above.slot, None)):
                    return promotion
        return None

    @property
    def undecided(self) -> bool:
        """Whether runs are open that may yet be promoted."""
        return any(rung.running for rung, _ in self._steps)

    def beginning(self, streams: Streams) -> Sample:
        """The sample that begins a new trial, in the bracket that is drawn for it."""
        if len(self._brackets) == 1:
            return Sample(self._brackets[0][0].slot)
        bracket = streams("bracket").choice(len(self._brackets), p=self._law)
        return Sample(self._brackets[bracket][0].slot)

    def _rung(self, slot: Slot) -> Rung:
        return self._brackets[slot.bracket][slot.rung - slot.bracket]

    def _leave(self, number: int, history: History) -> None:
        """Takes a promoted run out of those that wait in its rung."""
        run, outcome = history.runs[number], history.recorded(number)
        assert outcome is not None, "only an ended run is promoted"
        rung = self._rung(run.slot)
        rung.promoted += 1
        rung.leave(run, outcome)
