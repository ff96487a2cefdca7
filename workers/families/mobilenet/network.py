"""Convolutions that are taken apart. A k×k convolution from m to n maps costs k² m n multiplications per pixel;

    depthwise  k×k within each map, then 1×1 over the maps      k² m + m n        (A. Howard et al. 2017)
    grouped    k×k within each of g groups, then 1×1           k² m²/g + m n
    spatial    k×1 over all maps, then 1×k                      k m² + k m n      (C. Szegedy et al. 2016)

As in MobileNet the second, fourth and sixth block halve the image, and the maps get twice as many.
"""

from __future__ import annotations

from torch import nn

from workers.families.blocks import Dropout, Settings
from workers.families.convolutions import GlobalAverage, check_halvings, convolved
from workers.families.mobilenet import HALVING, halvings
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised

STEM = 16  # maps of the first convolution; MobileNet has 32, for larger images


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """[n, channels, h, w] -> [n, outputs]"""
    check_halvings(settings, shape, halvings(settings), "take fewer blocks")
    channels = maps(settings, STEM)
    layers: list[nn.Module] = [convolved(settings, shape[0], channels, settings["kernel_size"])]
    for block in range(settings["blocks"]):
        outgoing = maps(settings, STEM * 2 ** sum(halving <= block for halving in HALVING))
        layers += separated(settings, channels, outgoing, stride=2 if block in HALVING else 1)
        channels = outgoing
    return nn.Sequential(*layers, GlobalAverage(), Dropout(settings["dropout"]), nn.Linear(channels, outputs))


def maps(settings: Settings, base: int) -> int:
    """`base` times alpha, as a multiple of the groups."""
    unit = settings["groups"] if settings["separation"] == "grouped" else 1
    return int(unit * max(1, round(base * settings["alpha"] / unit)))


def separated(settings: Settings, inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """The two convolutions in place of one. What halves the image is not dilated: it would read even pixels alone."""
    kernel, dilation = settings["kernel_size"], settings["dilation"] if stride == 1 else 1
    match settings["separation"]:
        case "spatial":
            return [
                convolved(settings, inputs, inputs, (kernel, 1), dilation=dilation),
                convolved(settings, inputs, outputs, (1, kernel), stride, dilation=dilation),
            ]
        case "grouped":
            groups = settings["groups"]
        case _:
            groups = inputs
    return [
        convolved(settings, inputs, inputs, kernel, stride, groups, dilation),
        convolved(settings, inputs, outputs, 1),
    ]
