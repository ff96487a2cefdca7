"""A given config first, then whatever another scheduler says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from search.actions import Action, Evaluate, Sample
from search.history import Config, History, Slot
from search.ledger import spent
from search.schedulers import Scheduler
from search.streams import Streams


@dataclass(frozen=True, slots=True)
class First:
    """`config` is the first trial: in this slot, which must be outside the other scheduler's, or in its first slot if
    None. Unless it was told, then its result is known."""

    config: Config
    origin: Mapping[str, Any]
    slot: Slot | None
    then: Scheduler

    def next(self, history: History, new_trials: bool, streams: Streams) -> Action | None:
        if not new_trials or spent(history).trials or any(run.config == self.config for run in history.runs):
            return self.then.next(history, new_trials, streams)
        if self.slot is not None:
            return Evaluate(self.slot, self.config, origin=self.origin)
        action = self.then.next(history, new_trials, streams)
        return Evaluate(action.slot, self.config, origin=self.origin) if isinstance(action, Sample) else action

    def within(self, fidelity: float | None) -> First:
        """Itself, or with the config in the other scheduler's first slot where its own costs more than all there is
        (None: no limit)."""
        dear = self.slot is not None and fidelity is not None and (self.slot.fidelity or 1) > fidelity
        return replace(self, slot=None) if dear else self
