"""Full fidelity: every trial is one run at the highest fidelity (if there is a fidelity at all)."""

from __future__ import annotations

from dataclasses import dataclass

from search.actions import Sample
from search.history import History, Slot
from search.streams import Streams


@dataclass(frozen=True, slots=True)
class FullFidelity:
    """Asks for new trials for ever."""

    fidelity: float | int | None

    def next(self, history: History, new_trials: bool, streams: Streams) -> Sample | None:
        return Sample(Slot(fidelity=self.fidelity)) if new_trials else None
