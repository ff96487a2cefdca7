"""A descent of hyperparameters as it stands: the network, where they are, their path; and one more epoch of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spaces import InvalidInput, Space
from workers.checkpoints import Checkpoint, packed, unpacked_as
from workers.data.loading import Data
from workers.families.blocks import infeasible
from workers.hypergradients.gradient import Method, Weights
from workers.hypergradients.network import Look, Network
from workers.hypergradients.tuned import Tuned
from workers.protocol import Assignment, Failure, FailureClass
from workers.supernets.dealing import cycled, halves
from workers.training.learner import Epoch
from workers.training.loop import begin_from, judge
from workers.training.optimizer_state import memories, remember
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import Purpose, stream

FIXED: Mapping[str, Any] = {"averaging": "none", "early_stopping": False}  # the path is the result, not the weights
HALVINGS = 3  # of the rate of the hyperparameters, where a loss was not finite; then it is no matter of theirs
STEEP = 1.0  # a longer hypergradient, by places in the unit cube, is cut: near a flat direction one may be anything
KEYS = 2**62


@dataclass
class Course:
    """What is remembered beside tensors, as JSON. `path` has the values before the first epoch and after each;
    `reported` the metrics of every epoch."""

    path: list[dict[str, float]]
    epoch: int = 0
    halvings: int = 0
    reported: list[dict[str, float]] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, float]:
        """Where it stands."""
        return self.reported[-1] if self.reported else {}

    def packed(self) -> Tensor:
        return packed(asdict(self))

    @classmethod
    def unpacked(cls, stored: Tensor) -> Course:
        """Raises CheckpointError where another version has stored it."""
        return unpacked_as(cls, stored)


class Search:
    """Raises Failure INFEASIBLE when there is nothing to tune, before any data is looked at."""

    def __init__(self, plan: Plan, assignment: Assignment, device: torch.device) -> None:
        wanted = assignment.supernet
        assert wanted is not None, "a run of this kind says what is searched"
        self.plan, self.seed, self.device = plan, assignment.seed, device
        self.wanted, self.options, self.config = wanted, wanted.options, assignment.config
        self.space = Space.from_json(wanted.space)
        self.tuned = Tuned.of(self.space)
        _require_differentiable(plan, self.tuned)
        self.settings: Settings = {**plan.settings, **FIXED}
        highest = {name: each.high for name, each in zip(self.tuned.names, self.tuned.ranges, strict=True)}
        self.network = Network(plan, self.settings, highest, self.seed, device)
        self.places = torch.nn.Parameter(self.tuned.places(self.config))
        self.outer = torch.optim.Adam([self.places], lr=self.options["hyper_lr"])
        self.course = Course([{name: float(self.config[name]) for name in self.tuned.names}])
        self.horizon: int = self.options["epochs"]

    @property
    def over(self) -> bool:
        return self.course.epoch >= self.horizon

    @property
    def values(self) -> dict[str, float]:
        return self.course.path[0] if not self.outer.state else self.tuned.values(self.places.detach())

    @property
    def warm(self) -> bool:
        """Whether the hyperparameters may move in the epoch that is next."""
        return self.course.epoch >= int(self.options["warmup"] * self.horizon)

    def prepare(self, data: Data) -> None:
        self.data = data
        learner = self.network.learner
        learner.prepare(data)
        self.train, self.held = halves(data.train, self.seed)
        # the first weights take nothing from the half that the hyperparameters are judged by
        begin_from(learner, replace(data, train=self.train), self.settings, self.device)

    def epoch(self) -> dict[str, float]:
        """One more: its metrics. Where a loss is not finite, the epoch begins again with hyperparameters that move half
        as fast. Raises Failure DIVERGED."""
        while True:
            before = kept(self.checkpoint())
            try:
                return self._epoch()
            except Failure as failure:
                if failure.failure is not FailureClass.DIVERGED or not self.warm or self.course.halvings == HALVINGS:
                    raise
            self.restore(before)
            self.course.halvings += 1

    def _epoch(self) -> dict[str, float]:
        number, network = self.course.epoch, self.network
        epoch = self._work(number)
        network.learner.begin_epoch(epoch)
        keys, turns = self._keys(number), epoch.stream("clip")
        held = cycled(
            self.held, self.settings["batch_size"], stream(self.seed, "validation_order", number), self.device
        )
        loss, seen, lengths, lr = 0.0, 0, list[float](), 0.0
        for step, (done, batch) in enumerate(epoch.batches()):
            lr, look = epoch.lr(done), Look(batch, next(keys))
            here = network.step(look, self.values, lr, epoch.progress(done), turns)
            where = f"at step {step + 1} of {epoch.steps} in epoch {number + 1}"
            _require_finite("training loss", here, f"{where} (lr {lr:.3g}, {self._told})")
            loss, seen = loss + here * len(batch), seen + len(batch)
            if self.warm and (number * epoch.steps + step + 1) % self.options["every"] == 0:
                slope = self._slope(look, network.held_out(next(held), next(keys)), lr)
                lengths.append(float(slope.norm()))
                _require_finite("hypergradient", lengths[-1], f"{where} ({self._told})")
                self._move(slope * (STEEP / max(lengths[-1], STEEP)))
        self.course.epoch += 1
        self.course.path.append(self.values)
        self.course.reported.append(self._metrics(loss / seen, lr, lengths))
        return self.course.metrics

    def _slope(self, look: Look, v: Tensor, lr: float) -> Tensor:
        """The hypergradient by the places [names]."""
        network, values = self.network, self.values
        with network.curved(look, values) as (bent, crossed):
            weights = Weights(bent, crossed, lr, network.stretch(), network.decay(values))
            x = weights.answer(v, self._method, self.options["terms"], self.options["damping"])
            by_strength, by_decay = weights.by_hyperparameters(x)
        slopes = {**by_decay, **dict(zip(network.strengths, by_strength.tolist(), strict=True))}
        return -self.tuned.stretched(slopes, self.places.detach())

    def _move(self, slope: Tensor) -> None:
        for group in self.outer.param_groups:
            group["lr"] = self.options["hyper_lr"] / 2**self.course.halvings
        self.places.grad = slope
        self.outer.step()
        with torch.no_grad():
            self.places.clamp_(0, 1)

    def _metrics(self, train_loss: float, lr: float, lengths: list[float]) -> dict[str, float]:
        """The scores of both splits that the weights do not learn from: `held_` those of the half that the
        hyperparameters descend on, `val_` those of the validation split, which nothing descends on."""
        learner, metrics = self.network.learner, {"train_loss": train_loss, "lr": lr}
        for name, examples in (("held", self.held), ("val", self.data.validation)):
            metrics |= {f"{name}_{score}": value for score, value in judge(learner, examples, self.seed).items()}
        if lengths:
            metrics["hypergradient_norm"] = sum(lengths) / len(lengths)
        metrics |= {f"hyper.{name}": value for name, value in self.values.items()}
        for name, value in metrics.items():
            _require_finite(name, value, f"after epoch {self.course.epoch}")
        return metrics

    @property
    def _method(self) -> Method:
        method: Method = self.options["solver" if self.options["method"] == "implicit" else "method"]
        return method

    @property
    def _told(self) -> str:
        return ", ".join(f"{name} {value:.3g}" for name, value in self.values.items())

    def _keys(self, number: int) -> Iterator[int]:
        rng = stream(self.seed, "hypergradient", number)
        while True:
            yield int(torch.randint(KEYS, (), generator=rng))

    def _work(self, number: int) -> Epoch:
        def stream_of(purpose: Purpose, at: torch.device | None = None) -> torch.Generator:
            return stream(self.seed, purpose, number, at)

        optimizers = [self.network.optimizer]
        return Epoch(number, self.horizon, self.train, self.settings, optimizers, self.device, nullcontext, stream_of)

    def ranking(self, points: int) -> list[dict[str, Any]]:
        """[{"config": the tuned values, "score": the part of the path that is done there, "epoch"}, ...], the end
        first; of equal configs one. The score is no estimate: it says that the end is what was looked for, and the
        trainings of the others tell whether the path led anywhere."""
        found = list[dict[str, Any]]()
        for place in range(points):
            epoch = round(self.course.epoch * (1 - place / max(1, points - 1)))
            config = self.course.path[epoch]
            if all(entry["config"] != config for entry in found) and self._allowed(config):
                found.append({"config": dict(config), "score": epoch / max(1, self.course.epoch), "epoch": epoch})
        if not found:
            raise infeasible("no place of the path keeps the constraints of the space: drop them, or take more points")
        return found

    def _allowed(self, config: Mapping[str, float]) -> bool:
        try:
            self.space.validate({**self.config, **config})
        except InvalidInput:  # a constraint: bounds are kept
            return False
        return True

    def identity(self) -> Mapping[str, Any]:
        """What must be equal for one descent to go on from another's checkpoint."""
        options = {name: value for name, value in self.options.items() if name != "points"}
        searched = {"method": self.wanted.method, "options": options, "space": self.wanted.space, "seed": self.seed}
        return {**self.plan.identity(), "hypergradient": searched}

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.identity(),
            self.course.epoch,
            self.course.metrics,
            self.network.learner.state_dict(),
            memories([self.network.optimizer, self.outer]),
            {"course": self.course.packed(), "places": self.places.detach()},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        self.network.learner.load_state_dict(dict(checkpoint.model))
        remember([self.network.optimizer, self.outer], checkpoint.optimizer)
        self.course = Course.unpacked(checkpoint.extra["course"])
        with torch.no_grad():
            self.places.copy_(checkpoint.extra["places"])


def _require_differentiable(plan: Plan, tuned: Tuned) -> None:
    known = {each.name for each in plan.family.hyperparameters(plan.dataset.inputs) if each.differentiable}
    wrong = [name for name in tuned.names if name not in known]
    if wrong or not tuned.names:
        raise infeasible(f"no gradient leads to {', '.join(wrong) or 'nothing'}; it does to {', '.join(sorted(known))}")


def _require_finite(name: str, value: float, where: str) -> None:
    if not math.isfinite(value):
        raise Failure(FailureClass.DIVERGED, f"the {name} is {value} {where}")


def kept(checkpoint: Checkpoint) -> Checkpoint:
    """With tensors of its own, which the next epoch does not change."""
    model = {name: tensor.clone() for name, tensor in checkpoint.model.items()}
    optimizer = {n: {name: t.clone() for name, t in memory.items()} for n, memory in checkpoint.optimizer.items()}
    extra = {name: tensor.clone() for name, tensor in checkpoint.extra.items()}
    return replace(checkpoint, model=model, optimizer=optimizer, extra=extra)
