"""From what an objective reported to what the search knows: losses, violations, failures, the incumbent.

The sign is flipped here and nowhere else: inside `search` every metric is a loss that is minimised.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from search.history import History, Outcome, Reported, RunState
from search.leaderboard import Leaderboard
from search.spec import StudySpec

LARGEST = 1e150
"""A metric beyond it has diverged: squares of larger ones are not finite, and no model could learn from them."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Metrics that are no result. `failure` is `diverged` for a number that is not finite or beyond `LARGEST`, else
    `error`."""

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
    losses, bounded, violation = [], [], 0.0
    for metric in study.metrics:
        if metric.name not in metrics:
            reported = ", ".join(map(str, metrics)) or "none"
            return Invalid("error", f"metric {metric.name!r} was not reported (reported: {reported})")
        value = metrics[metric.name]
        if isinstance(value, bool) or not isinstance(value, Real):
            return Invalid("error", f"metric {metric.name!r} is no number but {value!r}")
        number = _as_float(value)
        if not abs(number) <= LARGEST:  # nor is NaN
            return Invalid("diverged", f"metric {metric.name!r} is {number}")
        if metric.is_objective:
            losses.append(metric.sign * number)
        else:
            bounded.append(number)
            violation = min(violation + metric.violation(number), sys.float_info.max)
    return Outcome(RunState.SUCCEEDED, tuple(losses), violation=violation, bounded=tuple(bounded))


def reported(study: StudySpec, run: int, step: float, metrics: Mapping[str, object]) -> Reported:
    """The event of a report; what `judge` would not accept as a result has no losses."""
    verdict = judge(study, metrics)
    if isinstance(verdict, Invalid):
        return Reported(run, step)
    return Reported(run, step, verdict.losses, verdict.violation, verdict.bounded)


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the floats
        return math.inf


def metrics_of(study: StudySpec, outcome: Outcome) -> dict[str, float]:
    """The metrics of a success in their own direction; empty for any other outcome."""
    if not outcome.losses:
        return {}
    losses, bounded = iter(outcome.losses), iter(outcome.bounded)
    return {
        metric.name: metric.sign * next(losses) if metric.is_objective else next(bounded) for metric in study.metrics
    }


def leaderboard(study: StudySpec, history: History) -> Leaderboard:
    """The trials at the highest fidelity that has results, up to date."""
    wanted = study.replicates.max if study.replicates else 1
    return history.view(("leaderboard", wanted), lambda: Leaderboard(wanted), sees="replicates")


def incumbents(study: StudySpec, history: History) -> list[int]:
    """The run numbers of the incumbents, in the order in which they took over."""
    return list(leaderboard(study, history).trace)


def best(study: StudySpec, history: History) -> int | None:
    """The run number of the incumbent, None while no run has succeeded; see `search.leaderboard`.

    It breaks constraints only if everything at its fidelity does (`judged` tells). With several objectives it is the
    best by the first one; see `search.multi` for the others.
    """
    leader = leaderboard(study, history).leader
    return leader.run if leader else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A run in the running and what is known of it. `metrics` are the study's, in their own direction and averaged
    over `results` runs: itself and its replicates."""

    run: int
    metrics: Mapping[str, float]
    results: int
    confirmed: bool
    feasible: bool


def standing(study: StudySpec, history: History, run: int | None = None) -> Standing | None:
    """How firmly a run stands, by default the incumbent; None when it is not in the running, or nobody is."""
    board = leaderboard(study, history)
    if run is not None and run not in board:
        return None
    candidate = board.leader if run is None else board[run]
    if candidate is None:
        return None
    return Standing(
        run=candidate.run,
        metrics=metrics_of(study, candidate.outcome),
        results=candidate.results,
        confirmed=board.confirmed(candidate.run),
        feasible=not candidate.outcome.violation,
    )


def judged(study: StudySpec, history: History, run: int) -> Outcome:
    """What a run that has ended is judged by: its outcome, or the average over it and its replicates where it is in the
    running."""
    board = leaderboard(study, history)
    if run in board:
        return board[run].outcome
    outcome = history.outcome(run)
    assert outcome is not None, f"run {run} has not ended"
    return outcome


def confirmed(study: StudySpec, history: History, run: int) -> bool:
    """Whether a run in the lead has all the replicates that the study wants; always, if it wants none."""
    return leaderboard(study, history).confirmed(run)


def target_reached(study: StudySpec, history: History) -> bool:
    """Whether the incumbent, confirmed and within all constraints, is at least as good as the budget's target, at the
    highest fidelity of the space."""
    target, board = study.budget.target, leaderboard(study, history)
    leader = board.leader
    if target is None or leader is None or leader.outcome.violation or not board.confirmed(leader.run):
        return False
    fidelity = study.space.fidelity
    if fidelity is not None and (board.fidelity is None or board.fidelity < fidelity.high):
        return False
    return leader.outcome.losses[0] <= study.metrics[0].sign * target
