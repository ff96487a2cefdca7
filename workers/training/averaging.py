"""The mean of the weights along the way, which is what answers.

ema  over the steps: m + r (w - m); r begins larger, so that the first weights are soon forgotten
     (B. Polyak and A. Juditsky 1992; the warm-up is that of TensorFlow's ExponentialMovingAverage)
swa  over the ends of the last epochs, all alike; what batch normalization knows of the layers is found anew for the
     mean (P. Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from workers.data.loading import Examples
from workers.training.settings import Settings

if TYPE_CHECKING:
    from workers.training.learner import Learner

PASS = 1024  # examples per batch of the pass that finds batch statistics


class Averaging:
    """Of a learner that has its data and its optimizers. `means` are of all floating numbers of its state."""

    def __init__(self, learner: Learner, optimizers: list[torch.optim.Optimizer], settings: Settings) -> None:
        self.kind, self.settings = settings["averaging"], settings
        self.learner = learner
        self.live: dict[str, Tensor] = {}
        if self.kind in ("ema", "swa"):
            self.live = {name: t for name, t in learner.state_dict().items() if t.is_floating_point()}
        self.means = {name: tensor.clone() for name, tensor in self.live.items()}
        self.seen = 0
        if self.kind == "ema":
            optimizers[-1].register_step_post_hook(lambda *_: self._step())

    def _step(self) -> None:
        self._move(max(self.settings["ema_rate"], 9 / (10 + self.seen)))

    def end_epoch(self, progress: float) -> None:
        if self.kind == "swa" and progress > self.settings["swa_from"]:
            self._move(1 / (self.seen + 1))

    @torch.no_grad()
    def _move(self, rate: float) -> None:
        torch._foreach_lerp_(list(self.means.values()), list(self.live.values()), rate)
        self.seen += 1

    @contextmanager
    def in_effect(self, train: Examples) -> Iterator[None]:
        """Within, the learner has the means for weights, if there are any yet."""
        if self.seen == 0:
            yield
            return
        kept = {name: tensor.clone() for name, tensor in self.learner.state_dict().items()}
        with torch.no_grad():
            torch._foreach_copy_(list(self.live.values()), list(self.means.values()))
            if self.kind == "swa":
                find_batch_statistics(self.learner, train)
        try:
            yield
        finally:
            self.learner.load_state_dict(kept)

    def state(self) -> dict[str, Tensor]:
        return {"seen": torch.tensor(self.seen), **self.means} if self.kind in ("ema", "swa") else {}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self.live:
            self.seen = int(state["seen"])
            for name, mean in self.means.items():
                mean.copy_(state[name])


def find_batch_statistics(model: Learner, train: Examples) -> None:
    """One pass over the training examples, in which only the layers with batch statistics are in training."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    device = next(model.parameters()).device
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
        layer.train()
    committee = model.committee
    model.committee = None  # its members have statistics of their own
    for part in torch.arange(len(train)).tensor_split(math.ceil(len(train) / PASS)):
        model(train[part.to(train.inputs.device)].to(device).inputs)
    model.committee = committee
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
