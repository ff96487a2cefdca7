"""DEHB (Awad, Mallik and Hutter 2021): Hyperband whose later brackets evolve instead of starting over.

Each rung of the ladder has a subpopulation: as many places as the largest of the brackets needs there. Every run at
that fidelity competes for one of them, in turn, and takes it over if it is at least as good as its holder. The first
cycle of brackets is Hyperband, except that a rung promotes the best of the lower subpopulation, whichever bracket they
come from. All later brackets have the same sizes, but every place of every rung is for offspring: of the holder of the
place that it competes for, and of the best of the subpopulation below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from search.actions import Promote, Sample, Wait
from search.history import Added, Ended, Event, History, Invalidated, Slot
from search.schedulers.brackets import OUTSIDE, Rounding, ladder, sizes
from search.streams import Streams

MIN_POOL = 3
"""A mutant needs three others."""


@dataclass(frozen=True, slots=True)
class Dehb:
    """The oldest bracket first, its rungs from the lowest up, a rung once all runs of the one below have ended.

    A Sample's parents are the holder of the place that the new trial competes for and then the mutation pool, best
    first; there are none while the place has no holder. Runs that failed, were stopped or cancelled hold no place and
    are never promoted. Ties go to the newcomer (plateaus are drifted over), in rankings to the lower trial.
    """

    low: float | int
    high: float | int
    integer: bool
    eta: float = 3
    rounding: Rounding = "floor"
    max_open_brackets: int = 4

    def next(self, history: History, new_trials: bool, streams: Streams) -> Sample | Promote | Wait | None:
        brackets = history.view(self, lambda: _Brackets(self), sees="schedule")
        for bracket in brackets.open:
            if action := brackets.next(bracket, new_trials, streams):
                return action
        if new_trials and brackets.open_count < self.max_open_brackets:
            return brackets.opening(streams)
        if brackets.running:
            return Wait("barrier", f"{brackets.open_count} open brackets wait for the runs of their rungs to end")
        return None


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """Holds a place of a subpopulation; the best is the least."""

    loss: float
    trial: int
    run: int


class Subpopulation:
    """The places of one rung, None until somebody has succeeded there, and whose turn it is."""

    def __init__(self, size: int) -> None:
        self.places: list[Member | None] = [None] * size
        self.trials: set[int] = set()  # of all runs at this rung
        self._arrivals = 0
        self._claims: dict[int, int] = {}

    @property
    def holder(self) -> Member | None:
        """The holder of the place that the next run competes for."""
        return self.places[self._arrivals % len(self.places)]

    @property
    def ranked(self) -> list[Member]:
        return sorted(member for member in self.places if member is not None)

    def claim(self, run: int, trial: int) -> None:
        """A run was started; it competes for the next place when it ends."""
        self._claims[run] = self._arrivals % len(self.places)
        self._arrivals += 1
        self.trials.add(trial)

    def settle(self, newcomer: Member) -> None:
        place = self._claims.pop(newcomer.run)
        holder = self.places[place]
        if isfinite(newcomer.loss) and (holder is None or newcomer.loss <= holder.loss):
            self.places[place] = newcomer

    def vacate(self, trial: int) -> None:
        """Takes its place from a trial."""
        self.places = [None if member is None or member.trial == trial else member for member in self.places]


@dataclass(slots=True)
class _Rung:
    slot: Slot
    size: int
    members: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class _Bracket:
    """`rungs` from the lowest up; `evolves`: new trials on every rung, and no promotions."""

    rungs: list[_Rung]
    evolves: bool

    def takes(self, position: int) -> bool:
        """Whether this rung may have more runs: until it is full, or has been left with those it had."""
        rung = self.rungs[position]
        left = position + 1 < len(self.rungs) and self.rungs[position + 1].members > 0
        return rung.members < rung.size and not left

    @property
    def running(self) -> bool:
        return any(rung.running for rung in self.rungs)


class _Brackets:
    """The view of all brackets and subpopulations of a study."""

    def __init__(self, dehb: Dehb) -> None:
        self._dehb = dehb
        self._ladder = ladder(dehb.low, dehb.high, dehb.eta, dehb.integer)
        self._begun = 0
        self._open: dict[int, _Bracket] = {}
        cycle = [self._plan(index) for index in range(len(self._ladder))]
        largest = [max(rung.size for b in cycle for rung in b.rungs if rung.slot.rung == k) for k in range(len(cycle))]
        self.subpopulations = [Subpopulation(size) for size in largest]

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.slot.bracket != OUTSIDE:
                if run.slot.bracket == self._begun:
                    self._open[self._begun] = self._plan(self._begun)
                    self._begun += 1
                rung = self._rung(run.slot)
                rung.members += 1
                rung.running += 1
                self.subpopulations[run.slot.rung].claim(run.number, run.trial)
            case Ended(number, outcome) if (run := history.runs[number]).slot.bracket != OUTSIDE:
                self._rung(run.slot).running -= 1
                self.subpopulations[run.slot.rung].settle(Member(outcome.loss, run.trial, number))
            case Invalidated(trial):
                for subpopulation in self.subpopulations:
                    subpopulation.vacate(trial)
        # a bracket may also lose its last candidate to the promotion of another one
        for index in [index for index, bracket in self._open.items() if self._finished(bracket)]:
            del self._open[index]

    @property
    def open(self) -> Iterator[_Bracket]:
        """The brackets that are not finished, the oldest first."""
        return iter(self._open.values())

    @property
    def open_count(self) -> int:
        return len(self._open)

    @property
    def running(self) -> bool:
        return any(bracket.running for bracket in self._open.values())

    def next(self, bracket: _Bracket, new_trials: bool, streams: Streams) -> Sample | Promote | None:
        """What this bracket starts next, from its lowest rung up; None while it waits."""
        for position, rung in enumerate(bracket.rungs):
            if bracket.takes(position):
                if position > 0 and not bracket.evolves:
                    if promotion := self._promotion(rung.slot):
                        return promotion
                elif new_trials:
                    return self._sample(rung, first=position == 0, streams=streams)
            if rung.running:
                return None
        return None

    def opening(self, streams: Streams) -> Sample:
        """The sample that begins the next bracket."""
        return self._sample(self._plan(self._begun).rungs[0], first=True, streams=streams)

    def _finished(self, bracket: _Bracket) -> bool:
        if bracket.running:
            return False
        for position, rung in enumerate(bracket.rungs):
            if bracket.takes(position) and (position == 0 or bracket.evolves or self._promotion(rung.slot)):
                return False
        return True

    def _promotion(self, slot: Slot) -> Promote | None:
        """The best of the subpopulation below that has never been at this rung."""
        ranked, seen = self.subpopulations[slot.rung - 1].ranked, self.subpopulations[slot.rung].trials
        for rank, member in enumerate(ranked, start=1):
            if member.trial not in seen:
                origin = {"rule": "promote", "rank": rank, "of": len(ranked)}
                return Promote(slot, member.run, {**origin, "from_run": member.run, "loss": member.loss})
        return None

    def _sample(self, rung: _Rung, first: bool, streams: Streams) -> Sample:
        """A new trial, with its parents: the pool is as large as the rung, from the subpopulation below if any."""
        holder = self.subpopulations[rung.slot.rung].holder
        if holder is None:
            return Sample(rung.slot)
        source = self.subpopulations[rung.slot.rung if first else rung.slot.rung - 1]
        pool = [member.trial for member in source.ranked[: rung.size]]
        if len(pool) < MIN_POOL:
            everybody = {member.trial for each in self.subpopulations for member in each.ranked}
            others = sorted(everybody.difference(pool))
            missing = min(MIN_POOL - len(pool), len(others))
            pool += streams("pool").choice(others, missing, replace=False).tolist()
        return Sample(rung.slot, parents=(holder.trial, *pool))

    def _plan(self, index: int) -> _Bracket:
        top = len(self._ladder) - 1
        halvings = top - index % (top + 1)
        rungs = [
            _Rung(Slot(index, rung, self._ladder[rung]), size)
            for rung, size in enumerate(sizes(top, halvings, self._dehb.eta, self._dehb.rounding), start=top - halvings)
        ]
        return _Bracket(rungs, evolves=index > top)

    def _rung(self, slot: Slot) -> _Rung:
        rungs = self._open[slot.bracket].rungs
        return rungs[slot.rung - rungs[0].slot.rung]
