"""Stopping rules end a run before its time, by what it has reported so far.

A rule may be added to any algorithm that runs trials to the end. It judges a run at each of its reports; the answer to
the report is then to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from search.history import History, Outcome, RunState


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ends now, and how.

    `detail` is JSON for the user: the `step`; the `loss` that was compared and the `threshold` that it is above, with
    what they are in `compared` and `against`; `counterfactual`, what would have let the run go on. Losses are lower is
    better (a maximised metric is negated); one that is not finite is null.

    A stopped run has no result: it was not trained as far as those it would be ranked with, so it is never the best and
    never promoted; its curve counts in the rules, at the steps that it has reached. The exception is a rule that finds
    a run *finished* rather than hopeless: then the outcome is a success with the losses of the last report.
    """

    rule: str
    detail: Mapping[str, Any]
    outcome: Outcome = field(default_factory=lambda: Outcome(RunState.STOPPED))

    def to_json(self) -> dict[str, Any]:
        """As it is stored with the run."""
        return {"rule": self.rule, "outcome": str(self.outcome.state), **self.detail}


class Rule(Protocol):
    """A pure function of its arguments; derived state lives in views of the history, never in the rule."""

    def check(self, history: History, run: int) -> Stop | None:
        """Whether an open run is to stop after its last report, the last one of its (not empty) curve."""
