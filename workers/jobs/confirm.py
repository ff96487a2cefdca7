"""Confirmation: the same config with another seed. A score of one run is one draw; differences smaller than the spread
of such draws mean nothing."""

from __future__ import annotations

from dataclasses import replace

from workers.protocol import Assignment, Job, Result, Training
from workers.training.loop import steps_of
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Training:
    """metrics: those of the training with the assignment's seed.

    Where the assignment names a checkpoint, the weights are kept there for an ensemble, without what only a training
    that goes on would need: mostly a third of the file.
    """
    trained = yield from steps_of(plan, assignment)
    checkpoint, kept = trained.checkpoint, assignment.checkpoint
    if kept:
        replace(checkpoint, optimizer={}, extra={}).save(kept)
    return Result(dict(checkpoint.metrics), checkpointed=kept is not None, complete=trained.complete)
