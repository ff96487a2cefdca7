"""An ensemble of runs that are there already, chosen greedily with replacement (R. Caruana et al., Ensemble selection
from libraries of models, 2004), and how well its probabilities, and those of the best run, are calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from workers.checkpoints import Checkpoint
from workers.data.loading import Examples, held_out_data, training_data
from workers.jobs.calibration import calibration, temperature_of
from workers.protocol import Assignment, Job, Member, Result
from workers.training.devices import prepare_device
from workers.training.learner import Learner
from workers.training.loop import learner_of
from workers.training.plan import Plan

ROUNDS = 50


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """metrics: {val_loss, test_loss, and accuracy likewise} of the ensemble.

    details: {members: [{trial, weight}], single: the best member's scores, ensemble: its scores, correlation: mean
    between the members' errors, calibration: {single, ensemble}, on the test split, with the temperature fitted on the
    validation split}.
    """
    device = prepare_device(assignment.resources, plan.options)
    plan = _plan_of(assignment, job.members[0])  # all have the same fidelity
    data = training_data(plan.dataset, plan.part, device)
    test = held_out_data(plan.dataset, plan.part, device)
    classes = plan.task.name == "classification"
    answers = [
        _answers(_restored(assignment, member, device), data.validation, test, classes) for member in job.members
    ]
    validation, held_out = (torch.stack(part) for part in zip(*answers, strict=True))  # [members, n, outputs]
    chosen = greedy(validation, _targets(data.validation), classes)
    weights = torch.bincount(torch.tensor(chosen), minlength=len(job.members)).double() / len(chosen)
    best = min(range(len(job.members)), key=lambda i: float(loss_of(validation[i], _targets(data.validation), classes)))

    def mixed(parts: Tensor) -> Tensor:
        return torch.einsum("m,mno->no", weights.to(parts), parts)

    single = scores(validation[best], held_out[best], data.validation, test, classes)
    ensemble = scores(mixed(validation), mixed(held_out), data.validation, test, classes)
    details: dict[str, Any] = {
        "members": [
            {"trial": member.trial, "weight": float(weight)}
            for member, weight in zip(job.members, weights, strict=True)
            if weight > 0
        ],
        "best": job.members[best].trial,
        "single": single,
        "ensemble": ensemble,
        "correlation": error_correlation(validation, _targets(data.validation), classes),
    }
    if classes:
        pairs = {"single": (validation[best], held_out[best]), "ensemble": (mixed(validation), mixed(held_out))}
        details["calibration"] = {
            name: calibration(seen, _targets(test), temperature_of(fitted, _targets(data.validation)))
            for name, (fitted, seen) in pairs.items()
        }
    return Result(ensemble, details=details)


def greedy(answers: Tensor, targets: Tensor, classes: bool) -> list[int]:
    """Members in the order of their choice, with repetitions: each is the one that makes the mean of all so far best.
    It ends where the best so far is not reached again within ROUNDS. answers [members, n, outputs]."""
    chosen, total, history = list[int](), torch.zeros_like(answers[0]), list[float]()
    for size in range(1, ROUNDS + 1):
        losses = [float(loss_of((total + member) / size, targets, classes)) for member in answers]
        pick = min(range(len(losses)), key=losses.__getitem__)
        chosen.append(pick)
        total = total + answers[pick]
        history.append(losses[pick])
    return chosen[: min(range(len(history)), key=history.__getitem__) + 1]


def loss_of(answers: Tensor, targets: Tensor, classes: bool) -> Tensor:
    """Mean negative log-likelihood of probabilities [n, classes], or mean squared error."""
    if classes:
        return nn.functional.nll_loss(answers.clamp_min(1e-12).log(), targets)
    return (answers - targets).square().mean()


def scores(validation: Tensor, test: Tensor, seen: Examples, unseen: Examples, classes: bool) -> dict[str, float]:
    out = {}
    for name, answers, examples in (("val", validation, seen), ("test", test, unseen)):
        targets = _targets(examples)
        out[f"{name}_loss"] = float(loss_of(answers, targets, classes))
        if classes:
            out[f"{name}_accuracy"] = float((answers.argmax(dim=1) == targets).double().mean())
    return out


def error_correlation(answers: Tensor, targets: Tensor, classes: bool) -> float | None:
    """The mean correlation between two members' errors; None with one member, or without errors."""
    if classes:
        errors = 1 - answers.gather(2, targets.expand(len(answers), -1)[..., None])[..., 0]
    else:
        errors = (answers - targets).flatten(1)
    if len(errors) < 2:
        return None
    pairs = torch.corrcoef(errors.double())[tuple(torch.triu_indices(len(errors), len(errors), offset=1))]
    mean = pairs.nanmean()
    return float(mean) if torch.isfinite(mean) else None


def _plan_of(assignment: Assignment, member: Member) -> Plan:
    """Of cross-validation the last fold, whose network the checkpoint holds."""
    plan = Plan.of(replace(assignment, config=member.config, fidelity=member.fidelity))
    if plan.axis == "folds":
        return replace(plan, part=replace(plan.part, fold=int(plan.level) - 1))
    return plan


def _restored(assignment: Assignment, member: Member, device: torch.device) -> Learner:
    plan = _plan_of(assignment, member)
    checkpoint = Checkpoint.load(member.checkpoint, plan.identity(), device)
    return learner_of(plan, member.seed, checkpoint, device).eval()


@torch.no_grad()
def _answers(learner: Learner, seen: Examples, unseen: Examples, classes: bool) -> Sequence[Tensor]:
    both = [torch.cat([learner(part) for part in torch.split(examples.inputs, 1024)]) for examples in (seen, unseen)]
    return [out.softmax(dim=1) for out in both] if classes else both


def _targets(examples: Examples) -> Tensor:
    assert examples.targets is not None
    return examples.targets
