"""What people add to a study beside the search: configs to be tried, trials that were carried out elsewhere, and that
the results of a trial are not to count.

    history.append(enqueue(study, history, {"x": 0.5}))

    run, outcome = told(study, history, {"x": 0.5}, {"loss": 0.1})
    history.append(Added(run))
    history.append(Ended(run.number, outcome))

    history.append(invalidate(history, trial))

All of them check what they are given and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from search.history import TOLD, Config, Enqueued, History, Invalidated, Outcome, Run, RunState, Slot
from search.results import Invalid, judge
from search.schedulers.brackets import OUTSIDE
from search.spec import StudySpec
from spaces import InvalidInput, Problem, Space
from spaces.values import is_number, show


def enqueue(study: StudySpec, history: History, config: object) -> Enqueued:
    """The event that a config is to be tried: before the algorithm's own, in the order in which they were enqueued.

    It takes the place of the algorithm's next new trial, and costs what that would have cost. It is tried although
    another trial has it, and although the space has no others left; not beyond the budget.
    Raises InvalidInput, with paths such as ("lr",), unless it is a config of the space.
    """
    return Enqueued(len(history.enqueued), _canonical(study.space, config))


def told(
    study: StudySpec,
    history: History,
    config: object,
    metrics: Mapping[str, object] | None = None,
    fidelity: object = None,
    *,
    failure: str | None = None,
) -> tuple[Run, Outcome]:
    """The run, of a new trial, that was carried out elsewhere, and how it ended: with these `metrics` or, without any,
    with a `failure` such as "error". To be added and ended at once.

    It counts where results count: models, populations, the leaderboard; and its config is taken. To the schedule and
    the budget it is nothing. `fidelity` is how far it was trained, by default to the highest.
    A metric that is not finite makes it failed (`diverged`). Raises InvalidInput with all problems, with paths such as
    ("config", "lr"), ("fidelity",) and ("metrics",).
    """
    problems: list[Problem] = []
    canonical: Config = {}
    try:
        canonical = _canonical(study.space, config)
    except InvalidInput as refused:
        problems += refused.under("config").problems
    reached = _fidelity(study.space, fidelity, problems)
    if metrics is not None and failure is not None:
        problems.append(Problem(("failure",), "a trial has metrics or a failure, not both"))
    outcome = Outcome(RunState.FAILED, failure=failure)
    if failure is None:
        verdict = judge(study, {} if metrics is None else metrics)
        if isinstance(verdict, Invalid) and verdict.failure == "error":
            problems.append(Problem(("metrics",), verdict.message))
        outcome = verdict.outcome if isinstance(verdict, Invalid) else verdict
    if problems:
        raise InvalidInput(problems)
    origin: dict[str, Any] = {"rule": TOLD}
    if study.space.fidelity is not None and reached != study.space.fidelity.high:
        origin["partial"] = True
    slot = Slot(OUTSIDE, fidelity=reached)
    return Run(len(history.runs), history.trial_count, canonical, slot, origin=origin), outcome


def invalidate(history: History, trial: int) -> Invalidated:
    """The event that the results of a trial count for nothing from now on: neither for what is best nor for what the
    search learns; what ends later is as if it had been cancelled. Raises InvalidInput when there is no such trial."""
    if not 0 <= trial < history.trial_count:
        raise InvalidInput.at(("trial",), f"there is no trial {trial}; {history.trial_count} were started")
    return Invalidated(trial)


def _canonical(space: Space, config: object) -> Config:
    """In the order of the space, and each value as the space writes it."""
    space.validate(config)
    assert isinstance(config, Mapping), "the space says so"
    return space.complete(config, np.full(len(space), np.nan))


def _fidelity(space: Space, value: object, problems: list[Problem]) -> float | int | None:
    axis = space.fidelity
    if value is None or axis is None:
        if value is not None:
            problems.append(Problem(("fidelity",), "the space has no fidelity; leave it out"))
        return axis.high if axis else None
    if not is_number(value) or not math.isfinite(value) or (axis.type == "int" and value != int(value)):
        kind = "a whole number" if axis.type == "int" else "a number"
        problems.append(Problem(("fidelity",), f"must be {kind} of {axis.name}, got {show(value)}"))
    elif not axis.low <= value <= axis.high:
        message = f"must lie between {axis.low:g} and {axis.high:g} ({axis.name}), got {show(value)}"
        problems.append(Problem(("fidelity",), message))
    else:
        return int(value) if axis.type == "int" else float(value)
    return None
