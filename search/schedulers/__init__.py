"""Schedulers decide where the next run belongs: they answer with an action."""

from __future__ import annotations

from typing import Protocol

from search.actions import Action
from search.history import History
from search.streams import Streams


class Scheduler(Protocol):
    """A pure function of its arguments; derived state lives in views of the history, never in the scheduler."""

    def next(self, history: History, new_trials: bool, streams: Streams) -> Action | None:
        """The one thing to do next.

        Without `new_trials` (the space or the budget has none left) the answer is never a Sample, an Evaluate or a
        Fork: what was begun shrinks to the trials that it has and goes on; None when there is nothing left to go on
        with. A scheduler that forks is told so by the budget alone, and looks itself whether the space has points left.
        Random choices are drawn from `streams`, those of the trial that a Sample would begin.
        A Wait implies that some run is open, so that its end can change the answer.
        """
