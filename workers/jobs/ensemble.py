"""Ensembles of networks that are there already, of every kind that there is, beside the best single one.

    seeds       the confirmations of the best config, which differ by their seeds (B. Lakshminarayanan et al., Simple
                and scalable predictive uncertainty estimation using deep ensembles, 2017)
    hyper_deep  the confirmations of all configs, each with several seeds (F. Wenzel et al., Hyperparameter ensembles
                for robustness and uncertainty quantification, 2020)
    configs     the best runs of the study, which differ by their hyperparameters and architectures
    snapshots   the networks at the ends of the cycles of one training (G. Huang et al., 2017)
    all         all of these together

The validation split chooses members, weights and the kind; the test split is looked at once, for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from workers.jobs.calibration import calibration, temperature_of
from workers.jobs.candidates import Candidate, Targets, candidates, plan_of, targets_of
from workers.jobs.selection import error_correlation, greedy, loss_of, mixed, scores, weights_of
from workers.protocol import Assignment, Job, Member, Result
from workers.training.devices import prepare_device
from workers.training.plan import Plan


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """options: {best: the trial whose confirmations are the kind `seeds`}.

    metrics: {val_loss, test_loss, and accuracy likewise} of the ensemble that the validation split chose.

    details: {best: trial of the best single network, single: its scores; chosen: the kind, ensemble: its scores,
    members: its [{source, trial, seed, snapshot, weight}]; kinds: [{kind, candidates: how many, networks: how many it
    asks, members, scores, correlation: mean between its candidates' errors}]; left_out: members that were judged on
    other examples; calibration: {single, ensemble} on the test split, with the temperature fitted on the validation
    split, of classifiers}.
    """
    device = prepare_device(assignment.resources, plan.options)
    alike = _alike(assignment, job)
    targets = targets_of(assignment, alike[0])
    classes = plan.task.name == "classification"
    found = list(candidates(assignment, alike, device))
    alone = [one for one in found if one.networks == 1]
    best = min(alone, key=lambda one: float(loss_of(one.validation, targets.validation, classes)))
    groups = {kind: group for kind, group in _kinds(found, job, targets, classes).items() if len(group) > 1}
    mixtures = [_Mixture(kind, group, targets, classes) for kind, group in groups.items()]
    if not mixtures:  # one network is all there is
        mixtures = [_Mixture("all", [best], targets, classes)]
    chosen = min(mixtures, key=lambda one: one.scores["val_loss"])
    details: dict[str, Any] = {
        "best": best.trial,
        "single": _scores(best.validation, best.test, targets, classes),
        "chosen": chosen.kind,
        "ensemble": chosen.scores,
        "members": chosen.members,
        "correlation": chosen.correlation,
        "kinds": [one.told() for one in mixtures],
        "left_out": len(job.members) - len(alike),
    }
    if classes:
        pairs = {"single": (best.validation, best.test), "ensemble": (chosen.validation, chosen.test)}
        details["calibration"] = {
            name: calibration(seen, targets.test, temperature_of(fitted, targets.validation))
            for name, (fitted, seen) in pairs.items()
        }
    return Result(chosen.scores, details=details)


def _alike(assignment: Assignment, job: Job) -> tuple[Member, ...]:
    """The members that are judged on the same examples as the last one: folds differ in theirs."""
    judged = [plan_of(assignment, member).part.fold for member in job.members]
    return tuple(member for member, fold in zip(job.members, judged, strict=True) if fold == judged[-1])


def _kinds(found: Sequence[Candidate], job: Job, targets: Targets, classes: bool) -> Mapping[str, Sequence[Candidate]]:
    confirmed = [one for one in found if one.source == "confirmation" and one.snapshot is None]
    kept = [one for one in found if one.snapshot is not None]
    along = list[Candidate]()
    if kept:  # of the training whose snapshots are best on the whole
        by_training: dict[tuple[str, int, int], list[Candidate]] = {}
        for one in kept:
            by_training.setdefault((one.source, one.trial, one.seed), []).append(one)
        along = min(
            by_training.values(),
            key=lambda group: float(
                loss_of(torch.stack([one.validation for one in group]).mean(0), targets.validation, classes)
            ),
        )
    return {
        "seeds": [one for one in confirmed if one.trial == job.options.get("best")],
        "hyper_deep": confirmed if len({one.trial for one in confirmed}) > 1 else [],
        "configs": [one for one in found if one.source == "run" and one.snapshot is None],
        "snapshots": along,
        "all": found,
    }


class _Mixture:
    """What the greedy selection makes of some candidates."""

    def __init__(self, kind: str, group: Sequence[Candidate], targets: Targets, classes: bool) -> None:
        self.kind, self.group = kind, group
        answers = torch.stack([one.validation for one in group])  # [candidates, n, outputs]
        self.weights = weights_of(greedy(answers, targets.validation, classes), len(group))
        self.validation = mixed(self.weights, answers)
        self.test = mixed(self.weights, torch.stack([one.test for one in group]))
        self.scores = _scores(self.validation, self.test, targets, classes)
        self.correlation = error_correlation(answers, targets.validation, classes)

    @property
    def members(self) -> list[dict[str, Any]]:
        return [
            {
                "source": one.source,
                "trial": one.trial,
                "seed": one.seed,
                "snapshot": one.snapshot,
                "weight": float(weight),
            }
            for one, weight in zip(self.group, self.weights, strict=True)
            if weight > 0
        ]

    def told(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "candidates": len(self.group),
            "networks": sum(one.networks for one, weight in zip(self.group, self.weights, strict=True) if weight > 0),
            "members": self.members,
            "scores": self.scores,
            "correlation": self.correlation,
        }


def _scores(validation: torch.Tensor, test: torch.Tensor, targets: Targets, classes: bool) -> dict[str, float]:
    return scores("val", validation, targets.validation, classes) | scores("test", test, targets.test, classes)
