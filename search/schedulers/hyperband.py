"""Hyperband (Li et al. 2018): synchronous successive halving with several trade-offs between breadth and depth.

A bracket starts many trials at a low fidelity; when all of a rung have ended, the best 1/eta of them go on, from their
checkpoints, to the next rung. Bracket b of a study starts K - b mod (K + 1) rungs below the top, so the brackets cycle
from the broadest to plain full fidelity and repeat until the budget ends. While a rung is not decided, idle workers
begin the next bracket.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite

from search.actions import Promote, Sample, Wait
from search.history import Added, Ended, Event, History, Invalidated, Slot
from search.schedulers.brackets import OUTSIDE, Rounding, ladder, sizes
from search.streams import Streams


@dataclass(frozen=True, slots=True)
class Hyperband:
    """Promotions before samples, the oldest bracket first, the best trial first.

    A rung promotes the best of those that succeeded; ones that failed, were stopped or cancelled are never promoted,
    and the places that this leaves free are dropped. Ties go to the lower trial.

    `halvings` is how many rungs below the top the first bracket starts, None for the lowest. Without `cycle` all
    brackets are like it: plain successive halving (Jamieson and Talwalkar 2016), again and again.
    """

    low: float | int
    high: float | int
    integer: bool
    eta: float = 3
    rounding: Rounding = "ceil"
    max_open_brackets: int = 4
    cycle: bool = True
    halvings: int | None = None

    def next(self, history: History, new_trials: bool, streams: Streams) -> Sample | Promote | Wait | None:
        brackets = history.view(self, lambda: _Brackets(self), sees="schedule")
        for bracket in brackets.open:
            if action := bracket.next(new_trials):
                return action
        if new_trials and brackets.open_count < self.max_open_brackets:
            return brackets.opening()
        if new_trials or any(bracket.undecided for bracket in brackets.open):
            return Wait("barrier", f"{brackets.open_count} open brackets wait for the runs of their rungs to end")
        return None


@dataclass(slots=True)
class _Rung:
    """What is known of one rung of one bracket. `standing`: (loss, trial, run) of the promotable, best first."""

    slot: Slot
    size: int
    members: int = 0
    running: int = 0
    standing: list[tuple[float, int, int]] = field(default_factory=list)

    def promotion(self, above: _Rung) -> Promote | None:
        """The next trial that goes up, once all of this rung have ended."""
        if self.running or not self.standing or above.members >= above.size:
            return None
        loss, _, run = self.standing[0]
        rank = above.members + 1
        origin = {"rule": "promote", "rank": rank, "of": self.members, "from_run": run, "loss": loss}
        return Promote(above.slot, run, origin)


class _Bracket:
    """One run of successive halving. `rungs` from the lowest up."""

    def __init__(self, rungs: Iterable[_Rung]) -> None:
        self.rungs = list(rungs)

    @property
    def filled(self) -> bool:
        """Whether the first rung takes no more trials: it has all, or has been decided with those it had."""
        first = self.rungs[0]
        return first.members >= first.size or (len(self.rungs) > 1 and self.rungs[1].members > 0)

    def next(self, new_trials: bool) -> Sample | Promote | None:
        if new_trials and not self.filled:
            return Sample(self.rungs[0].slot)
        for rung, above in pairwise(self.rungs):
            if action := rung.promotion(above):
                return action
        return None

    def drop(self, trial: int) -> bool:
        """Takes a trial out of those that may be promoted; whether it was one."""
        for rung in self.rungs:
            for place, (_, standing, _) in enumerate(rung.standing):
                if standing == trial:
                    del rung.standing[place]
                    return True
        return False

    @property
    def undecided(self) -> bool:
        """Whether runs are open that may yet be promoted."""
        return any(rung.running for rung in self.rungs[:-1])

    @property
    def finished(self) -> bool:
        return self.filled and not any(rung.running for rung in self.rungs) and self.next(new_trials=False) is None


class _Brackets:
    """The view of all brackets of a study."""

    def __init__(self, hyperband: Hyperband) -> None:
        self._hyperband = hyperband
        self._ladder = ladder(hyperband.low, hyperband.high, hyperband.eta, hyperband.integer)
        self._begun = 0
        self._open: dict[int, _Bracket] = {}

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.slot.bracket != OUTSIDE:
                if run.slot.bracket == self._begun:
                    self._open[self._begun] = _Bracket(self._plan(self._begun))
                    self._begun += 1
                rung = self._rung(run.slot)
                rung.members += 1
                rung.running += 1
                if run.resume_from is not None:
                    self._leave(run.resume_from, history)
            case Ended(number, outcome) if (run := history.runs[number]).slot.bracket != OUTSIDE:
                rung = self._rung(run.slot)
                rung.running -= 1
                if isfinite(outcome.loss):
                    insort(rung.standing, (outcome.loss, run.trial, number))
                if self._open[run.slot.bracket].finished:
                    del self._open[run.slot.bracket]
            case Invalidated(trial):
                for index, bracket in list(self._open.items()):
                    if bracket.drop(trial) and bracket.finished:
                        del self._open[index]

    @property
    def open(self) -> Iterator[_Bracket]:
        """The brackets that are not finished, the oldest first."""
        return iter(self._open.values())

    @property
    def open_count(self) -> int:
        return len(self._open)

    def opening(self) -> Sample:
        """The sample that begins the next bracket."""
        return Sample(next(self._plan(self._begun)).slot)

    def _plan(self, index: int) -> Iterator[_Rung]:
        top = len(self._ladder) - 1
        hyperband = self._hyperband
        most = top if hyperband.halvings is None else min(hyperband.halvings, top)
        halvings = most - index % (most + 1) if hyperband.cycle else most
        for offset, size in enumerate(sizes(top, halvings, hyperband.eta, hyperband.rounding)):
            rung = top - halvings + offset
            yield _Rung(Slot(index, rung, self._ladder[rung]), size)

    def _rung(self, slot: Slot) -> _Rung:
        rungs = self._open[slot.bracket].rungs
        return rungs[slot.rung - rungs[0].slot.rung]

    def _leave(self, number: int, history: History) -> None:
        """Takes a promoted run out of the standing of its rung."""
        run = history.runs[number]
        standing = self._rung(run.slot).standing
        outcome = history.recorded(number)  # it ended before this event, so later ones cannot change it
        assert outcome is not None, "only an ended run is promoted"
        place = bisect_left(standing, (outcome.loss, run.trial, number))
        assert standing[place][2] == number, f"run {number} is not promotable"
        del standing[place]
