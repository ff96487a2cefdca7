"""How weights are held small, in any optimizer that `make_optimizer` makes.

l2           gradient + c w: the penalty c/2 |w|²
decoupled    w (1 - lr c) beside the step (I. Loshchilov and F. Hutter, Decoupled weight decay regularization, 2019)
l1           gradient + c sign(w): the penalty c |w|₁, which makes weights 0 (R. Tibshirani 1996)
elastic      both penalties, l1 with the share a: gradient + c (a sign(w) + (1 - a) w)  (H. Zou and T. Hastie 2005)
max_norm     after the step, the weights into each unit have norm m at most (N. Srivastava et al., Dropout, 2014)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def decaying(model: nn.Module, settings: Mapping[str, Any]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that decay and the others: biases, gains and slopes, all that is no matrix, only if they shall."""
    yes, no = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim > 1 and not name.endswith("weight.original0")  # the lengths that weight norm learns
        (yes if matrix or settings["decay_biases"] else no).append(parameter)
    return yes, no


def attach_decay(
    optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter], settings: Mapping[str, Any]
) -> None:
    """What happens around each step, where the optimizer itself does not do it."""
    strength, weights = settings["weight_decay"], list(weights)
    match settings["decay"]:
        case "decoupled" if strength and not isinstance(optimizer, torch.optim.AdamW):
            optimizer.register_step_pre_hook(lambda o, *_: shrink(weights, 1 - o.param_groups[0]["lr"] * strength))
        case "l1" | "elastic" if strength and not isinstance(optimizer, torch.optim.LBFGS):
            share = l1_share(settings)
            optimizer.register_step_pre_hook(lambda *_: add_penalty(weights, strength, share))
        case "max_norm":
            optimizer.register_step_post_hook(lambda *_: bound(weights, settings["max_norm"]))


def l1_share(settings: Mapping[str, Any]) -> float:
    return {"l1": 1.0, "elastic": float(settings.get("l1_share", 0.5))}.get(settings["decay"], 0.0)


@torch.no_grad()
def shrink(weights: Sequence[Tensor], factor: float) -> None:
    if weights:
        torch._foreach_mul_(list(weights), factor)


@torch.no_grad()
def add_penalty(weights: Sequence[Tensor], strength: float, share: float) -> None:
    for weight in weights:
        if weight.grad is not None:
            weight.grad.add_(weight.sign(), alpha=strength * share).add_(weight, alpha=strength * (1 - share))


@torch.no_grad()
def bound(weights: Sequence[Tensor], most: float) -> None:
    for weight in weights:
        if weight.ndim > 1:
            length = torch.linalg.vector_norm(weight.flatten(1), dim=1).clamp(min=1e-12)
            weight.mul_((most / length).clamp(max=1).reshape(-1, *(1 for _ in weight.shape[1:])))


def penalty(weights: Sequence[Tensor], settings: Mapping[str, Any]) -> Tensor | float:
    """c (a |w|₁ + (1 - a)/2 |w|²), for an optimizer that looks at the loss itself."""
    share, strength = l1_share(settings), float(settings["weight_decay"])
    if not strength or settings["decay"] == "none":
        return 0.0
    penalties = [share * w.abs().sum() + (1 - share) / 2 * w.square().sum() for w in weights]
    return strength * torch.stack(penalties).sum()
