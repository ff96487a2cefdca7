"""The multilayer perceptron: affine layers and nonlinearities, with optional connections around the hidden layers.

none      h' = f(h)
residual  h' = f(h) + P h                  P: the identity, or a projection where the widths differ
highway   h' = T(h) f(h) + (1 - T(h)) P h  T: a sigmoid gate
dense     h' = f([x, h1, h2, ...])         all earlier outputs side by side
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Gate, Settings, dense
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """[batch, *inputs] -> [batch, outputs]"""
    widths = layer_widths(settings["shape"], settings["depth"], settings["width"], outputs)
    features = math.prod(inputs)
    if settings["skip"] == "dense" and len(widths) > 1:
        hidden: nn.Module = DenselyConnected(settings, features, widths)
        features += sum(widths)
    else:
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            layer = dense(settings, features, width)
            layers.append(layer if index == 0 else with_skip(settings, layer, features, width))
            features = width
        hidden = nn.Sequential(*layers)
    return nn.Sequential(nn.Flatten(), hidden, nn.Linear(features, outputs))


def layer_widths(shape: str, depth: int, width: int, outputs: int) -> list[int]:
    """Units per hidden layer. A funnel narrows evenly towards the outputs; a diamond is widest in the middle."""
    match shape:
        case "funnel":
            return [max(1, round(outputs + (width - outputs) * (depth - i) / depth)) for i in range(depth)]
        case "diamond":
            half = [1 - abs(2 * (i + 1) / (depth + 1) - 1) / 2 for i in range(depth)]  # between 1/2 and 1
            return [max(1, round(width * part / max(half))) for part in half]
        case _:
            return [width] * depth


def with_skip(settings: Settings, layer: nn.Module, inputs: int, outputs: int) -> nn.Module:
    """The layer with the connection around it that the settings ask for."""
    match settings["skip"]:
        case "residual":
            return Residual(layer, inputs, outputs)
        case "highway":
            return Highway(layer, inputs, outputs, settings["highway_bias"])
        case _:
            return layer


class Residual(nn.Module):
    """f(h) + P h  (K. He et al., Deep residual learning for image recognition, 2016)"""

    def __init__(self, layer: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = layer
        self.carry = projection(inputs, outputs)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.layer(h) + self.carry(h)
        return out


class Highway(nn.Module):
    """T(h) f(h) + (1 - T(h)) P h  (R. Srivastava, K. Greff and J. Schmidhuber, Highway networks, 2015)"""

    def __init__(self, layer: nn.Module, inputs: int, outputs: int, gate_bias: float) -> None:
        super().__init__()
        self.layer = layer
        self.gate = Gate(inputs, outputs, gate_bias)
        self.carry = projection(inputs, outputs)

    def forward(self, h: Tensor) -> Tensor:
        transform = torch.sigmoid(self.gate(h))
        out: Tensor = transform * self.layer(h) + (1 - transform) * self.carry(h)
        return out


class DenselyConnected(nn.Module):
    """Each layer reads the inputs and all earlier layers (G. Huang et al., Densely connected networks, 2017).

    [batch, inputs] -> [batch, inputs + sum of widths]
    """

    def __init__(self, settings: Settings, inputs: int, widths: list[int]) -> None:
        super().__init__()
        layers = [dense(settings, inputs + sum(widths[:i]), width) for i, width in enumerate(widths)]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def projection(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)
