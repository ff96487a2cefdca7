"""Chains of convolutions and poolings; maps get smaller and more.

alex  conv, pool, conv 5×5, pool, then 3×3 convolutions, pool. Poolings overlap (3×3 windows, 2 apart). The second,
      fourth and fifth convolution read half of the maps each, which once lay on two GPUs  (A. Krizhevsky et al. 2012)
zf    the same, where every convolution reads all maps                           (M. Zeiler and R. Fergus 2014)
vgg   groups of 3×3 convolutions, each ends in a 2×2 pooling            (K. Simonyan and A. Zisserman 2015)
nin   after each convolution a perceptron slides over the positions (1×1 convolutions). The last makes one map per
      class, whose mean is the logit                                                        (M. Lin et al. 2014)
"""

from __future__ import annotations

from torch import nn

from workers.families.blocks import Dropout, Settings, dense
from workers.families.chain_cnn import halvings
from workers.families.convolutions import GlobalAverage, check_halvings, convolved
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """[n, channels, h, w] -> [n, outputs]"""
    style, blocks = settings["style"], settings["blocks"]
    times = halvings(settings)
    check_halvings(settings, shape, times, "take fewer blocks" + (", or stem_stride 1" if style != "vgg" else ""))
    widths = [round(settings["width"] * settings["growth"] ** block) for block in range(blocks)]
    match style:
        case "vgg":
            features = vgg(settings, shape[0], widths)
            sides = [side // 2**times for side in shape[1:]]
        case "nin":
            return nin(settings, shape[0], widths, outputs)
        case _:
            widths = [width + width % 2 for width in widths]  # two halves
            features = early(settings, shape[0], widths)
            sides = [-(-side // 2**times) for side in shape[1:]]
    return nn.Sequential(features, head(settings, widths[-1], sides[0] * sides[1], outputs))


def early(settings: Settings, channels: int, widths: list[int]) -> nn.Sequential:
    """alex and zf"""
    layers: list[nn.Module] = []
    for index, width in enumerate(widths):
        kernel = (settings["stem_kernel"], 5)[index] if index < 2 else 3
        stride = settings["stem_stride"] if index == 0 else 1
        groups = 2 if settings["style"] == "alex" and index in (1, 3, 4) else 1
        layers.append(convolved(settings, channels, width, kernel, stride, groups))
        if settings["response_norm"] and index < 2:
            # x / (2 + 1e-4 Σ x²)^0.75, the sum over five neighbouring maps; torch wants five times the 1e-4
            layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2))
        if index < 2 or index == len(widths) - 1:
            layers.append(overlapping_pool())
        channels = width
    return nn.Sequential(*layers)


def vgg(settings: Settings, channels: int, widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        for _ in range(settings["convs"]):
            layers.append(convolved(settings, channels, width, 3))
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def nin(settings: Settings, channels: int, widths: list[int], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for block, width in enumerate(widths):
        kernel = (settings["stem_kernel"], 5)[block] if block < 2 else 3
        stride = settings["stem_stride"] if block == 0 else 1
        last = block == len(widths) - 1
        layers.append(convolved(settings, channels, width, kernel, stride))
        layers += [convolved(settings, width, width, 1) for _ in range(settings["mlpconv"] - last)]
        if not last:
            layers += [overlapping_pool(), Dropout(settings["dropout"])]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, outputs, 1), GlobalAverage())


def overlapping_pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, padding=1)


def head(settings: Settings, channels: int, positions: int, outputs: int) -> nn.Sequential:
    if settings["head"] == "gap":
        return nn.Sequential(GlobalAverage(), Dropout(settings["dropout"]), nn.Linear(channels, outputs))
    units = settings["fc"]
    return nn.Sequential(
        nn.Flatten(),
        dense(settings, channels * positions, units),
        dense(settings, units, units),
        nn.Linear(units, outputs),
    )
