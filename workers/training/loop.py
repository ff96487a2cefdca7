"""The training of any family, in reading order: build, load, continue, then epoch by epoch train, evaluate, report.

A training that stops at any epoch and goes on from its checkpoint equals one that never stopped, bit for bit: the
schedule refers to the highest fidelity, and every epoch draws from streams of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import torch

from workers.checkpoints import Checkpoint
from workers.data.loading import Data, Examples, held_out_data, training_data
from workers.families.blocks import parameter_count
from workers.families.initialization import PROBES, scale_by_data
from workers.protocol import Assignment, Failure, FailureClass, Metrics, Report, Result, Stop, Training, to_the_end
from workers.training.assembly import assemble
from workers.training.devices import autocast, prepare_device
from workers.training.health import dead_units, latency_ms, multiply_adds
from workers.training.inheritance import inherited
from workers.training.keeping import Keeping
from workers.training.learner import Epoch, Learner, Optimizers
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import Purpose, stream


@dataclass(frozen=True, slots=True)
class Trained:
    """`complete`: there is nothing left to train."""

    checkpoint: Checkpoint
    complete: bool


Steps = Generator[Report, Stop | None, Trained]


def train(assignment: Assignment) -> Training:
    """One report per epoch, or per fold: the task's scores on the validation split, `train_loss`, the size of the
    model, its latency if the assignment's metrics name it, and how the training feels (`workers.tasks`). The result has
    the last ones, with early stopping the best.

    Raises Failure: INFEASIBLE before any data is loaded, DIVERGED at the first loss that is not finite.
    """
    plan = Plan.of(assignment)
    trained = yield from steps_of(plan, assignment)
    metrics, kept = trained.checkpoint.metrics, assignment.checkpoint
    if kept:
        trained.checkpoint.save(kept)
    return Result(dict(metrics), checkpointed=kept is not None, complete=trained.complete)


def steps_of(plan: Plan, assignment: Assignment) -> Steps:
    return (folds if plan.axis == "folds" else epochs)(plan, assignment)


def epochs(plan: Plan, assignment: Assignment) -> Steps:
    """One training."""
    started = time.monotonic()
    device = prepare_device(assignment.resources, plan.options)
    learner, data = begun(plan, assignment.seed, device)
    source = assignment.resume_from if plan.continues or assignment.own else None
    if assignment.inherit_from and source is None:
        parent = inherited(assignment.inherit_from, plan.identity(), device)
        learner.inherit(parent.model, parent.identity, stream(assignment.seed, "inheritance"))
    size = {"parameters": parameter_count(learner), "multiply_adds": multiply_adds(learner, data.validation)}
    if plan.options.get("compile"):
        for part in learner.children():
            part.compile()
    optimizers = learner.optimizers()
    keeping = Keeping(plan, learner, optimizers)
    if source is not None:
        keeping.restore(Checkpoint.load(source, plan.identity(), device))

    answer = None
    while not (over := keeping.epoch >= plan.epochs or keeping.course.over) and answer != "stop":
        work = epoch_of(plan, data.train, optimizers, assignment.seed, keeping.epoch, device)
        work = replace(work, lr_scale=keeping.course.lr_scale)
        train_loss = learner.train_epoch(work)
        with keeping.judging(data.train):
            scores = judge(learner, data.validation, assignment.seed)
            require_finite(train_loss, scores, keeping.epoch)
            metrics = {"train_loss": train_loss, **{f"val_{name}": value for name, value in scores.items()}}
            metrics |= {**work.notes, "dead_units": dead_units(learner, data.validation), **size}
            if "latency_ms" in assignment.metrics:  # takes time, and no two trainings would report the same
                metrics["latency_ms"] = latency_ms(learner, data.validation)
            keeping.keep(metrics)
        # where epochs are not what the fidelity counts, they are parts of the way to it
        step = keeping.epoch if plan.axis == "epochs" else plan.level * keeping.epoch / plan.epochs
        answer = yield Report(step, metrics, time.monotonic() - started)
    return Trained(keeping.checkpoint(), over)


def require_finite(train_loss: float, scores: Mapping[str, float], epoch: int) -> None:
    """Raises Failure DIVERGED."""
    for name, value in {"training loss": train_loss, **{f"validation {n}": v for n, v in scores.items()}}.items():
        if not math.isfinite(value):
            raise Failure(FailureClass.DIVERGED, f"the {name} is {value} after epoch {epoch}")


def folds(plan: Plan, assignment: Assignment) -> Steps:
    """One training per fold. Every report has the means over the folds so far."""
    started = time.monotonic()
    done, means, checkpoint, answer = 0, dict[str, float](), None, None
    if assignment.resume_from:
        checkpoint = Checkpoint.load(assignment.resume_from, plan.identity(), torch.device("cpu"))
        done, means = checkpoint.epoch, dict(checkpoint.metrics)
    while done < int(plan.level) and answer != "stop":
        fold = replace(plan, part=replace(plan.part, fold=done), axis="epochs")
        _, trained = to_the_end(epochs(fold, replace(assignment, resume_from=None)))
        done += 1
        for name, value in trained.checkpoint.metrics.items():
            means[name] = means.get(name, 0.0) + (value - means.get(name, 0.0)) / done
        checkpoint = replace(trained.checkpoint, epoch=done, metrics=dict(means))
        answer = yield Report(done, dict(means), time.monotonic() - started)
    assert checkpoint is not None, "a fidelity in folds is 1 at least"
    return Trained(checkpoint, done >= int(plan.level))


def test(assignment: Assignment) -> Metrics:
    """The checkpoint's scores on the test split; nothing else reads that split."""
    assert assignment.resume_from is not None, "a test needs a checkpoint"
    plan = Plan.of(assignment)
    device = prepare_device(assignment.resources, plan.options)
    checkpoint = Checkpoint.load(assignment.resume_from, plan.identity(), device)
    learner = learner_of(plan, assignment.seed, checkpoint, device)
    scores = judge(learner, held_out_data(plan.dataset, plan.part, device), assignment.seed, "test")
    return {f"test_{name}": value for name, value in scores.items()}


