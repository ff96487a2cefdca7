"""Nonlinearities: one table of functions of a number, and two units that are more than that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Abs(nn.Module):
    """|x|, the rectifier of K. Jarrett et al., What is the best multi-stage architecture for object recognition?"""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Swish(nn.Module):
    """x sigmoid(beta x)  (P. Ramachandran, B. Zoph and Q. Le, Searching for activation functions, 2017)"""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class Maxout(nn.Module):
    """[batch, pieces · channels, ...] -> [batch, channels, ...]: the largest of each `pieces` neighbours (I. Goodfellow
    et al., Maxout networks, 2013)."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1, self.pieces, *x.shape[2:]).amax(dim=2)


class RadialBasis(nn.Module):
    """[batch, inputs] -> [batch, outputs]: exp(-|x - c|² / (2 n s²)), n inputs; centres c and widths s are learnt
    (D. Broomhead and D. Lowe, Multivariable functional interpolation and adaptive networks, 1988).

    Centres begin as draws of N(0, 1), like standardized inputs, so that with width 1 the answers begin around exp(-1).
    """

    def __init__(self, inputs: int, outputs: int, width: float) -> None:
        super().__init__()
        self.width = width
        self.centre = nn.Parameter(torch.zeros(outputs, inputs))
        self.log_width = nn.Parameter(torch.zeros(outputs))

    def initialize(self, rng: torch.Generator) -> None:
        nn.init.normal_(self.centre, generator=rng)
        nn.init.constant_(self.log_width, math.log(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """|x - c|² is multiplied out: the differences themselves would take [batch, outputs, inputs]."""
        squares = x.square().sum(dim=1, keepdim=True) + self.centre.square().sum(dim=1)
        distance = (squares - 2 * x @ self.centre.T).clamp(min=0)
        return torch.exp(-distance / (2 * x.shape[1] * torch.exp(2 * self.log_width)))


# by the settings; None: more than a function of a number
ACTIVATIONS: Mapping[str, Callable[[Mapping[str, Any]], nn.Module] | None] = {
    "relu": lambda _: nn.ReLU(),
    "leaky_relu": lambda settings: nn.LeakyReLU(settings.get("leaky_slope", 0.01)),
    "prelu": lambda _: nn.PReLU(),
    "elu": lambda settings: nn.ELU(settings.get("elu_alpha", 1.0)),
    "selu": lambda _: nn.SELU(),
    "gelu": lambda _: nn.GELU(),
    "silu": lambda _: nn.SiLU(),
    "swish": lambda settings: Swish(settings.get("swish_beta", 1.0)),
    "softplus": lambda _: nn.Softplus(),
    "tanh": lambda _: nn.Tanh(),
    "hardtanh": lambda _: nn.Hardtanh(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "abs": lambda _: Abs(),
    "maxout": None,
    "rbf": None,
}

# what a training looks at for dead units
ACTIVATION_TYPES: tuple[type[nn.Module], ...] = (
    *{type(make({})) for make in ACTIVATIONS.values() if make is not None},
    Maxout,
    RadialBasis,
)


def pieces(settings: Mapping[str, Any]) -> int:
    """How many affine functions make a unit: the factor of a layer's outputs before `blocks.unit`."""
    return int(settings.get("maxout_pieces", 3)) if settings["activation"] == "maxout" else 1
