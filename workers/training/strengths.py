"""Settings that a loss may be differentiated by: floats, or tensors where gradients tune them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Strength = float | Tensor
"""A tensor has no dimensions."""


def absent(strength: Strength) -> bool:
    """Whether it changes nothing. A tensor may: even where it is 0 it has a derivative."""
    return not isinstance(strength, Tensor) and strength == 0


def linear(loss: Callable[[float], Tensor], strength: Strength) -> Tensor:
    """A loss that is linear in a strength from 0 to 1, and takes only numbers."""
    return torch.lerp(loss(0.0), loss(1.0), strength) if isinstance(strength, Tensor) else loss(strength)


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: Strength) -> Tensor:
    """Mean cross-entropy of logits [n, classes] with targets [n] that give `smoothing` of their mass to all classes
    alike, nats."""
    return linear(lambda s: nn.functional.cross_entropy(logits, targets, label_smoothing=s), smoothing)
