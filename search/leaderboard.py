"""Who is best: the trials with a result at the highest fidelity that has any, in order.

Results at different fidelities are never compared by their losses. A result that breaks constraints comes after all
that keep them, the least violation first. Where replicates are wanted, a trial is judged by the mean over them and may
lead only once it has all of them, as long as any other has.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from search import pareto
from search.history import Ended, Event, History, Outcome
from search.replication import Averages

_Key = tuple[float, tuple[float, ...], int, int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial with a result. `run` is its first run at the fidelity, `results` the number of that and its replicates
    that have ended, and `outcome` their average."""

    run: int
    trial: int
    outcome: Outcome
    results: int = 1

    @property
    def key(self) -> _Key:
        """The least is best: the constraints, then the losses in the order of the metrics, then the lower trial."""
        return self.outcome.violation, self.outcome.losses, self.trial, self.run


class Leaderboard:
    """The view. `wanted` is how many results a trial must have to be confirmed."""

    def __init__(self, wanted: int = 1) -> None:
        self.trace: list[int] = []
        """The runs that took the lead, in the order in which they did."""
        self.fidelity: float | int | None = None
        self._wanted = wanted
        self._averages = Averages()
        self._candidates: dict[int, Candidate] = {}
        self._order: list[_Key] = []
        self._rankings = np.empty((0, 0))
        """Of the candidates in order, shape [candidates, objectives]; kept with several objectives only."""
        self._tops: dict[int, list[Candidate]] = {}
        """By size, until something changes; with several objectives only."""
        self._confirmed: set[int] = set()

    def apply(self, event: Event, history: History) -> None:
        if not isinstance(event, Ended) or history.runs[event.run].kind != "train":
            return
        run, results, outcome = self._averages.add(history, event.run, event.outcome)
        fidelity = history.runs[run].fidelity
        if run == event.run:
            if not outcome.losses or (self._candidates and (fidelity or 0) < (self.fidelity or 0)):
                return
            if (fidelity or 0) > (self.fidelity or 0):
                self._candidates, self._order, self._confirmed = {}, [], set()
                self._rankings = np.empty((0, 0))
            self.fidelity = fidelity
        elif run not in self._candidates:  # of a lower fidelity, or it has failed before
            return
        self._place(Candidate(run, history.runs[run].trial, outcome, results))
        leader = self.leader
        if leader is not None and (not self.trace or self.trace[-1] != leader.run):
            self.trace.append(leader.run)

    @property
    def leader(self) -> Candidate | None:
        """The incumbent: the best that is confirmed, else the best; one that breaks constraints only if all do."""
        if not self._order:
            return None
        first = self._order[0]
        if self._wanted > 1 and self._confirmed:
            # the confirmed ones are near the top; none of them leads that breaks constraints which the first keeps
            ahead = takewhile(lambda key: key[0] == 0, self._order) if first[0] == 0 else iter(self._order)
            first = next((key for key in ahead if key[-1] in self._confirmed), first)
        return self._candidates[first[-1]]

    @property
    def candidates(self) -> list[Candidate]:
        """All of them, the best first."""
        return [self._candidates[key[-1]] for key in self._order]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, run: int) -> Candidate:
        return self._candidates[run]

    def __contains__(self, run: int) -> bool:
        return run in self._candidates

    def confirmed(self, run: int) -> bool:
        return run in self._confirmed

    def top(self, size: int) -> list[Candidate]:
        """The best `size` of them, or all if there are fewer; of several objectives, by whole fronts."""
        size = min(size, len(self._order))
        if size == 0:
            return []
        if not len(self._rankings):
            return [self._candidates[key[-1]] for key in self._order[:size]]
        if size not in self._tops:
            chosen = pareto.best(self._rankings, size)
            self._tops[size] = [self._candidates[self._order[index][-1]] for index in chosen]
        return self._tops[size]

    def _place(self, candidate: Candidate) -> None:
        """Puts a candidate where it belongs; one that failed when it was repeated is none any more."""
        run, ranking = candidate.run, candidate.outcome.ranking
        self._tops.clear()
        if known := self._candidates.pop(run, None):
            place = bisect_left(self._order, known.key)
            del self._order[place]
            if len(self._rankings):
                self._rankings = np.delete(self._rankings, place, axis=0)
            self._confirmed.discard(run)
        if candidate.outcome.losses:
            self._candidates[run] = candidate
            place = bisect_left(self._order, candidate.key)
            self._order.insert(place, candidate.key)
            if len(ranking) > 1:
                kept = self._rankings if len(self._rankings) else np.empty((0, len(ranking)))
                self._rankings = np.insert(kept, place, ranking, axis=0)
            if candidate.results >= self._wanted:
                self._confirmed.add(run)
