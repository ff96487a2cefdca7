"""Replicates: runs that repeat another one with a further seed, and what they make of its result together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from search.history import History, Outcome, RunState


def repeated(history: History, number: int) -> int:
    """The run that a replicate repeats; any other run itself."""
    run = history.runs[number]
    if not run.slot.replicate:
        return number
    original = replace(run.slot, replicate=0)
    return next(other for other in history.runs_of(run.trial) if history.runs[other].slot == original)


def replicates_of(history: History, number: int) -> int:
    """How many replicates of this run were started."""
    slot = history.runs[number].slot
    of_trial = (history.runs[other].slot for other in history.runs_of(history.runs[number].trial))
    return sum(bool(other.replicate) and replace(other, replicate=0) == slot for other in of_trial)


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """What a run and its replicates say about their config: the means of losses, violations and bounded values.

    A failure is worse than any loss, so a mean with one in it is a failure. Whatever was cancelled, stopped or lost
    with its worker says nothing about the config and is left out. So a violation in any of them is one of the mean.
    """
    for outcome in outcomes:
        if outcome.state is RunState.FAILED and outcome.failure != "lost":
            return outcome
    successes = [outcome for outcome in outcomes if outcome.losses]
    if not successes:  # only successes are repeated, but they may have been invalidated since
        return outcomes[0]
    return Outcome(
        RunState.SUCCEEDED,
        _means([outcome.losses for outcome in successes]),
        violation=_means([(outcome.violation,) for outcome in successes])[0],
        bounded=_means([outcome.bounded for outcome in successes]),
    )


class Averages:
    """Part of a view that sees replicates: keeps the outcomes of repeated runs as they come in."""

    def __init__(self) -> None:
        self._outcomes: dict[int, list[Outcome]] = {}

    def add(self, history: History, number: int, outcome: Outcome) -> tuple[int, int, Outcome]:
        """To be told of the end of each run; answers the run that this one repeats (or is), how many of it have ended,
        and their average."""
        first = repeated(history, number)
        if first == number:
            return first, 1, outcome
        if first not in self._outcomes:
            original = history.outcome(first)  # it ended before the replicate was added
            assert original is not None, "only an ended run is repeated"
            self._outcomes[first] = [original]
        outcomes = self._outcomes[first]
        outcomes.append(outcome)
        return first, len(outcomes), average(outcomes)


def _means(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Column by column; divided before they are added, so that no sum overflows."""
    if len(rows) == 1:
        return rows[0]
    return tuple(sum(value / len(rows) for value in column) for column in zip(*rows, strict=True))
