"""Confirmation: the same config with another seed. A score of one run is one draw; differences smaller than the spread
of such draws mean nothing."""

from __future__ import annotations

from workers.protocol import Assignment, Job, Result
from workers.training.loop import outcome, steps_of
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """metrics: those of the training with the assignment's seed."""
    return Result(dict(outcome(steps_of(plan, assignment)).metrics))
