"""Settings that a loss may be differentiated by: floats, or tensors where gradients tune them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Strength = float | Tensor
"""A tensor has no dimensions."""


def absent(strength: Strength) -> bool:
    """Whether it changes nothing. A tensor may: even where it is 0 it has a derivative."""
    return not isinstance(strength, Tensor) and strength == 0


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: Strength) -> Tensor:
    """Mean cross-entropy of logits [n, classes] with targets [n] that give `smoothing` of their mass to all classes
    alike, nats."""
    if not isinstance(smoothing, Tensor):
        return nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    logs = nn.functional.log_softmax(logits, dim=1)
    return torch.lerp(nn.functional.nll_loss(logs, targets), -logs.mean(), smoothing)
