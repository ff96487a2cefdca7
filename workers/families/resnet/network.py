"""The residual network with norm and activation before each convolution.

    x' = S x + D E f(x)            K. He et al., Identity mappings in deep residual networks, 2016
    x' = (1 - T) S x + T E f(x)    R. Srivastava et al., Training very deep networks, 2015; T = σ(W * x + b)

S carries the input on, E is squeeze and excitation, D drops the branch. Branches of trunk width 4w or w:

    basic, highway   3×3 to w, 3×3 to w
    bottleneck       1×1 to w, 3×3 to w, 1×1 to 4w
    resnext          1×1 to 2w, 3×3 to 2w in groups, 1×1 to 4w      (S. Xie et al. 2017)

The dropout before a branch's last convolution is that of wide residual networks (S. Zagoruyko and N. Komodakis 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, PathDrop, Settings, activation, norm
from workers.families.convolutions import GlobalAverage, check_halvings, convolution
from workers.families.resnet import halvings
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """[n, channels, h, w] -> [n, outputs]"""
    stages, blocks, width = settings["stages"], settings["blocks"], settings["width"]
    check_halvings(settings, shape, halvings(settings), "take fewer stages")
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1, bias=False)]
    channels = width
    for stage in range(stages):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            depth = (stage * blocks + block + 1) / (stages * blocks)
            layers.append(Block(settings, channels, width * 2**stage, stride, settings["path_drop"] * depth))
            channels = width * 2**stage * expansion(settings)
    return nn.Sequential(*layers, *ready(settings, channels), GlobalAverage(), nn.Linear(channels, outputs))


def expansion(settings: Settings) -> int:
    """How many times as many maps the trunk has as the 3×3 convolutions of a bottleneck."""
    return 4 if settings["block"] in ("bottleneck", "resnext") else 1


def ready(settings: Settings, channels: int) -> list[nn.Module]:
    """What comes before a convolution: norm and activation."""
    return [norm(settings, channels, dimensions=2), activation(settings)]


class Block(nn.Module):
    """[n, inputs, h, w] -> [n, expansion × width, ⌈h / stride⌉, ⌈w / stride⌉]; `drop` is the probability of leaving
    the branch out of a training example."""

    def __init__(self, settings: Settings, inputs: int, width: int, stride: int, drop: float) -> None:
        super().__init__()
        outputs = width * expansion(settings)
        self.branch = nn.Sequential(
            *branch(settings, inputs, width, stride),
            *([SqueezeExcitation(settings, outputs)] if settings["se"] else []),
            PathDrop(drop),
        )
        highway = settings["block"] == "highway"
        self.gate = Gate(settings, inputs, outputs, stride) if highway else None
        self.shortcut = shortcut("projection" if highway else settings["shortcut"], inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        change, carried = self.branch(x), self.shortcut(x)
        if self.gate is None:
            return torch.add(change, carried)
        transform = self.gate(x)
        return torch.lerp(carried, change, transform)


def branch(settings: Settings, inputs: int, width: int, stride: int) -> list[nn.Module]:
    drop = Dropout(settings["dropout"])
    if settings["block"] in ("basic", "highway"):
        first = convolution(settings, inputs, width, 3, stride)
        return [*ready(settings, inputs), first, *ready(settings, width), drop, convolution(settings, width, width, 3)]
    groups = settings["cardinality"] if settings["block"] == "resnext" else 1
    inner = width if groups == 1 else groups * max(1, round(2 * width / groups))
    return [
        *ready(settings, inputs),
        convolution(settings, inputs, inner, 1),
        *ready(settings, inner),
        convolution(settings, inner, inner, 3, stride, groups),
        *ready(settings, inner),
        drop,
        convolution(settings, inner, 4 * width, 1),
    ]


class Gate(nn.Module):
    """T = σ(W * x + b), of the same shape as the branch; b learns from its first value."""

    def __init__(self, settings: Settings, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.first = settings["gate_bias"]  # added to the convolution's bias, which starts at 0

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(x) + self.first)


def shortcut(kind: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "projection":
        return nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return Padded(inputs, outputs, stride)


class Padded(nn.Module):
    """The identity where the shape changes: one pixel of each stride × stride, and zeros for the new maps."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class SqueezeExcitation(nn.Module):
    """Each map times σ(B a(A m)), where m are the maps' means  (J. Hu et al., Squeeze-and-excitation networks, 2018)"""

    def __init__(self, settings: Settings, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // settings["se_reduction"])
        self.scales = nn.Sequential(
            GlobalAverage(),
            nn.Linear(channels, hidden),
            activation(settings),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.scales(x)[:, :, None, None]
        return scaled
