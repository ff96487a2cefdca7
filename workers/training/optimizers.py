"""From the settings to one of torch's optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def make_optimizer(model: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Weights decay; biases, gains and slopes (all that is no matrix) do not. The learning rate is set step by step.

    adam: D. Kingma and J. Ba 2015; adamw: I. Loshchilov and F. Hutter 2019; adagrad: J. Duchi et al. 2011;
    adadelta: M. Zeiler 2012; rmsprop: T. Tieleman and G. Hinton 2012.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings["weight_decay"]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    momentum, betas, rho = settings["momentum"], (settings["beta1"], settings["beta2"]), settings["rho"]
    match settings["optimizer"]:
        case "sgd":
            nesterov = settings["nesterov"] and momentum > 0
            return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, fused=True)
        case "adam":
            return torch.optim.Adam(groups, betas=betas, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, betas=betas, fused=True)
        case "adamax":
            return torch.optim.Adamax(groups, betas=betas)
        case "rmsprop":
            return torch.optim.RMSprop(groups, alpha=rho, momentum=momentum)
        case "adagrad":
            return torch.optim.Adagrad(groups)
        case "adadelta":
            return torch.optim.Adadelta(groups, rho=rho)
        case unknown:
            raise AssertionError(f"no optimizer {unknown!r}")


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Where a training goes on with momentum and had none before, it starts from rest."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum", 0) > 0 else ():
            state = optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def clip_gradients(parameters: Iterable[nn.Parameter], settings: Mapping[str, Any]) -> None:
    """R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks, 2013."""
    match settings["clip"]:
        case "norm":
            nn.utils.clip_grad_norm_(parameters, settings["clip_norm"])
        case "value":
            nn.utils.clip_grad_value_(parameters, settings["clip_value"])
