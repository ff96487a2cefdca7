"""The network that is trained while its hyperparameters descend: its recipe with strengths in place of numbers.

A look is one batch with a key, from which everything random of it follows: the same look is the same function of the
weights and the strengths at every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from workers.data.loading import Examples
from workers.families.blocks import Noise, attach_noise, infeasible
from workers.hypergradients.gradient import OF_DECAY, Decay
from workers.hypergradients.norms import batch_norms, by_batch, written_out
from workers.hypergradients.preconditioning import stretch_of
from workers.hypergradients.solvers import Product
from workers.training.adversarial import robust_loss
from workers.training.assembly import assemble
from workers.training.augmentation import augmented
from workers.training.decay import add_penalty, decaying, l1_share, shrink
from workers.training.learner import Learner
from workers.training.optimizers import clip_gradients, make_optimizer, set_lr, set_momentum
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import stream
from workers.training.weight_noise import disturbed

PENALTIES = ("l2", "decoupled", "l1", "elastic")
PLAIN: Mapping[str, Any] = {"label_smoothing": 0.0}  # what of the loss itself is there for training alone

NOTHING = torch.zeros(0, dtype=torch.float64)

Values = Mapping[str, float]


@dataclass(frozen=True)
class Look:
    batch: Examples
    key: int


@dataclass(frozen=True)
class Slopes:
    """The training loss without its decay, and its derivatives by the weights [n]."""

    loss: float
    weights: Tensor


class Network:
    """`highest` are the tuned hyperparameters at their highest values. Raises Failure INFEASIBLE when the settings
    describe no network, or one that does not descend on one loss step by step."""

    def __init__(self, plan: Plan, settings: Settings, highest: Values, seed: int, device: torch.device) -> None:
        self.settings = settings
        rng = stream(seed, "initialization")
        # a unit without noise is built without the means for it
        learner = assemble(plan.family, {**settings, **highest}, plan.facts, rng).to(device)
        if type(learner).train_epoch is not Learner.train_epoch:
            raise infeasible(f"{plan.family.name} does not descend on one loss: nothing can be tuned by its gradient")
        if settings["optimizer"] == "lbfgs":
            raise infeasible("lbfgs takes no steps between which hyperparameters could move: choose another optimizer")
        learner.settings = settings
        self.learner, self.device = learner, device
        self.strengths = tuple(name for name in highest if name not in OF_DECAY)
        self.weights = [weight for weight in learner.parameters() if weight.requires_grad]
        self.decaying = decaying(learner, settings)[0]
        self.decays = settings["decay"] in PENALTIES
        without = {**settings, "decay": "none", "weight_decay": 0.0} if self.decays else settings
        self.optimizer = make_optimizer(learner, without)

    def step(self, look: Look, values: Values, lr: float, progress: float, turns: torch.Generator) -> float:
        """One of the weights, as the recipe says: the loss before it. Not taken where the loss is not finite."""
        found = self.slopes(look, values)
        if not math.isfinite(found.loss):
            return found.loss
        for weight, slope in zip(self.weights, _parts(found.weights, self.weights), strict=True):
            weight.grad = slope
        set_lr(self.optimizer, lr)
        set_momentum(self.optimizer, self.settings, progress)
        clip_gradients(self.weights, self.settings, turns)
        if self.decays:
            settings = {**self.settings, **values}
            if settings["decay"] == "decoupled":
                shrink(self.decaying, 1 - lr * settings["weight_decay"])
            else:
                add_penalty(self.decaying, settings["weight_decay"], l1_share(settings))
        self.optimizer.step()
        return found.loss

    def slopes(self, look: Look, values: Values) -> Slopes:
        with self._strengthened(look, values) as (ask, _):
            loss = ask()
            found = torch.autograd.grad(loss, self.weights, materialize_grads=True)
        return Slopes(float(loss.detach()), _flat(found))

    @contextmanager
    def _strengthened(self, look: Look, values: Values) -> Iterator[tuple[Callable[[], Tensor], list[Tensor]]]:
        """Within, the network is in training: its loss at a look, and the strengths that this follows from. Gradients
        are asked for inside, where noise lies on the weights."""
        like = self.weights[0]
        strengths = {name: like.new_tensor(values[name], requires_grad=True) for name in self.strengths}
        draws = {name: stream(look.key, name) for name in ("augmentation", "loss", "adversarial", "weight_noise")}
        self.learner.train()
        attach_noise(self.learner, stream(look.key, "dropout", 0, self.device), self.settings["dropout_kind"])
        with (
            self._strong(strengths) as settings,
            disturbed(self.learner, settings["weight_noise"], draws["weight_noise"]),
        ):

            def loss() -> Tensor:
                batch = augmented(look.batch, settings, draws["augmentation"])
                return robust_loss(self.learner, batch, settings, draws["loss"], draws["adversarial"])

            yield loss, list(strengths.values())

    def held_out(self, batch: Examples, key: int) -> Tensor:
        """[n]: the derivatives of the plain loss of held-out examples, without noise. Norms use the batch's statistics:
        what these layers remember would make the length of the weights before them count, which it does not."""
        self.learner.eval()
        with self._strong(PLAIN), by_batch(self.learner):
            for layer in batch_norms(self.learner):
                layer.train()
            loss = self.learner.loss(batch, stream(key, "loss"))
            return _flat(torch.autograd.grad(loss, self.weights, materialize_grads=True))

    @contextmanager
    def curved(self, look: Look, values: Values) -> Iterator[tuple[Product, Product]]:
        """Within, second derivatives of the training loss without its decay, times a direction of the weights [n]: by
        the weights [n], by the strengths [names]. Where units have kinks, nothing is said of these (as usual: a
        difference of gradients would meet them, and be noise)."""
        # whose loss has a first derivative in it, so that a third one is asked for
        norms = written_out if self.settings["adversarial"] == "double_backprop" else by_batch
        with self._strengthened(look, values) as (loss, strengths), norms(self.learner):

            @cache  # not asked for where only decay is tuned, one step ahead
            def slope() -> Tensor:
                return _flat(torch.autograd.grad(loss(), self.weights, create_graph=True, materialize_grads=True))

            def times(direction: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
                along = slope().dot(direction)
                return torch.autograd.grad(along, leaves, retain_graph=True, materialize_grads=True)

            yield (
                lambda direction: _flat(times(direction, self.weights)),
                lambda direction: _stacked(times(direction, strengths)) if strengths else NOTHING,
            )

    def decay(self, values: Values) -> Decay | None:
        if not self.decays:
            return None
        settings = {**self.settings, **values}
        chosen = {id(weight) for weight in self.decaying}
        marks = [torch.full_like(weight, id(weight) in chosen) for weight in self.weights]
        return Decay(
            settings["weight_decay"], l1_share(settings), settings["decay"] == "decoupled", self.flat(), _flat(marks)
        )

    def stretch(self) -> Tensor | None:
        return stretch_of(self.optimizer, self.weights)

    def flat(self) -> Tensor:
        """The weights [n], a copy."""
        return parameters_to_vector(self.weights).detach().clone()

    @contextmanager
    def _strong(self, strengths: Mapping[str, Any]) -> Iterator[Settings]:
        """Within, the network has these strengths."""
        settings = {**self.settings, **strengths}
        noises = [each for each in self.learner.modules() if isinstance(each, Noise) and each.name in strengths]
        kept = [noise.deviation for noise in noises]
        for noise in noises:
            noise.deviation = strengths[noise.name]
        self.learner.settings = settings
        try:
            yield settings
        finally:
            self.learner.settings = self.settings
            for noise, deviation in zip(noises, kept, strict=True):
                noise.deviation = deviation


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _stacked(numbers: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(numbers)).double().cpu()


def _parts(flat: Tensor, like: list[nn.Parameter]) -> list[Tensor]:
    parts = torch.split(flat, [weight.numel() for weight in like])
    return [part.view_as(weight) for part, weight in zip(parts, like, strict=True)]
