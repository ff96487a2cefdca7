"""Inputs with mean 0 and variance 1: the first layer of every trained model, fitted on the training examples alone.

Being a layer, it travels in the checkpoint: what is evaluated later is scaled as the training was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PART = 4096


class Standardize(nn.Module):
    """(x - mean) / deviation: per channel of an image [channels, height, width], per feature of a table [features] or
    of a sequence [steps, features]. A constant feature is only centred; what is missing (NaN) becomes the mean."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.axis = 1 if len(shape) != 2 else 2
        size = (1, shape[1]) if len(shape) == 2 else (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, inputs: Tensor) -> None:
        """`inputs` [n, *shape]"""
        over = [axis for axis in range(inputs.ndim) if axis != self.axis]
        # part by part: in float64 a copy of all would take more than the inputs themselves
        parts = torch.split(inputs, PART)
        count = torch.stack([(~part.isnan()).sum(dim=over) for part in parts]).sum(dim=0)
        total = torch.stack([part.double().nansum(dim=over) for part in parts]).sum(dim=0)
        mean = (total / count).nan_to_num()
        shown = mean.reshape(self.mean.shape)
        squares = torch.stack([(part.double() - shown).square().nansum(dim=over) for part in parts]).sum(dim=0)
        deviation = (squares / count).sqrt().nan_to_num()
        deviation[deviation == 0] = 1
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.deviation.copy_(deviation.reshape(self.deviation.shape))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.deviation).nan_to_num(nan=0.0)
