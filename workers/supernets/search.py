"""A search of an architecture as it stands: what is learnt so far, and one more epoch of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from spaces import Space
from spaces.architectures.searched import searched
from spaces.values import Config
from workers.checkpoints import Checkpoint
from workers.data.loading import Data
from workers.families.blocks import attach_noise, infeasible, initialize
from workers.families.cell.network import set_drop
from workers.protocol import Failure, FailureClass
from workers.protocol import Supernet as Wanted
from workers.supernets.costs import costs_of, total
from workers.supernets.course import Course
from workers.supernets.curvature import Rule, dominant_eigenvalue
from workers.supernets.dealing import cycled, halves
from workers.supernets.methods import METHODS
from workers.supernets.objections import objections
from workers.supernets.recipe import settings_of
from workers.supernets.relaxation import Softmax, of_config
from workers.supernets.report import metrics_of
from workers.supernets.sampling import Uniform
from workers.supernets.setup import drop_of, relaxation_of
from workers.supernets.supernet import Supernet, evaluating, one_shot
from workers.supernets.updates import UPDATES, Work
from workers.training.augmentation import augmented
from workers.training.learner import Epoch
from workers.training.optimizer_state import memories, remember
from workers.training.optimizers import begin_momentum, clip_gradients, make_optimizer, set_lr
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import Purpose, stream

RANKED = ("ranked", "retrain", "trusted")  # options that say what comes after the search
PEEK = 4  # random architectures of which the best is shown, where nothing is learnt of the architecture
MOST_DECAY = 0.03  # what weight decay is raised to at most
TENFOLD = 10


class Search:
    """Raises Failure INFEASIBLE when there is nothing to search, before any data is looked at."""

    def __init__(self, plan: Plan, wanted: Wanted, seed: int, device: torch.device, batch_size: int) -> None:
        self.plan, self.seed, self.device = plan, seed, device
        self.method, self.options, self.wanted = METHODS[wanted.method], wanted.options, wanted
        self.architecture = one_shot(searched(Space.from_json(wanted.space)))
        settings = settings_of(plan, self.method, self.options)
        for _, reason in objections(self.architecture, self.method, settings, self.options, plan.facts):
            raise infeasible(reason)
        self.settings: Settings = {**settings, "batch_size": batch_size}
        self.horizon: int = self.options["epochs"]
        partial = self.options.get("partial", 1)
        self.model = Supernet(self.architecture, self.method.mixture, self.settings, plan.facts, partial)
        initialize(self.model, self.settings["init"], stream(seed, "initialization"), self.settings)
        self.model.to(device)
        self.relaxation = relaxation_of(self.architecture, self.method, self.options, stream(seed, "alphas")).to(device)
        self.optimizer = cast("torch.optim.SGD", make_optimizer(self.model, self.settings))
        begin_momentum(self.optimizer)  # a step reaches only the weights of the operations that were drawn
        self.decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        self.update = UPDATES[self.method.update](self.relaxation, self.options)
        self.course = Course(0, [], [], None, 0, [])
        self.costs = self._costs()
        self.snapshots: dict[int, dict[str, Tensor]] = {}

    def _costs(self) -> dict[str, Tensor]:
        """What operations cost, where the method weighs that; whatever the data are, of which only the shape counts.
        Raises Failure INFEASIBLE where there is nothing to weigh."""
        kind = self.options.get("cost", "none")
        if kind == "none":
            return {}
        with torch.no_grad():  # all operations at once
            mixes = Softmax.mixes(cast("Softmax", self.relaxation), stream(self.seed, "alphas"))
        costs = costs_of(self.model, mixes, torch.zeros(2, *self.plan.facts.shape, device=self.device), kind)
        together = total(costs, self.relaxation.masks)
        if together <= (1 if self.options["cost_form"] == "multiply" else 0):
            raise infeasible(f"all operations together cost {together:g} ({kind}): no cost to weigh")
        return costs

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *([self.update.optimizer] if self.update.optimizer else [])]

    @property
    def over(self) -> bool:
        return self.course.epoch >= self.horizon or self.course.over

    @property
    def genotype(self) -> str:
        """The result so far."""
        found = self.course.genotype_of
        return self.course.genotypes[-1 if found is None else found]

    def prepare(self, data: Data) -> None:
        self.data = data
        self.model.standardize.fit(data.train.inputs)
        self.train, self.validation = halves(data.train, self.seed)

    def epoch(self) -> dict[str, float]:
        """One more: its metrics. Raises Failure DIVERGED at the first loss that is not finite."""
        number = self.course.epoch
        work, epoch = self._work(number), self._epoch(number)
        self.relaxation.begin(number, self.horizon)
        set_drop(self.model, drop_of(self.options, number, self.horizon))
        attach_noise(self.model, work.noise, self.settings["dropout_kind"])
        self.model.train()
        changes, turns = epoch.stream("augmentation"), epoch.stream("clip")
        losses, sizes = list[Tensor](), list[int]()
        lr = 0.0
        for step, (done, batch) in enumerate(epoch.batches()):
            lr = epoch.lr(done)
            batch = augmented(batch, self.settings, changes)
            self.update.before_weights(work, step, batch, lr)
            loss = work.of_weights(batch)
            if not torch.isfinite(loss):
                where = f"at step {step + 1} of {epoch.steps} in epoch {number + 1}"
                raise Failure(
                    FailureClass.DIVERGED, f"the supernet's training loss is {loss.item()} {where} (lr {lr:.3g})"
                )
            set_lr(self.optimizer, lr)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            clip_gradients(self.model.parameters(), self.settings, turns)
            self.optimizer.step()
            losses.append(loss.detach())
            sizes.append(len(batch))
        notes = {"lr": lr, **self.update.end_epoch(work)}
        train_loss = float(np.average([float(loss) for loss in losses], weights=sizes))
        found = self._found()
        notes |= self._look(number)
        self.course.genotypes.append(self.architecture.genotype(found))
        self.course.reported.append(self._metrics(train_loss, found, notes))
        self.course.epoch += 1
        self._answer_rise()
        return self.course.metrics

    def _metrics(self, train_loss: float, found: Config, notes: Mapping[str, float]) -> dict[str, float]:
        if self.relaxation.single:
            mixes = of_config(self.architecture, found, self.device)
        else:
            mixes = self.relaxation.mixes(stream(self.seed, "evaluation"))
        scores = self.model.scores(self.data.validation, mixes)
        metrics = {"train_loss": train_loss, **{f"val_{name}": value for name, value in scores.items()}, **notes}
        metrics |= metrics_of(self.relaxation, found)
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise Failure(FailureClass.DIVERGED, f"{name} is {value} after epoch {self.course.epoch + 1}")
        return metrics

    def _found(self) -> Config:
        """The architecture that the search has come to. Where nothing is learnt of it, the best of a few."""
        if not isinstance(self.relaxation, Uniform):
            return self.relaxation.discretized()
        draws = np.random.default_rng([self.seed, self.course.epoch])
        few = [self.architecture.sample(draws) for _ in range(PEEK)]
        glance = self.validation[: self.settings["batch_size"]]

        def score(config: Config) -> float:
            return self.model.scores(glance, of_config(self.architecture, config, self.device))["accuracy"]

        return max(few, key=score)

    def _look(self, number: int) -> dict[str, float]:
        """The curvature, where the method watches it; and what one may have to go back to."""
        every = self.options.get("every")
        if every is None or number % every:
            return {}
        rng = stream(self.seed, "curvature", number)
        batch = self.validation[: self.settings["batch_size"]].to(self.device)
        with evaluating(self.model):
            value = dominant_eigenvalue(
                lambda: self.model.loss(batch, self.relaxation.mixes(rng)), list(self.relaxation.parameters()), rng
            )
        self.course.looks.append((number, value))
        self.snapshots[number] = {name: tensor.clone() for name, tensor in self._learnt().items()}
        reach = self.rule.window + self.rule.patience - self.rule.window // 2
        within = {epoch for epoch, _ in self.course.looks[-reach:]}
        self.snapshots = {epoch: learnt for epoch, learnt in self.snapshots.items() if epoch in within}
        return {"curvature": value}

    @property
    def rule(self) -> Rule:
        return Rule(*(self.options[name] for name in ("window", "patience", "start", "rise")))

    def _answer_rise(self) -> None:
        if "response" not in self.options or not self.course.looks or self.course.looks[-1][0] != self.course.epoch - 1:
            return
        epoch = self.rule.risen_from(self.course.looks)
        if epoch is None:
            return
        self._learn(self.snapshots[epoch])  # what is ranked is what it was then
        if self.options["response"] == "stop":
            self.course.genotype_of = epoch
        else:  # from there again, with what is left of the epochs
            self.snapshots = {number: learnt for number, learnt in self.snapshots.items() if number <= epoch}
            # to earlier ones nobody can go back any more
            self.course.looks = [look for look in self.course.looks if look[0] in self.snapshots]
            self.course.genotypes[-1] = self.course.genotypes[epoch]  # where the search stands now
            self.course.rises += 1
            self._set_decay()
        kept = {name: self.course.metrics[name] for name in ("lr", "curvature")}
        self.course.reported[-1] = self._metrics(self.course.metrics["train_loss"], self._found(), kept)

    def _set_decay(self) -> None:
        for group, first in zip(self.optimizer.param_groups, self.decays, strict=True):
            group["weight_decay"] = min(first * TENFOLD**self.course.rises, max(first, MOST_DECAY))

    def _epoch(self, number: int) -> Epoch:
        def stream_of(purpose: Purpose, at: torch.device | None = None) -> torch.Generator:
            return stream(self.seed, purpose, number, at)

        return Epoch(
            number, self.horizon, self.train, self.settings, [self.optimizer], self.device, nullcontext, stream_of
        )

    def _work(self, number: int) -> Work:
        order = stream(self.seed, "validation_order", number)
        return Work(
            model=self.model,
            relaxation=self.relaxation,
            optimizer=self.optimizer,
            options=self.options,
            epoch=number,
            horizon=self.horizon,
            validation=cycled(self.validation, self.settings["batch_size"], order, self.device),
            draws=stream(self.seed, "architecture", number),
            noise=stream(self.seed, "dropout", number, self.device),
            perturbations=stream(self.seed, "perturbation", number),
            costs=self.costs,
        )

    def identity(self) -> Mapping[str, Any]:
        """What must be equal for one search to go on from another's checkpoint."""
        options = {name: value for name, value in self.options.items() if name not in RANKED}
        searched = {"method": self.method.name, "options": options, "space": self.wanted.space, "seed": self.seed}
        return {**self.plan.identity(), "supernet": searched}

    def checkpoint(self) -> Checkpoint:
        extra = {"course": self.course.packed(), "batch_size": torch.tensor(self.settings["batch_size"])}
        extra |= {f"cost/{kind}": cost for kind, cost in self.costs.items()}
        for epoch, tensors in self.snapshots.items():
            extra |= {f"snapshot/{epoch}/{name}": tensor for name, tensor in tensors.items()}
        return Checkpoint(
            self.identity(), self.course.epoch, self.course.metrics, self._states(), memories(self.optimizers), extra
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        self._load(checkpoint.model)
        remember(self.optimizers, checkpoint.optimizer)
        self.course = Course.unpacked(checkpoint.extra["course"])
        for name, tensor in checkpoint.extra.items():
            kind, _, rest = name.partition("/")
            if kind == "cost":
                self.costs[rest] = tensor.clone()
            elif kind == "snapshot":
                epoch, _, key = rest.partition("/")
                self.snapshots.setdefault(int(epoch), {})[key] = tensor.clone()
        self._set_decay()

    def _states(self) -> dict[str, Tensor]:
        parts = {"weights": self.model, "architecture": self.relaxation}
        return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}

    def _load(self, states: Mapping[str, Tensor]) -> None:
        for part, module in (("weights.", self.model), ("architecture.", self.relaxation)):
            module.load_state_dict({k.removeprefix(part): t for k, t in states.items() if k.startswith(part)})

    def _learnt(self) -> dict[str, Tensor]:
        """All that can be gone back to: states, and under `optimizer/` what the optimizers remember."""
        remembered = {
            f"optimizer/{index}/{name}": tensor
            for index, memory in memories(self.optimizers).items()
            for name, tensor in memory.items()
        }
        return {**self._states(), **remembered}

    def _learn(self, learnt: Mapping[str, Tensor]) -> None:
        self._load({name: tensor for name, tensor in learnt.items() if not name.startswith("optimizer/")})
        stored: dict[str, dict[str, Tensor]] = {}
        for name, tensor in learnt.items():
            if name.startswith("optimizer/"):
                _, index, key = name.split("/", 2)
                stored.setdefault(index, {})[key] = tensor
        remember(self.optimizers, stored)
