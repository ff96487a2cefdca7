"""What the edges of a cell may do: one table of operations, each from `channels` maps to as many.

NASNet (B. Zoph et al. 2018), DARTS (H. Liu, K. Simonyan and Y. Yang 2019), NAS-Bench-201 (X. Dong and Y. Yang 2020) and
the hierarchical cells of H. Liu et al. (2018) name them alike where they mean the same. Activation, then convolution,
then norm; separable ones do it twice. A stride of 2 halves the sides, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings, activation, norm


@dataclass(frozen=True)
class Kit:
    """What operations are made of. `shared`: for a supernet, whose weights serve many networks: no gains that would
    undo how operations are weighed, and statistics of the batch itself, for there is no one network to remember them
    of. `normed_pools`: pools have a norm in a supernet, so that what they answer is as large as what convolutions do.
    """

    settings: Settings
    shared: bool = False
    normed_pools: bool = False

    def activation(self) -> nn.Module:
        return activation(self.settings)

    def norm(self, channels: int) -> nn.Module:
        return norm(self.settings, channels, dimensions=2, affine=not self.shared, tracked=not self.shared)

    def outer_norm(self, channels: int) -> nn.Module:
        """Outside of operations, where gains do no harm."""
        return norm(self.settings, channels, dimensions=2, tracked=not self.shared)

    @property
    def bias(self) -> bool:
        """Whether convolutions have a bias: where no norm would take it away again."""
        return self.settings["norm"] in ("none", "weight")

    def convolution(
        self, inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], dilation: int, groups: int
    ) -> nn.Conv2d:
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
        return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, self.bias)


def operation(kit: Kit, name: str, channels: int, stride: int) -> nn.Module:
    """[n, channels, h, w] -> [n, channels, ⌈h / stride⌉, ⌈w / stride⌉]"""
    return OPERATIONS[name](kit, channels, stride)


def convolved(
    kit: Kit,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    normed: bool = True,
) -> nn.Sequential:
    """Activation, convolution, norm."""
    conv = kit.convolution(inputs, outputs, kernel, stride, 1, 1)
    return nn.Sequential(kit.activation(), conv, *([kit.norm(outputs)] if normed else []))


def plain(size: int) -> Callable[[Kit, int, int], nn.Module]:
    return lambda kit, channels, stride: convolved(kit, channels, channels, (size, size), (stride, stride))


def factorized(size: int) -> Callable[[Kit, int, int], nn.Module]:
    """Along the rows, then along the columns: two convolutions in place of one whose kernel is their outer product."""

    def make(kit: Kit, channels: int, stride: int) -> nn.Module:
        row = kit.convolution(channels, channels, (1, size), (1, stride), 1, 1)
        column = kit.convolution(channels, channels, (size, 1), (stride, 1), 1, 1)
        return nn.Sequential(kit.activation(), row, column, kit.norm(channels))

    return make


def by_map(size: int) -> Callable[[Kit, int, int], nn.Module]:
    """Every map by itself."""

    def make(kit: Kit, channels: int, stride: int) -> nn.Module:
        conv = kit.convolution(channels, channels, (size, size), (stride, stride), 1, channels)
        return nn.Sequential(kit.activation(), conv, kit.norm(channels))

    return make


def separable(size: int) -> Callable[[Kit, int, int], nn.Module]:
    """Twice: every map by itself, then all maps position by position."""

    def make(kit: Kit, channels: int, stride: int) -> nn.Module:
        return nn.Sequential(*depthwise(kit, channels, size, stride), *depthwise(kit, channels, size, 1))

    return make


def dilated(size: int) -> Callable[[Kit, int, int], nn.Module]:
    return lambda kit, channels, stride: nn.Sequential(*depthwise(kit, channels, size, stride, dilation=2))


def depthwise(kit: Kit, channels: int, size: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    return [
        kit.activation(),
        kit.convolution(channels, channels, (size, size), (stride, stride), dilation, channels),
        kit.convolution(channels, channels, (1, 1), (1, 1), 1, 1),
        kit.norm(channels),
    ]


def pooled(kind: str, size: int) -> Callable[[Kit, int, int], nn.Module]:
    """The mean is over the positions within the image."""

    def make(kit: Kit, channels: int, stride: int) -> nn.Module:
        padding = size // 2
        pool: nn.Module = (
            nn.MaxPool2d(size, stride, padding)
            if kind == "max"
            else nn.AvgPool2d(size, stride, padding, count_include_pad=False)
        )
        return nn.Sequential(pool, kit.norm(channels)) if kit.shared and kit.normed_pools else pool

    return make


def carried(kit: Kit, channels: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else Halved(kit, channels, channels)


class Zero(nn.Module):
    """0 of the shape that an operation of this stride answers."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Halved(nn.Module):
    """[n, inputs, h, w] -> [n, outputs, ⌈h / 2⌉, ⌈w / 2⌉]: half of the maps are made of every other position, the other
    half of those one step down and to the right; activation first, norm last."""

    def __init__(self, kit: Kit, inputs: int, outputs: int) -> None:
        super().__init__()
        self.activation = kit.activation()
        self.even = kit.convolution(inputs, outputs - outputs // 2, (1, 1), (2, 2), 1, 1)
        self.odd = kit.convolution(inputs, outputs // 2, (1, 1), (2, 2), 1, 1)
        self.norm = kit.norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        # an odd side has one position less to begin with a step further
        odd = nn.functional.pad(x[:, :, 1:, 1:], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(odd)], dim=1))
        return out


OPERATIONS: Mapping[str, Callable[[Kit, int, int], nn.Module]] = {
    "none": lambda kit, channels, stride: Zero(stride),
    "skip_connect": carried,
    "max_pool_3x3": pooled("max", 3),
    "avg_pool_3x3": pooled("avg", 3),
    "max_pool_5x5": pooled("max", 5),
    "max_pool_7x7": pooled("max", 7),
    "conv_1x1": plain(1),
    "conv_3x3": plain(3),
    "conv_1x3_3x1": factorized(3),
    "conv_1x7_7x1": factorized(7),
    "dw_conv_3x3": by_map(3),
    "nor_conv_1x1": plain(1),
    "nor_conv_3x3": plain(3),
    "sep_conv_3x3": separable(3),
    "sep_conv_5x5": separable(5),
    "sep_conv_7x7": separable(7),
    "dil_conv_3x3": dilated(3),
    "dil_conv_5x5": dilated(5),
}
