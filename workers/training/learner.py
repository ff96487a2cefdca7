"""What a family builds: a network with what it learns by and what it is judged by.

    build(settings, facts) -> Learner        raises Failure INFEASIBLE where the settings describe no network

A supervised family builds a network and hands it to `workers.training.supervised`. A family with a loss of its own is a
Learner with `forward`, `loss` and `evaluate`. What does not learn by descent on one loss (two players, a closed form,
an agent) also says how it spends an epoch, in `train_epoch`. The loop does the rest: order, schedule, health,
checkpoints.

Nothing draws from torch's global generator, which threads share: weights come from `initialize`, the noise of layers
from `attach_noise`, everything else from the streams of the `Epoch`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.rows import Facts
from workers.training.committee import Committee
from workers.training.descent import descend
from workers.training.inheritance import copy_common
from workers.training.optimizers import make_optimizer
from workers.training.schedules import batch_size, link, lr_factor
from workers.training.settings import Settings

Optimizers = list[torch.optim.Optimizer]


def _nothing(loss: Tensor) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch's work, and all that it may draw on.

    `number` counts from 0; the schedule is laid out over `horizon` epochs. `stream` makes this epoch's generator for a
    purpose: on the CPU, or on the device given. `notes` takes what the epoch finds out (`workers.tasks.HEALTH`).
    `lr_scale` is what the scores so far make of the learning rate. Where there is a `rate`, it says before each step
    what `lr` is, in place of the settings and the schedule; `hear` is told the loss of each step, after it.
    """

    number: int
    horizon: int
    examples: Examples
    settings: Settings
    optimizers: Optimizers
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]]
    stream: Callable[..., torch.Generator]
    notes: dict[str, float] = field(default_factory=dict)
    lr_scale: float = 1.0
    rate: Callable[[], float] | None = None
    hear: Callable[[Tensor], None] = _nothing

    def progress(self, done: float) -> float:
        """The part of the whole training that is done, in [0, 1), when the part `done` of this epoch is."""
        return (self.number + done) / self.horizon

    def lr(self, done: float) -> float:
        """The learning rate when the part `done` of this epoch is."""
        if self.rate is not None:
            return self.rate() * link(self.settings)
        factor = lr_factor(self.settings, self.progress(done)) * link(self.settings)
        return float(self.settings["lr"] * factor * self.lr_scale)

    @property
    def steps(self) -> int:
        return math.ceil(len(self.examples) / batch_size(self.settings, self.progress(0)))

    def batches(self) -> Iterator[tuple[float, Examples]]:
        """The examples in a new order, batch by batch, on the device; with each the part of the epoch that is done.

        The batches differ by at most one example in size, so that no step rests on a few left-overs.
        """
        order = self._order(self.stream("order")).to(self.examples.inputs.device)
        for step, batch in enumerate(order.tensor_split(self.steps)):
            yield step / self.steps, self.examples[batch].to(self.device)

    def _order(self, rng: torch.Generator) -> Tensor:
        """As many as there are examples: each once; or, where classes shall be balanced, any example of a class with
        the same probability, with replacement."""
        labels = self.examples.targets
        if not self.settings["balanced"] or labels is None or labels.ndim != 1 or labels.is_floating_point():
            return torch.randperm(len(self.examples), generator=rng)
        labels = labels.cpu()
        weights = 1 / labels.bincount()[labels].double()
        return torch.multinomial(weights, len(labels), replacement=True, generator=rng)


class Learner(nn.Module, ABC):
    """Made before any data is loaded, on the CPU; then moved to its device. Everything that it learns is a parameter
    or a buffer, so that its `state_dict` is all that a checkpoint needs."""

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__()
        self.settings, self.facts = settings, facts
        self.committee: Committee | None = None

    def prepare(self, data: Data) -> None:
        """Takes what must be known of the training examples before the first epoch, such as their mean, and what all
        examples share. Called for every training, whether it begins or goes on."""

    def begin(self, data: Data) -> None:
        """Gives the first weights what they take from the training examples, after `prepare`. Where a training goes on,
        those of the checkpoint then come in their place."""

    def inherit(self, weights: Mapping[str, Tensor], identity: Mapping[str, Any], rng: torch.Generator) -> None:
        """Takes over what fits of another network of its family, whose settings that are not mutable `identity` has, in
        JSON. Called once, before the first epoch. `rng` is on the CPU."""
        copy_common(self.state_dict(), weights)

    def response(self, inputs: Tensor) -> Tensor:
        """What the network itself says, in units of what it learns."""
        out: Tensor = self(inputs)
        return out

    @property
    def input_scale(self) -> Tensor:
        """How much the inputs vary, where that is known: what a small change of them is."""
        return torch.ones(())

    def optimizers(self) -> Optimizers:
        return [make_optimizer(self, self.settings)]

    def begin_epoch(self, epoch: Epoch) -> None:
        """Sets what changes from epoch to epoch, before the first step."""

    def train_epoch(self, epoch: Epoch) -> float:
        """One pass over the epoch's examples: the mean training loss. Raises Failure DIVERGED."""
        self.begin_epoch(epoch)
        return descend(self, epoch)

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """The answer to inputs [n, *shape] as the dataset has them; what it is, is the task's matter: class
        probabilities' logits, numbers in units of the target, reconstructions, log-probabilities."""

    @abstractmethod
    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        """What one step descends on: the mean over the batch. `rng` is on the CPU."""

    @abstractmethod
    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        """The task's scores (`workers.tasks`), by their names. `rng` is on the CPU and always in the same state."""
