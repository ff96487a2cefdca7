"""Noise on the weights while a gradient is found: it is the gradient of a wide valley, not of a point (A. Murray and
P. Edwards 1994; K. Jim, C. Giles and B. Horne, An analysis of noise in recurrent neural networks, 1996)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def disturbed(model: nn.Module, deviation: float, rng: torch.Generator) -> Iterator[None]:
    """Within, each matrix w of the model is w + N(0, (deviation · r)²), r the root mean square of w. `rng` is on the
    CPU."""
    if deviation == 0:
        yield
        return
    weights: list[Tensor] = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            noise = torch.randn(weight.shape, generator=rng).to(weight.device)
            weight.add_(noise * (deviation * weight.square().mean().sqrt()))
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)
