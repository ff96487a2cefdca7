"""The run of a hypergradient study, in reading order: build, load, continue, then epoch by epoch descend and report.

A descent that stops at any epoch and goes on from its checkpoint equals one that never stopped, bit for bit.
"""

from __future__ import annotations

import time
from typing import Any

from workers.checkpoints import Checkpoint
from workers.data.loading import training_data
from workers.families.blocks import parameter_count
from workers.hypergradients.search import Search
from workers.protocol import Assignment, Report, Result, Training
from workers.training.devices import prepare_device
from workers.training.plan import Plan


def train(assignment: Assignment) -> Training:
    """One report per epoch (`workers.hypergradients.search`); after each the checkpoint is saved. The result's details:
    `path`, the values before the first epoch and after each, `ranking` of its places, `hypergradient`.

    Raises Failure: INFEASIBLE before any data is loaded, DIVERGED.
    """
    started, plan = time.monotonic(), Plan.of(assignment)
    device = prepare_device(assignment.resources, plan.options)
    search = Search(plan, assignment, device)
    stored = None
    if assignment.resume_from:
        stored = Checkpoint.load(assignment.resume_from, search.identity(), device)
    search.prepare(training_data(plan.dataset, plan.part, device))
    answer = None
    if stored is not None:
        search.restore(stored)
        if assignment.checkpoint:
            stored.save(assignment.checkpoint)  # it may be told to stop before another epoch is done
        for epoch, metrics in enumerate(search.course.reported, 1):
            # whoever saved it may have been lost before these were heard
            answer = yield Report(epoch, metrics, time.monotonic() - started)
    while not search.over and answer != "stop":
        metrics = search.epoch()
        if assignment.checkpoint:
            search.checkpoint().save(assignment.checkpoint)
        answer = yield Report(search.course.epoch, metrics, time.monotonic() - started)
    details: dict[str, Any] = {
        "path": list(search.course.path),
        "hypergradient": {
            "method": search.options["method"],
            "epochs": search.course.epoch,
            "tuned": list(search.tuned.names),
            "halvings": search.course.halvings,
            "parameters": parameter_count(search.network.learner),
        },
    }
    if search.over:  # else it may go on
        details["ranking"] = search.ranking(search.options["points"])
    kept = assignment.checkpoint is not None
    return Result(dict(search.course.metrics), checkpointed=kept, details=details, complete=search.over)
