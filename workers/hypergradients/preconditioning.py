"""By how much an optimizer stretches a gradient that stays: the diagonal P of a step  - lr P g, once momentum has run
in (without the constant that momentum adds). The states are those of torch's optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOST = 100  # times the median: weights stretched more had no gradient to speak of, and their part is noise


def stretch_of(optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter]) -> Tensor | None:
    """[n]; None for one that takes gradients as they are, or has none seen yet."""
    if isinstance(optimizer, torch.optim.SGD) or not optimizer.state:
        return None
    groups = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    parts = [_stretch(optimizer, optimizer.state[weight], groups[id(weight)]) for weight in weights]
    stretch = torch.cat([part.flatten() for part in parts])
    return stretch.clamp(max=MOST * float(stretch.median()))


def _stretch(optimizer: torch.optim.Optimizer, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    remembered: dict[str, Tensor] = state
    eps: float = group["eps"]
    match optimizer:
        case torch.optim.Adam() | torch.optim.AdamW():
            seen: float = 1 - group["betas"][1] ** float(remembered["step"])
            return ((remembered["exp_avg_sq"] / seen).sqrt() + eps).reciprocal()
        case torch.optim.Adamax():
            return (remembered["exp_inf"] + eps).reciprocal()
        case torch.optim.RMSprop():
            return (remembered["square_avg"].sqrt() + eps).reciprocal()
        case torch.optim.Adagrad():
            return (remembered["sum"].sqrt() + eps).reciprocal()
        case torch.optim.Adadelta():
            return ((remembered["acc_delta"] + eps) / (remembered["square_avg"] + eps)).sqrt()
        case unknown:
            raise AssertionError(f"no stretch of {unknown}")
