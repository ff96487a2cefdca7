"""Population based training (Jaderberg et al. 2017): configs that change while their networks train.

A population of members trains side by side, one segment of the fidelity after the other. Between two segments a member
looks at the others: if it is among the worst, it gives up what it has learned, takes over the weights of one of the
best (exploit) and goes on with a config near that one's (explore). So good weights spread, and what wins is a
*schedule* of configs, not one config; see `search.lineage`.

In the words of a study: a segment is a run. A member that goes on is the same trial; one that takes over another one's
weights is a new trial, a fork, in the same place of the population.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Any

from search.actions import Fork, Promote, Sample, Wait
from search.exploration import explored
from search.history import Added, Ended, Event, History, Invalidated, Run, Slot
from search.points import points
from search.schedulers.brackets import OUTSIDE
from search.streams import Streams
from spaces import Fidelity, Space


@dataclass(frozen=True, slots=True)
class Pbt:
    """Populations one after the other, each in a bracket of its own; a run's rung is the number of its segment.

    No member waits for another. One that has ended a segment is compared with the latest loss of each of the others,
    except those that are more than one segment behind it. Served first are the older populations, and of a population
    the member that has come least far. When none can go on, a further population begins, so that no worker idles.

    `quantile` is the share that takes over weights, and the share that it takes them from; `resample` the probability
    that a parameter is drawn instead of changed by a step. A member whose run did not succeed is replaced by a clone of
    one of the best whatever its rank, and by a new trial where there is nobody to clone. Members at the highest
    fidelity are done: they have nothing left to pass on. Without new trials members go on as they are.
    """

    space: Space
    population: int = 8
    interval: float | None = None
    quantile: float = 0.25
    resample: float = 0.25

    def next(self, history: History, new_trials: bool, streams: Streams) -> Sample | Promote | Fork | Wait | None:
        populations = history.view(self, lambda: _Populations(self.population, self.steps), sees="schedule")
        samples = new_trials and (bool(history.waiting) or not points(self.space, history).exhausted)
        for population in populations.live:
            for member in population.waiting:
                if member.vacant or (member.failed and population.lost):
                    if samples:
                        return Sample(population.slot(0))
                elif new_trials and (fork := self._fork(population, member, history, streams)):
                    return fork
                elif not member.failed:
                    return self._continue(population, member)
        if samples:
            return Sample(Slot(populations.count, 0, self.steps[0]))
        if any(population.running for population in populations.live):
            return Wait("barrier", "open runs of the population may go on")
        return None

    @property
    def steps(self) -> tuple[float, ...]:
        """The fidelities at which segments end."""
        assert self.space.fidelity is not None, "refused before"
        return segment_ends(self.space.fidelity, self.interval)

    def _continue(self, population: _Population, member: _Member) -> Promote:
        assert member.latest is not None
        ranked = population.ranked(member)
        origin = {"rule": "continue", "rank": ranked.index(member) + 1, "of": len(ranked)}
        origin |= {"from_run": member.latest, "loss": member.loss}
        return Promote(population.slot(member.rung + 1), member.latest, origin)

    def _fork(self, population: _Population, member: _Member, history: History, streams: Streams) -> Fork | None:
        """What takes the place of a member that has failed or is among the worst; None for any other one, and where
        none of the best is better and still under way."""
        ranked = population.ranked(member)
        size = quantile_size(len(ranked), self.quantile)
        rest = ranked[: len(ranked) - size]
        if not member.failed and member in rest:
            return None
        donors = [other for other in rest if other.loss < member.loss and population.passes_on(other)][:size]
        if not donors:
            return None
        donor = donors[int(streams("donor").integers(len(donors)))]
        assert donor.latest is not None
        config, changes = explored(self.space, history.runs[donor.latest].config, streams("explore"), self.resample)
        rule = "replace" if member.failed else "exploit"
        origin: dict[str, Any] = {
            "rule": rule,
            "probabilities": {rule: 1.0},
            "rank": ranked.index(member) + 1,
            "of": len(ranked),
            "replaces": member.last,
            "from_run": donor.latest,
            "donors": len(donors),
            "loss": donor.loss,
            "explored": changes,
        }
        return Fork(population.slot(donor.rung + 1), donor.latest, config, origin)


def quantile_size(members: int, quantile: float) -> int:
    """How many of so many are the best, and the worst: this share of them, rounded up, and half of them at most."""
    return min(ceil(quantile * members - 1e-9), members // 2)


def segment_ends(fidelity: Fidelity, interval: float | None) -> tuple[float, ...]:
    """Multiples of the interval (by default a tenth of the maximum), then the maximum; none is below the minimum."""
    length = max(fidelity.high / 10 if interval is None else interval, fidelity.low)
    if fidelity.type == "int":
        whole = ceil(length - 1e-9)
        return (*range(whole, int(fidelity.high), whole), fidelity.high)
    count = ceil(fidelity.high / length - 1e-9)
    # 0.3 as people write it, and not 3 * 0.1
    ends = (float(f"{index * length:.12g}") for index in range(1, count))
    return (*(max(end, fidelity.low) for end in ends), fidelity.high)


@dataclass(slots=True, eq=False)
class _Member:
    """A place in a population: the trial in it, with its last run, and its latest run that has succeeded, if any.

    `rung` and `loss` are of the last run that has ended in this place, that of the trial `judged`, the loss of a
    failure infinite; a trial that takes it over counts with them until it has ended a segment itself.
    """

    trial: int = -1
    last: int | None = None
    running: bool = False
    failed: bool = False
    latest: int | None = None
    rung: int = -1
    loss: float = inf
    judged: int = -1

    @property
    def vacant(self) -> bool:
        """Whether nobody has been here."""
        return self.last is None


class _Population:
    def __init__(self, bracket: int, size: int, steps: Sequence[float]) -> None:
        self._bracket = bracket
        self._steps = steps
        self._members = [_Member() for _ in range(size)]

    def slot(self, rung: int) -> Slot:
        return Slot(self._bracket, rung, self._steps[rung])

    def founder(self) -> _Member:
        """The place of the next new trial."""
        return next((m for m in self._members if m.vacant), None) or next(m for m in self.waiting if m.failed)

    def drop(self, trial: int) -> bool:
        """Makes of a member whose trial was invalidated one that has failed; whether there was one."""
        found = False
        for member in self._members:
            if member.judged == trial:
                member.loss, found = inf, True
            if member.trial == trial:
                member.latest, member.failed, found = None, not member.running, True
        return found

    @property
    def waiting(self) -> list[_Member]:
        """The members without a run that are not done, the one that has come least far first."""
        idle = [member for member in self._members if not member.running and not self._done(member)]
        return sorted(idle, key=lambda member: member.rung)

    @property
    def running(self) -> bool:
        return any(member.running for member in self._members)

    @property
    def lost(self) -> bool:
        """Whether nobody has succeeded yet, or all who have, have failed since."""
        return all(member.loss == inf for member in self._members)

    @property
    def over(self) -> bool:
        """Whether nobody can go on, or be cloned."""
        return all(self._done(member) or member.failed for member in self._members) and not self.lost

    def ranked(self, judged: _Member) -> list[_Member]:
        """The judged member and those that it is compared with, the best first; ties by the lower trial."""
        furthest_behind = max(judged.rung - 1, 0)
        counted = [member for member in self._members if member is judged or member.rung >= furthest_behind]
        return sorted(counted, key=lambda member: (member.loss, member.trial))

    def passes_on(self, member: _Member) -> bool:
        """Whether its trial has learned something, and there is a segment left to go on with."""
        return member.latest is not None and member.rung + 1 < len(self._steps)

    def _done(self, member: _Member) -> bool:
        return member.latest is not None and not member.failed and not self.passes_on(member)


class _Populations:
    """The view of all populations of a study."""

    def __init__(self, size: int, steps: Sequence[float]) -> None:
        self._size = size
        self._steps = steps
        self._member: dict[int, _Member] = {}
        """The place of each run."""
        self._live: dict[int, _Population] = {}
        self.count = 0

    @property
    def live(self) -> Iterator[_Population]:
        """Those in which somebody may go on, the oldest first."""
        return iter(self._live.values())

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.slot.bracket != OUTSIDE:
                if run.slot.bracket == self.count:
                    self._live[self.count] = _Population(self.count, self._size, self._steps)
                    self.count += 1
                member = self._place(run)
                if run.trial != member.trial:
                    member.latest = None
                member.trial, member.last, member.running, member.failed = run.trial, run.number, True, False
                self._member[run.number] = member
            case Ended(number, outcome) if number in self._member:
                run, member = history.runs[number], self._member[number]
                member.running = False
                member.rung, member.loss, member.judged = run.slot.rung, outcome.loss, run.trial
                if isfinite(outcome.loss):
                    member.latest = number
                else:
                    member.failed = True
                if self._live[run.slot.bracket].over:
                    del self._live[run.slot.bracket]
            case Invalidated(trial):
                for bracket, population in list(self._live.items()):
                    if population.drop(trial) and population.over:
                        del self._live[bracket]

    def _place(self, run: Run) -> _Member:
        """That of the run which it continues, or, of a fork, whose place it takes."""
        if run.resume_from is None:
            member = self._live[run.slot.bracket].founder()
            member.rung = -1
            return member
        return self._member[run.origin.get("replaces", run.resume_from)]