def learner_of(plan: Plan, seed: int, checkpoint: Checkpoint, device: torch.device) -> Learner:
    """The learner as the checkpoint has it."""
    learner = build(plan, seed).to(device)
    learner.prepare(training_data(plan.dataset, plan.part, device))
    learner.load_state_dict(dict(checkpoint.model))
    return learner


def begun(plan: Plan, seed: int, device: torch.device) -> tuple[Learner, Data]:
    """A learner with the first weights that every training begins with, and the examples that told some of them."""
    learner = build(plan, seed).to(device)
    data = training_data(plan.dataset, plan.part, device)
    learner.prepare(data)
    begin_from(learner, data, plan.settings, device)
    return learner, data


def begin_from(learner: Learner, data: Data, settings: Settings, device: torch.device) -> None:
    """Gives a prepared learner what its first weights take from the training examples, as the recipe says."""
    learner.begin(data)
    if settings["init"] == "data_scaled":
        probes = data.train[:: math.ceil(len(data.train) / PROBES)].to(device)
        scale_by_data(learner, probes.inputs, settings["init_gain"])


def build(plan: Plan, seed: int) -> Learner:
    """The family's learner with its first weights. Raises Failure INFEASIBLE when the settings describe no network."""
    return assemble(plan.family, plan.settings, plan.facts, stream(seed, "initialization"))


def epoch_of(
    plan: Plan, examples: Examples, optimizers: Optimizers, seed: int, number: int, device: torch.device
) -> Epoch:
    def stream_of(purpose: Purpose, at: torch.device | None = None) -> torch.Generator:
        return stream(seed, purpose, number, at)

    return Epoch(number, plan.horizon, examples, plan.settings, optimizers, device, autocast(device), stream_of)


def judge(learner: Learner, examples: Examples, seed: int, purpose: Purpose = "evaluation") -> Mapping[str, float]:
    """The task's scores. What is drawn for them is the same every time, so that only the learner makes a difference."""
    learner.eval()
    with torch.no_grad():
        return learner.evaluate(examples, stream(seed, purpose))
