"""Confirmation: the same config with another seed. A score of one run is one draw; differences smaller than the spread
of such draws mean nothing."""

from __future__ import annotations

from workers.protocol import Assignment, Job, Result, to_the_end
from workers.training.loop import steps_of
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """metrics: those of the training with the assignment's seed."""
    _, checkpoint = to_the_end(steps_of(plan, assignment))
    return Result(dict(checkpoint.metrics))
