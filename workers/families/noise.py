"""Units that are random in training. All of a network draw from one generator, which `attach_noise` gives them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.training.strengths import Strength, absent


class Random(nn.Module):
    """Draws from `noise`, in training only."""

    noise: torch.Generator | None = None

    def generator(self) -> torch.Generator:
        assert self.noise is not None, "attach_noise comes before training"
        return self.noise


class Dropout(Random):
    """bernoulli: drops each unit with probability p and scales the others by 1 / (1 - p); gaussian: multiplies each
    unit by N(1, p / (1 - p)), noise of the same mean and variance (N. Srivastava et al., Dropout, 2014)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.kind = "bernoulli"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.kind == "gaussian":
            return x * torch.empty_like(x).normal_(1, math.sqrt(self.p / (1 - self.p)), generator=self.generator())
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator())
        return x * keep / (1 - self.p)


class PathDrop(Dropout):
    """Drops the whole of an example and scales the others by 1 / (1 - p)  (G. Huang et al., Deep networks with
    stochastic depth, 2016, per example)"""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * super().forward(x.new_ones(len(x), 1, 1, 1))


class Noise(Random):
    """x + N(0, deviation²)  (C. Bishop, Training with noise is equivalent to Tikhonov regularization, 1995)

    `name` is that of the hyperparameter which says how much."""

    def __init__(self, name: str, deviation: Strength) -> None:
        super().__init__()
        self.name = name
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or absent(self.deviation):
            return x
        return x + torch.empty_like(x).normal_(generator=self.generator()) * self.deviation


def attach_noise(model: nn.Module, noise: torch.Generator, dropout_kind: str = "bernoulli") -> None:
    """All random units of the model draw from this generator from now on; it must be on the model's device."""
    for module in model.modules():
        if isinstance(module, Random):
            module.noise = noise
        if isinstance(module, Dropout):
            module.kind = dropout_kind
