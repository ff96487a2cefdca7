"""What networks are built from. A family is a module with one function:

    build(settings, inputs, outputs) -> nn.Module      inputs: shape of one example, outputs: the number of logits

It raises `workers.protocol.Failure` INFEASIBLE when the settings describe no network for these inputs. Nothing here
draws from torch's global generator, which threads share: weights come from `initialize`, noise from `attach_noise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workers.protocol import Failure, FailureClass

Settings = Mapping[str, Any]
Build = Callable[[Settings, tuple[int, ...], int], nn.Module]


def infeasible(reason: str) -> Failure:
    return Failure(FailureClass.INFEASIBLE, reason)


class Dropout(nn.Module):
    """Drops each unit with probability p and scales the others by 1 / (1 - p), in training only (Srivastava 2014)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        assert self.noise is not None, "attach_noise comes before training"
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.noise)
        return x * keep / (1 - self.p)


class Gate(nn.Linear):
    """A linear layer whose biases start at a given value instead of 0."""

    def __init__(self, inputs: int, outputs: int, bias: float) -> None:
        super().__init__(inputs, outputs)
        self.first_bias = bias


class Sparse(nn.Module):
    """A layer with weights that it never reads: `unread` of them."""

    unread: int


class Abs(nn.Module):
    """|x|, the rectifier of K. Jarrett et al., What is the best multi-stage architecture for object recognition?"""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "hardtanh": nn.Hardtanh,
    "sigmoid": nn.Sigmoid,
    "abs": Abs,
}


def activation(settings: Settings) -> nn.Module:
    return ACTIVATIONS[settings["activation"]]()


def norm(settings: Settings, channels: int, dimensions: int) -> nn.Module:
    """Normalizes [batch, channels, *dimensions positions]; the identity when there is none."""
    match settings["norm"]:
        case "batch":  # S. Ioffe and C. Szegedy 2015
            if settings["batch_size"] == 1 and dimensions == 0:
                raise infeasible("batch normalization needs more than one example per batch: batch_size is 1")
            return nn.BatchNorm1d(channels) if dimensions == 0 else nn.BatchNorm2d(channels)
        case "layer":  # J. Ba, J. Kiros and G. Hinton 2016; over channels and positions
            return nn.GroupNorm(1, channels)
        case "group":  # Y. Wu and K. He 2018
            groups = min(settings["norm_groups"], channels)
            return nn.GroupNorm(next(g for g in range(groups, 0, -1) if channels % g == 0), channels)
        case _:
            return nn.Identity()


def dense(settings: Settings, inputs: int, outputs: int) -> nn.Sequential:
    """[batch, inputs] -> [batch, outputs]: affine, norm, activation, dropout."""
    return nn.Sequential(
        nn.Linear(inputs, outputs),
        norm(settings, outputs, dimensions=0),
        activation(settings),
        Dropout(settings["dropout"]),
    )


def initialize(model: nn.Module, init: str, rng: torch.Generator) -> None:
    """Draws the weights of all affine layers; biases become 0. The other modules start as constants.

    he: N(0, 2/m), m inputs per unit (K. He et al. 2015); xavier: variance 2/(m+n) (X. Glorot and Y. Bengio 2010);
    inverse_sqrt: U(±1/√m); orthogonal: A. Saxe et al. 2014. The last affine layer feeds no rectifier, so it gets
    N(0, 1/m) in place of he.
    """
    affine = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for module in affine:
        weight = module.weight
        bound = 1 / math.sqrt(weight[0].numel())
        match init:
            case "he":
                gain = 1 if module is affine[-1] else math.sqrt(2)
                nn.init.normal_(weight, std=gain * bound, generator=rng)
            case "xavier_normal":
                nn.init.xavier_normal_(weight, generator=rng)
            case "xavier_uniform":
                nn.init.xavier_uniform_(weight, generator=rng)
            case "inverse_sqrt":
                nn.init.uniform_(weight, -bound, bound, generator=rng)
            case "orthogonal":
                nn.init.orthogonal_(weight, generator=rng)
            case _:
                raise AssertionError(f"no initialization {init!r}")
        if module.bias is not None:
            nn.init.constant_(module.bias, module.first_bias if isinstance(module, Gate) else 0.0)


def attach_noise(model: nn.Module, noise: torch.Generator) -> None:
    """All random units of the model draw from this generator from now on; it must be on the model's device."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.noise = noise


def parameter_count(model: nn.Module) -> int:
    """How many numbers training fits. What is there but never read is not among them."""
    unread = sum(module.unread for module in model.modules() if isinstance(module, Sparse))
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) - unread
