"""Replicates for noisy objectives: the best trials are run again with further seeds before one is called the best.

The best of many noisy results is mostly a lucky one. So the trials at the top, judged by the mean over all their runs
at the highest fidelity, are repeated until each of them has as many as wanted; one that was only lucky sinks, and the
next one takes its place. This goes on beside the search, whatever algorithm it uses: a trial that comes near the top is
repeated at once. The algorithm itself sees no replicates; what learns from numbers learns the means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from search.actions import Action, Done, Replicate, Wait
from search.history import History
from search.leaderboard import Leaderboard
from search.ledger import ROUND_OFF, spent
from search.options import Option, read_options
from search.replication import replicates_of
from search.schedulers import Scheduler
from search.streams import Streams
from spaces import Problem
from spaces.values import show

REPLICATES = (
    Option(
        "max",
        "int",
        "Runs that each of the best trials has in the end, with a seed each.",
        default=3,
        at_least=2,
        at_most=1000,
    ),
    Option("top", "int", "So many of the best trials are repeated.", default=5, at_least=1, at_most=1000),
)


@dataclass(frozen=True, slots=True)
class Replicates:
    """What a study wants: each of the `top` best trials has `max` runs at the highest fidelity."""

    max: int
    top: int

    def to_json(self) -> dict[str, int]:
        """As it is read by `read_replicates`, with what was left out."""
        return {"max": self.max, "top": self.top}


def read_replicates(obj: object, problems: list[Problem]) -> Replicates | None:
    """From JSON; what is wrong is added to `problems`."""
    if obj is None:
        return None
    if not isinstance(obj, Mapping):
        message = f'expected an object such as {{"max": 3, "top": 5}}, got {show(obj)}'
        problems.append(Problem(("replicates",), message))
        return None
    return Replicates(**read_options(obj, REPLICATES, ("replicates",), problems))


@dataclass(frozen=True, slots=True)
class Replicated:
    """A scheduler that repeats the best trials of another one. `board` is up to date; `fidelity` is the highest.

    Replicates come before anything new. While the search goes on, at most one in `max` of the trials with a result is
    repeated, so that the first ones are not all taken for the best; in the end, `top` of them. Of a limit on runs or on
    fidelity (`full_runs`: how many at the highest fidelity it pays for) enough is kept for that, half of it at most.
    """

    scheduler: Scheduler
    plan: Replicates
    board: Leaderboard
    fidelity: float | int | None
    max_runs: int | None
    max_fidelity: float | None

    def next(self, history: History, new_trials: bool, streams: Streams) -> Action | None:
        closed = not new_trials or self._last_ones(history)
        left = self._left(history)
        affordable = left is None or left >= 1
        if affordable and (replicate := self._due(history, closed)):
            return replicate
        action = self.scheduler.next(history, not closed, streams)
        if action is None or isinstance(action, Done):
            if affordable and self._undecided(history):
                return Wait("barrier", "the best trials are repeated once the open runs have ended")
            if action is None and new_trials:
                return Done("budget", "what is left of the budget is too little for a new trial and its replicates")
        return action

    def _due(self, history: History, closed: bool) -> Replicate | None:
        """The best trial first, with all its replicates."""
        width = self._width if closed else min(self._width, len(self._eligible) // self.plan.max)
        for rank, candidate in enumerate(self._eligible.top(width), start=1):
            number = replicates_of(history, candidate.run) + 1
            if number < self.plan.max:
                origin = {"rule": "replicate", "rank": rank, "of": len(self._eligible), "from_run": candidate.run}
                return Replicate(replace(history.runs[candidate.run].slot, replicate=number), candidate.run, origin)
        return None

    def _last_ones(self, history: History) -> bool:
        """Whether what the budget would leave after one more trial is needed for replicates."""
        left = self._left(history)
        if left is None or not spent(history).trials:
            return False
        each = self.plan.max - 1
        missing = sum(each - replicates_of(history, candidate.run) for candidate in self._eligible.top(self._width))
        to_come = sum(not history.runs[run].slot.replicate for run in self._open(history)) + 1
        return left - 1 < min(missing + each * to_come, each * self._width)

    def _undecided(self, history: History) -> bool:
        """Whether a run is open whose end may call for a replicate."""
        return bool(self._open(history))

    def _open(self, history: History) -> list[int]:
        """The open runs at the highest fidelity."""
        runs = (history.runs[number] for number in history.open)
        return [run.number for run in runs if run.fidelity == self.fidelity and run.kind == "train"]

    @property
    def _eligible(self) -> Leaderboard:
        """The trials with a result at the highest fidelity of all."""
        return self.board if self.board.fidelity == self.fidelity else Leaderboard()

    @property
    def _width(self) -> int:
        """How many trials are repeated in the end: as wanted, but for half of the budget at most."""
        whole = self._full_runs(0, 0.0)
        return self.plan.top if whole is None else min(self.plan.top, max(int(whole / 2 / (self.plan.max - 1)), 1))

    def _left(self, history: History) -> float | None:
        used = spent(history)
        return self._full_runs(used.runs, used.fidelity)

    def _full_runs(self, runs: int, fidelity: float) -> float | None:
        """How many more runs at the highest fidelity the budget pays for, given what was spent; None without a
        limit."""
        counts: list[float] = []
        if self.max_runs is not None:
            counts.append(self.max_runs - runs)
        if self.max_fidelity is not None:
            counts.append((self.max_fidelity * ROUND_OFF - fidelity) / (self.fidelity or 1))
        return min(counts, default=None)
