"""The range of the inputs, and the ways to corrupt them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings
from workers.rows import Inputs
from workers.training.preprocessing import Standardize


class Range(nn.Module):
    """Where inputs lie: pixels from 0 to 1, features as the training examples have them. `blank` is what an input is
    that says nothing: a black pixel, the feature's mean."""

    low: Tensor
    high: Tensor
    blank: Tensor

    def __init__(self, inputs: Inputs, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.pixels = inputs == "image"
        size = (1,) * len(shape) if self.pixels else shape
        self.register_buffer("low", torch.zeros(size))
        self.register_buffer("high", torch.ones(size))
        self.register_buffer("blank", torch.zeros(size))

    def fit(self, inputs: Tensor) -> None:
        """`inputs` [n, *shape]; NaN is passed over."""
        if self.pixels:
            return
        low = inputs.nan_to_num(nan=math.inf).amin(dim=0).to(self.low.device)
        high = inputs.nan_to_num(nan=-math.inf).amax(dim=0).to(self.low.device)
        self.low.copy_(low.nan_to_num(posinf=0.0))  # 0 to 1 where all is missing
        self.high.copy_(torch.where(high > low, high, self.low + 1))
        self.blank.copy_(inputs.double().nanmean(dim=0).nan_to_num())

    def down(self, x: Tensor) -> Tensor:
        """From units of the inputs to [0, 1]; what is missing to `blank`."""
        shown = torch.where(x.isnan(), self.blank, x)
        return ((shown - self.low) / (self.high - self.low)).clamp(0, 1)

    def up(self, unit: Tensor) -> Tensor:
        """From [0, 1] to units of the inputs."""
        return self.low + unit * (self.high - self.low)


def corrupted(x: Tensor, settings: Settings, standardize: Standardize, within: Range, rng: torch.Generator) -> Tensor:
    """Inputs [n, *shape] with noise, in the same units. `rng` is on the CPU, so the device makes no difference.

    gauss: plus noise; mask: some become blank; salt_pepper: some become the lowest or the highest value.
    """
    level = settings["corruption_level"]
    if settings["corruption"] == "gauss":
        noise = torch.randn(x.shape, generator=rng, dtype=x.dtype).to(x.device)
        noisy: Tensor = x + level * standardize.deviation * noise
        return noisy
    u = torch.rand(x.shape, generator=rng, dtype=x.dtype).to(x.device)
    if settings["corruption"] == "mask":
        return torch.where(u < level, within.blank, x)
    salt = torch.where(u < level / 2, within.high, within.low)
    return torch.where(u < level, salt, x)
