"""A chain of blocks in stages; between stages a pooling halves the sides, and a mean over the positions ends it.

A block is a convolution, batch normalization, and a rectifier of what they answer plus what its skip carries: the input
times a gate, or, in the first block of a stage, whose input has other maps, a 1×1 convolution of it. So what a block
answers is never negative, and a block that does nothing can be put behind any other (`morphisms`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spaces.architectures import of_config
from spaces.architectures.chain import Block as BlockForm
from spaces.architectures.chain import Chain, Stage
from spaces.errors import InvalidInput
from workers.families.blocks import Dropout, Settings, activation, infeasible
from workers.families.chain_net import NAME
from workers.families.chain_net.morphisms import morphed
from workers.families.convolutions import GlobalAverage, check_halvings
from workers.rows import Facts
from workers.training.inheritance import copy_common
from workers.training.learner import Learner
from workers.training.supervised import Classifier

USUAL = (Stage(16, (BlockForm(3, False),)),) * 2
PREFIX = "network."


def build(settings: Settings, facts: Facts) -> Learner:
    return ChainClassifier(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, shape: tuple[int, ...], outputs: int) -> Network:
    """[n, channels, h, w] -> [n, outputs]. Raises Failure INFEASIBLE when the image is too small for the stages."""
    stages = stages_of(settings)
    check_halvings({**settings, "norm": "batch"}, shape, len(stages) - 1, "take fewer stages")
    return Network(settings, shape[0], stages, outputs)


def stages_of(settings: Mapping[str, Any]) -> tuple[Stage, ...]:
    """What the settings describe; two stages of one block where they describe no architecture at all.

    Raises Failure INFEASIBLE where they describe a part of one.
    """
    config = {name: value for name, value in settings.items() if name == NAME or str(name).startswith(f"{NAME}.")}
    if len(config) <= 1:
        return USUAL
    architecture = of_config({NAME: Chain.preset, **config})
    if not isinstance(architecture, Chain):
        raise infeasible(f"no architecture: of a chain these are not all choices, or too many: {', '.join(config)}")
    try:
        return architecture.stages_of({NAME: Chain.preset, **config})
    except InvalidInput as error:
        raise infeasible(f"no architecture: {error}") from error


class Block(nn.Module):
    """[n, inputs, h, w] -> [n, outputs, h, w]"""

    def __init__(self, settings: Settings, inputs: int, outputs: int, form: BlockForm, first: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, form.kernel, padding=form.kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, momentum=settings.get("norm_momentum", 0.1))
        self.projection = nn.Conv2d(inputs, outputs, 1, bias=False) if form.skip and first else None
        self.gate = nn.Parameter(torch.ones(())) if form.skip and not first else None
        self.activation = activation({**settings, "activation": "relu"})

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.norm(self.conv(x))
        if self.projection is not None:
            answer = answer + self.projection(x)
        elif self.gate is not None:
            answer = answer + self.gate * x
        out: Tensor = self.activation(answer)
        return out


class Network(nn.Module):
    """[n, channels, h, w] -> [n, outputs]"""

    def __init__(self, settings: Settings, channels: int, stages: Sequence[Stage], outputs: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for stage in stages:
            blocks = nn.ModuleList()
            for number, form in enumerate(stage.blocks):
                blocks.append(Block(settings, stage.width if number else channels, stage.width, form, number == 0))
            self.stages.append(blocks)
            channels = stage.width
        self.pool = nn.MaxPool2d(2)
        self.average = GlobalAverage()
        self.dropout = Dropout(settings["dropout"])
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for number, stage in enumerate(self.stages):
            x = self.pool(x) if number else x
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits: Tensor = self.head(self.dropout(self.average(x)))
        return logits


class ChainClassifier(Classifier):
    def inherit(self, weights: Mapping[str, Tensor], identity: Mapping[str, Any], rng: torch.Generator) -> None:
        """Of a smaller chain, all that it computes: in evaluation the answers are the same, up to rounding. Where this
        one is smaller, what comes first goes over."""
        before, after = stages_of(identity), stages_of(self.settings)
        mine = self.state_dict()
        copy_common({name: tensor for name, tensor in mine.items() if not name.startswith(PREFIX)}, weights)
        own, given = _inside(mine), _inside(weights)
        if len(before) != len(after):
            copy_common(own, given)
            return
        for name, tensor in morphed(own, given, before, after, rng).items():
            mine[PREFIX + name].copy_(tensor)


def _inside(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
