"""Learning-curve extrapolation (Domhan et al. 2015): a run that will hardly beat the best result is hopeless."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from search.history import Ended, Event, History, RunState
from search.stopping import Stop
from search.stopping.extrapolation import forecast


@dataclass(frozen=True, slots=True)
class Curve:
    """Stops a run when the probability that its loss at `horizon` is below the best result is less than `probability`.

    The run's own fidelity is the horizon if none is given. Judged at each `every`-th report, from the step `grace` on,
    once some run has succeeded; a run that has already been better than the best result goes on.
    """

    horizon: float | None = None
    probability: float = 0.05
    every: int = 5
    grace: float = 0

    def check(self, history: History, run: int) -> Stop | None:
        curve = [report for report in history.curve(run) if report.losses and report.step > 0]
        horizon = self.horizon if self.horizon is not None else history.runs[run].fidelity
        assert horizon is not None, "refused before"
        goal = history.view("best result", _BestResult).loss
        if not curve or goal == inf or len(history.curve(run)) % self.every:
            return None
        if not self.grace <= curve[-1].step < horizon:
            return None
        losses = [report.loss for report in curve]
        best, worst = min(losses), max(losses)
        if best <= goal:
            return None
        # the families start from scores that grow from about 0.1 to about 0.9: the worst loss and the goal
        scores = [0.1 + 0.8 * (worst - loss) / (worst - goal) for loss in losses]
        ahead = forecast([report.step for report in curve], scores, horizon)
        if ahead is None or (chance := ahead.probability_above(0.9)) >= self.probability:
            return None
        return Stop(
            "curve",
            {
                "step": curve[-1].step,
                "compared": f"the loss forecast for step {horizon:g}",
                "loss": worst - (ahead.mean - 0.1) / 0.8 * (worst - goal),
                "against": "the best result",
                "threshold": goal,
                "probability": chance,
                "counterfactual": f"goes on with a chance of at least {self.probability:g} to get below {goal:g}",
            },
        )


class _BestResult:
    """The view of the best loss of all results, at the highest fidelity that has any."""

    def __init__(self) -> None:
        self.loss = inf
        self._fidelity: float = 0

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if outcome.state is RunState.SUCCEEDED:
                run = history.runs[number]
                fidelity = run.fidelity or 0
                if run.kind == "train" and fidelity >= self._fidelity:
                    self.loss = min(self.loss, outcome.loss) if fidelity == self._fidelity else outcome.loss
                    self._fidelity = fidelity
