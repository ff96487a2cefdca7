"""Batch norms of a network that is looked at without being trained: by the statistics of the batch, nothing remembered.

torch's formula for their second derivatives takes the statistics for constants, so that third ones are wrong. Written
out, a norm has derivatives of any order; it takes more time and memory. (Those of torch's group norm are right.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def by_batch(model: nn.Module) -> Iterator[None]:
    """Within, norms in training remember nothing of the batch."""
    layers = [layer for layer in batch_norms(model) if layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def written_out(model: nn.Module) -> Iterator[None]:
    """Within, norms in training remember nothing of the batch, and have third derivatives."""
    layers = [layer for layer in batch_norms(model) if layer.training]
    for layer in layers:
        layer.forward = partial(normalized, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # that of its class is back


def normalized(layer: _BatchNorm, x: Tensor) -> Tensor:
    """[n, channels, ...] -> the same shape: mean 0 and variance 1 per channel, then the layer's gains and biases."""
    others = [0, *range(2, x.ndim)]
    centred = x - x.mean(others, keepdim=True)
    out: Tensor = centred * torch.rsqrt(centred.square().mean(others, keepdim=True) + layer.eps)
    if layer.affine:
        of_channels = [1, -1, *[1] * (x.ndim - 2)]
        out = out * layer.weight.view(of_channels) + layer.bias.view(of_channels)
    return out
