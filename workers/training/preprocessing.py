"""Inputs with mean 0 and variance 1: the first layer of every trained model, fitted on the training examples alone.

Being a layer, it travels in the checkpoint: what is evaluated later is scaled as the training was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - mean) / deviation, per channel of an image, per feature of a table. A constant feature is only centred."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        size = (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, inputs: Tensor) -> None:
        """`inputs` [n, *shape]"""
        over = [axis for axis in range(inputs.ndim) if axis != 1]
        deviation, mean = torch.std_mean(inputs.double(), dim=over, correction=0)
        deviation[deviation == 0] = 1
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.deviation.copy_(deviation.reshape(self.deviation.shape))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation
