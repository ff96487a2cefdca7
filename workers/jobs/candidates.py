"""The models that an ensemble may be made of, with their answers: networks that were trained already, and the snapshots
that some of them kept. One network is in memory at a time; of the others only the answers are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from workers.checkpoints import Checkpoint
from workers.data.loading import Examples, held_out_data, training_data
from workers.protocol import Assignment, Member
from workers.training.committee import Snapshots
from workers.training.learner import Learner
from workers.training.loop import learner_of
from workers.training.plan import Plan

BATCH = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """`snapshot` counts from 0, and is None for what the training left as a whole, which asks `networks` of them.
    `validation` and `test` are the answers [n, outputs] to these splits."""

    source: Literal["run", "confirmation"]
    trial: int
    seed: int
    snapshot: int | None
    networks: int
    validation: Tensor
    test: Tensor


@dataclass(frozen=True, slots=True)
class Targets:
    validation: Tensor
    test: Tensor


def targets_of(assignment: Assignment, member: Member) -> Targets:
    """What the candidates are to answer, on the CPU."""
    seen, unseen = _splits(plan_of(assignment, member), torch.device("cpu"))
    assert seen.targets is not None
    assert unseen.targets is not None
    return Targets(seen.targets, unseen.targets)


def candidates(assignment: Assignment, members: tuple[Member, ...], device: torch.device) -> Iterator[Candidate]:
    """Every member, and after it each of its snapshots where it has some."""
    for member in members:
        plan = plan_of(assignment, member)
        checkpoint = Checkpoint.load(member.checkpoint, plan.identity(), device)
        learner = learner_of(plan, member.seed, checkpoint, device).eval()
        classes = plan.task.name == "classification"
        splits = _splits(plan, device)
        committee = learner.committee if isinstance(learner.committee, Snapshots) else None
        taken = 0 if committee is None else int(committee.taken)
        for snapshot in (None, *range(taken)):
            if committee is not None:
                committee.only = snapshot
            validation, test = (_answers(learner, split, classes) for split in splits)
            asked = max(1, taken) if snapshot is None else 1
            yield Candidate(member.source, member.trial, member.seed, snapshot, asked, validation, test)


def plan_of(assignment: Assignment, member: Member) -> Plan:
    """Of cross-validation the last fold, whose network the checkpoint holds."""
    plan = Plan.of(replace(assignment, config=member.config, fidelity=member.fidelity))
    if plan.axis == "folds":
        return replace(plan, part=replace(plan.part, fold=int(plan.level) - 1))
    return plan


def _splits(plan: Plan, device: torch.device) -> tuple[Examples, Examples]:
    return training_data(plan.dataset, plan.part, device).validation, held_out_data(plan.dataset, plan.part, device)


@torch.no_grad()
def _answers(learner: Learner, examples: Examples, classes: bool) -> Tensor:
    out = torch.cat([learner(part) for part in torch.split(examples.inputs, BATCH)])
    return (out.softmax(dim=1) if classes else out).float().cpu()
