"""LeNet: convolution and subsampling, twice, then three affine layers.

    C1 -> S2 -> C3 -> S4 -> C5 -> F6 -> logits      Y. LeCun et al., Gradient-based learning applied to document
                                                    recognition, 1998

Convolutions keep the image's size, each subsampling halves it; so 8×8 digits reach C5 as 2×2 maps. With width 16,
kernel_size 5, pool avg_trainable, c3_table, activation tanh and norm none it is LeNet-5 but for its output units.
"""

from __future__ import annotations

from bisect import bisect_right

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Settings, Sparse, dense, infeasible, pieces, unit
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """[batch, channels, height, width] -> [batch, outputs]"""
    channels, height, width = inputs
    if min(height, width) < 4:
        raise infeasible(f"lenet halves the image twice, so it needs 4×4 pixels at least, not {height}×{width}")
    c3 = settings["width"]
    c1 = max(1, round(c3 * 3 / 8))
    kernel = settings["kernel_size"]
    k = pieces(settings)
    second = PartialConv2d(c1, k * c3, kernel) if settings["c3_table"] else convolution(c1, k * c3, kernel)
    return nn.Sequential(
        stage(settings, convolution(channels, k * c1, kernel), c1),  # [batch, c1, height/2, width/2]
        stage(settings, second, c3),  # [batch, c3, height/4, width/4]
        nn.Flatten(),
        Dropout(settings["dropout"]),
        dense(settings, c3 * (height // 4) * (width // 4), settings["fc1"]),
        dense(settings, settings["fc1"], settings["fc2"]),
        nn.Linear(settings["fc2"], outputs),
    )


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def stage(settings: Settings, conv: nn.Conv2d, channels: int) -> nn.Sequential:
    """One convolution and its subsampling."""
    return nn.Sequential(conv, *unit(settings, channels, dimensions=2), pooling(settings, channels))


def pooling(settings: Settings, channels: int) -> nn.Module:
    match settings["pool"]:
        case "max":
            return nn.MaxPool2d(2)
        case "avg":
            return nn.AvgPool2d(2)
        case _:
            return TrainablePool(channels)


class TrainablePool(nn.Module):
    """The mean of each 2×2 window, times a gain, plus a bias; both learnt, one per map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 2) * self.gain + self.bias


class PartialConv2d(nn.Conv2d, Sparse):
    """A convolution whose output maps read some input maps only: the symmetry between them is broken."""

    table: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        table = connection_table(inputs, outputs)
        self.register_buffer("table", table[:, :, None, None], persistent=False)
        self.unread = int((table == 0).sum()) * kernel**2

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight * self.table, self.bias, padding=self.padding)


def connection_table(inputs: int, outputs: int) -> Tensor:
    """[outputs, inputs] of 0 and 1: which input maps an output map reads.

    For 6 and 16 maps it is table I of LeCun et al. 1998: six outputs read three neighbours, six read four, three read
    two pairs, the last reads all. Other sizes keep these proportions.
    """
    half, third = max(1, round(inputs / 2)), max(1, round(inputs / 3))
    reads = ([*range(half)], [*range(2 * third)], [*range(third), *range(half, half + third)], [*range(inputs)])
    firsts = [0, *(round(outputs * sixteenths / 16) for sixteenths in (6, 12, 15))]
    table = torch.zeros(outputs, inputs)
    for output in range(outputs):
        group = bisect_right(firsts, output) - 1
        for shift in reads[group]:
            table[output, (output - firsts[group] + shift) % inputs] = 1
    return table
