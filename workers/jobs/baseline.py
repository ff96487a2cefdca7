"""The cheap standard model of the task, on the same split: what every trial has to beat."""

from __future__ import annotations

import time

import torch

from workers.catalogue import load
from workers.data.loading import training_data
from workers.protocol import Assignment, Job, Result
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """metrics: the task's scores, as val_<score>. details: {name: of the model, seconds}."""
    started = time.monotonic()
    data = training_data(plan.dataset, plan.part, torch.device("cpu"))
    baseline = load(plan.task.baseline)(data, plan.facts)
    metrics = {f"val_{name}": value for name, value in baseline.scores.items()}
    return Result(metrics, details={"name": baseline.name, "seconds": time.monotonic() - started})
