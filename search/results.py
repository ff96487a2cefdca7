"""From what an objective reported to what the search knows: losses, failures, the incumbent.

The sign is flipped here and nowhere else: inside `search` every metric is a loss that is minimised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real

from search.history import Ended, Event, History, Outcome, RunState
from search.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Invalid:
    """Metrics that are no result. `failure` is `diverged` for a number that is not finite, else `error`."""

    failure: str
    message: str

    @property
    def outcome(self) -> Outcome:
        return Outcome(RunState.FAILED, failure=self.failure)


def judge(study: StudySpec, metrics: Mapping[str, object]) -> Outcome | Invalid:
    """The outcome of a run that ended with these metrics; ones that the study does not name are ignored."""
    if not isinstance(metrics, Mapping):
        return Invalid(
            "error", f"expected metrics by name, such as {{{study.metrics[0].name!r}: 0.5}}, got {metrics!r}"
        )
    losses = []
    for metric in study.metrics:
        if metric.name not in metrics:
            reported = ", ".join(map(str, metrics)) or "none"
            return Invalid("error", f"metric {metric.name!r} was not reported (reported: {reported})")
        value = metrics[metric.name]
        if isinstance(value, bool) or not isinstance(value, Real):
            return Invalid("error", f"metric {metric.name!r} is no number but {value!r}")
        number = _as_float(value)
        if not math.isfinite(number):
            return Invalid("diverged", f"metric {metric.name!r} is {number}")
        losses.append(metric.sign * number)
    return Outcome(RunState.SUCCEEDED, tuple(losses))


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the floats
        return math.inf


def metrics_of(study: StudySpec, outcome: Outcome) -> dict[str, float]:
    """The metrics of a success in their own direction; empty for any other outcome."""
    return {metric.name: metric.sign * loss for metric, loss in zip(study.metrics, outcome.losses, strict=False)}


@dataclass(slots=True)
class Incumbents:
    """The view of the incumbent: the best loss at the highest fidelity that has results; ties go to the lower trial.

    Results at different fidelities are never compared by their losses. Supernets are no candidates.
    """

    trace: list[int] = field(default_factory=list)
    _rank: tuple[float, float, int] = (math.inf, math.inf, 0)

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if outcome.losses and history.runs[number].kind == "train":
                run = history.runs[number]
                rank = (-(run.fidelity or 0), outcome.loss, run.trial)
                if rank < self._rank:
                    self._rank = rank
                    self.trace.append(number)


def incumbents(study: StudySpec, history: History) -> list[int]:
    """The run numbers of the incumbents, in the order in which they took over; the last one is `best`."""
    return list(_incumbents(history).trace)


def best(study: StudySpec, history: History) -> int | None:
    """The run number of the incumbent, None while no run has succeeded."""
    trace = _incumbents(history).trace
    return trace[-1] if trace else None


def target_reached(study: StudySpec, history: History) -> bool:
    """Whether the incumbent is at least as good as the budget's target, at the highest fidelity of the space."""
    target, run = study.budget.target, best(study, history)
    if target is None or run is None:
        return False
    fidelity, reached = study.space.fidelity, history.runs[run].fidelity
    if fidelity is not None and (reached is None or reached < fidelity.high):
        return False
    outcome = history.outcome(run)
    assert outcome is not None
    return outcome.loss <= study.metrics[0].sign * target


def _incumbents(history: History) -> Incumbents:
    return history.view("incumbents", Incumbents)
