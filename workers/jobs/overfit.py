"""The overfit gate: a network that cannot learn 64 examples by heart, without any regularization, is broken or too
small, and no search will mend it (I. Goodfellow, Y. Bengio and A. Courville, Deep learning, 2016, section 11.5)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workers.protocol import Assignment, Failure, FailureClass, Job, Result
from workers.training.devices import prepare_device
from workers.training.loop import begun, epoch_of, judge
from workers.training.plan import Plan
from workers.training.recipe import MODULES, OFF, Module
from workers.training.settings import resolve

EXAMPLES = 64
EPOCHS = 200
FACTORS = (1.0, 0.1, 10.0)
LEARNT: Mapping[str, tuple[str, float]] = {  # by task: the score, and how much of it is by heart
    "classification": ("accuracy", 0.98),
    "regression": ("r2", 0.9),
    "segmentation": ("iou", 0.8),
}

# The modules of the recipe that stand against learning by heart, and a course that does not end.
AGAINST: tuple[Module, ...] = (
    "decay",
    "dropout",
    "noise",
    "label_smoothing",
    "augmentation",
    "adversarial",
    "averaging",
)
UNREGULARIZED: Mapping[str, Any] = {
    **{each.name: OFF[each.name] for module in AGAINST for each in MODULES[module] if each.name in OFF},
    "schedule": "constant",
    "warmup": 0.0,
}


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """The config's architecture, with the family's own recipe but for what stands against it; where that fails, with a
    tenth and with ten times the learning rate, for no verdict on a network shall rest on one.

    details: {passed, score, wanted, value, epochs, examples, lr, seconds, curve: the loss of every epoch, why}, of the
    last try, or of the first one if all fail.
    """
    started = time.monotonic()
    plan = _unregularized(plan)
    tries = (_try(plan, assignment, plan.settings["lr"] * factor) for factor in FACTORS)
    first = next(tries)
    found = first if first["passed"] else next((one for one in tries if one["passed"]), first)
    return Result({}, details={**found, "seconds": time.monotonic() - started})


def _unregularized(plan: Plan) -> Plan:
    own = {each.name: plan.settings[each.name] for each in plan.family.own if each.name in plan.settings}
    settings = resolve(plan.family.hyperparameters(plan.dataset.inputs), own)
    return replace(plan, settings={**settings, **UNREGULARIZED}, epochs=EPOCHS, horizon=EPOCHS)


def _try(plan: Plan, assignment: Assignment, lr: float) -> dict[str, Any]:
    plan = replace(plan, settings={**plan.settings, "lr": lr})
    device = prepare_device(assignment.resources, plan.options)
    learner, data = begun(plan, assignment.seed, device)
    few, optimizers = data.train[:EXAMPLES], learner.optimizers()
    (score, wanted), curve, why, value = LEARNT[plan.task.name], list[float](), "", math.nan
    passed = False
    for epoch in range(EPOCHS):
        try:
            curve.append(learner.train_epoch(epoch_of(plan, few, optimizers, assignment.seed, epoch, device)))
        except Failure as failure:
            if failure.failure is not FailureClass.DIVERGED:
                raise
            why = failure.message
            break
        value = judge(learner, few, assignment.seed)[score]
        passed = value >= wanted
        if passed:
            break
    return {
        "passed": passed,
        "score": score,
        "wanted": wanted,
        "value": value,
        "epochs": len(curve),
        "examples": len(few),
        "lr": lr,
        "curve": curve,
        "why": why or ("" if passed else _suspect(curve)),
    }


def _suspect(curve: list[float]) -> str:
    """The likely cause, from the course of the loss."""
    first, last, least = curve[0], curve[-1], min(curve)
    if last > 0.95 * first:
        return "the loss hardly falls: no gradient arrives, or the network is far too small"
    if last > 2 * least:
        return "the loss falls and rises again: the steps are too large for this network"
    return "the loss falls, but not far enough: the network may be too small"
