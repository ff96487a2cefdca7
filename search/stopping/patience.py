"""Patience: a run that no longer improves has finished early."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from search.history import History, Outcome, RunState
from search.stopping import Stop


@dataclass(frozen=True, slots=True)
class Patience:
    """Ends a run after `reports` reports in a row that are not better than its best by `delta`, not before `grace`.

    Such a run is finished, not hopeless: training on would change little, so its last report is its result, as if it
    had been trained to the end. One whose last report has no finite loss is stopped without a result.
    """

    reports: int = 10
    delta: float = 0
    grace: float = 0

    def check(self, history: History, run: int) -> Stop | None:
        curve = history.curve(run)
        best, since = inf, 0
        for report in curve:
            if report.loss < best and report.loss <= best - self.delta:
                best, since = report.loss, 0
            else:
                since += 1
        last = curve[-1]
        if since < self.reports or last.step < self.grace:
            return None
        finished = bool(last.losses)
        threshold = best - self.delta if isfinite(best) else None
        needed = "below" if self.delta == 0 else "of at most"
        return Stop(
            "patience",
            {
                "step": last.step,
                "compared": f"the best loss of the last {since} reports",
                "loss": _finite(min(report.loss for report in curve[-since:])),
                "against": "the best loss before" if self.delta == 0 else f"the best loss before, less {self.delta:g}",
                "threshold": threshold,
                "counterfactual": "goes on with a finite loss"
                if threshold is None
                else f"goes on with a loss {needed} {threshold:g} in one of them",
            },
            Outcome(RunState.SUCCEEDED, last.losses, violation=last.violation, bounded=last.bounded)
            if finished
            else Outcome(RunState.STOPPED),
        )


def _finite(loss: float) -> float | None:
    return loss if isfinite(loss) else None
