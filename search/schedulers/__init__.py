"""Schedulers decide where the next run belongs: they answer with an action."""

from __future__ import annotations

from typing import Protocol

from search.actions import Action
from search.history import History


class Scheduler(Protocol):
    """A pure function of its arguments; derived state lives in views of the history, never in the scheduler."""

    def next(self, history: History, new_trials: bool) -> Action | None:
        """The one thing to do next.

        Without `new_trials` (the space or the budget has none left) the answer is never a Sample or an Evaluate:
        what was begun shrinks to the trials that it has and goes on; None when there is nothing left to go on with.
        A Wait implies that some run is open, so that its end can change the answer.
        """
