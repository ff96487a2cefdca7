"""What models of a distribution share: binary pixels, log-probabilities, divergences. All in nats, per example."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.rows import Inputs

LOG_2PI = math.log(2 * math.pi)


class Binarize(nn.Module):
    """1 where an input is more than half, else 0: half of full brightness for pixels, else the middle of the training
    examples' range, feature by feature. What is missing (NaN) becomes 0."""

    threshold: Tensor

    def __init__(self, inputs: Inputs, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.pixels = inputs == "image"
        self.register_buffer("threshold", torch.full((1,) * len(shape) if self.pixels else shape, 0.5))

    def fit(self, inputs: Tensor) -> None:
        """`inputs` [n, *shape]"""
        if not self.pixels:
            low = inputs.nan_to_num(nan=math.inf).amin(dim=0)
            high = inputs.nan_to_num(nan=-math.inf).amax(dim=0)
            self.threshold.copy_(((low + high) / 2).nan_to_num(nan=0.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) of independent x in {0, 1}: [n, ...] -> [n]"""
    return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """log N(x; mean, diag deviation²): broadcasts, and sums over the last dimension."""
    scaled = (x - mean) * torch.exp(-log_deviation)
    return -(0.5 * scaled.square() + log_deviation + 0.5 * LOG_2PI).sum(dim=-1)


def gaussian_kl(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL(N(mean, diag deviation²) || N(0, I)), dimension by dimension: [...] -> [...]"""
    return 0.5 * (mean.square() + torch.exp(2 * log_deviation) - 1) - log_deviation
