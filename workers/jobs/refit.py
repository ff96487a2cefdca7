"""The last training: the best config once more, on the training examples or on those for validation too (I. Goodfellow
et al., Deep learning, 2016, section 7.8), the one look at the test split, and the model as a file to take away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from workers.data.loading import held_out_data, training_data
from workers.data.uploaded import table_of
from workers.model_file import write_model
from workers.protocol import Assignment, Job, Result, Training
from workers.training.assembly import NAMES
from workers.training.devices import prepare_device
from workers.training.loop import epochs, judge, learner_of
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Training:
    """options: {data: train | train+validation, card: what the service adds to the model card}.

    metrics: train_loss and test_<score>, and val_<score> where nothing of the validation split was trained on.
    """
    assert assignment.checkpoint is not None, "a last training is kept"
    whole = job.options.get("data", "train") == "train+validation"
    part = replace(plan.part, whole=whole, fold=0, folds=0)
    plan = replace(plan, part=part, epochs=plan.horizon, axis="epochs")
    trained = yield from epochs(plan, replace(assignment, resume_from=None, checkpoint=None))
    device = prepare_device(assignment.resources, plan.options)
    learner = learner_of(plan, assignment.seed, trained.checkpoint, device)
    scores = judge(learner, held_out_data(plan.dataset, plan.part, device), assignment.seed, "test")
    told = {
        name: value for name, value in trained.checkpoint.metrics.items() if not (whole and name.startswith("val_"))
    }
    told |= {f"test_{name}": value for name, value in scores.items()}
    card: dict[str, Any] = {
        **job.options.get("card", {}),
        "trained_on": job.options.get("data", "train"),
        "epochs": plan.horizon,
        "seed": assignment.seed,
        "split_seed": plan.part.seed,
        "metrics": told,
        "licence_of_data": plan.dataset.licence,
        "table": table_of(plan.dataset),
        "seen": _extent(plan),
    }
    write_model(assignment.checkpoint, plan, learner, card)
    return Result(told, checkpointed=True, details={"card": card}, complete=trained.complete)


def _extent(plan: Plan) -> list[float] | None:
    """The least and the greatest value of the training examples' inputs, by which new ones on another scale are known;
    None for names and for tables, whose columns have scales of their own."""
    if plan.facts.inputs in NAMES or table_of(plan.dataset) is not None or len(plan.facts.shape) == 1:
        return None
    inputs = training_data(plan.dataset, plan.part, torch.device("cpu")).train.inputs
    known = inputs[inputs.isfinite()]
    return [float(known.min()), float(known.max())] if len(known) else None
