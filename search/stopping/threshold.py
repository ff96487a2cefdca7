"""Threshold: a run that has not come to a given value by a given step is hopeless."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from search.history import History
from search.stopping import Stop


@dataclass(frozen=True, slots=True)
class Threshold:
    """Stops a run whose best loss so far is above `loss`, from the step `grace` on."""

    loss: float
    grace: float = 0

    def check(self, history: History, run: int) -> Stop | None:
        curve = history.curve(run)
        best = min(report.loss for report in curve)
        if curve[-1].step < self.grace or best <= self.loss:
            return None
        return Stop(
            "threshold",
            {
                "step": curve[-1].step,
                "compared": "the best loss so far",
                "loss": best if isfinite(best) else None,
                "against": "the value that the study demands",
                "threshold": self.loss,
                "counterfactual": f"goes on with a best loss of at most {self.loss:g}",
            },
        )
