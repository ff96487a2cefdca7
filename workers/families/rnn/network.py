"""Recurrent networks: from a sequence to one answer. An image is the sequence of its rows, from the top.

    inputs -> layer -> ... -> layer -> the last state, or the mean over all steps -> logits or numbers

Each layer is one recurrence, or two in opposite directions whose states are put side by side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Noise, Settings
from workers.families.rnn.flow import FlowClassifier, FlowForecaster
from workers.families.rnn.recurrence import Recurrence
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised


def build(settings: Settings, facts: Facts) -> Learner:
    network = Recurrent(settings, facts.shape, facts.outputs)
    if settings["cell"] == "vanilla" and settings["flow_regularizer"] > 0:
        regularized = FlowClassifier if facts.task == "classification" else FlowForecaster
        return regularized(network, settings, facts)
    return supervised(network, settings, facts)


class Recurrent(nn.Module):
    """[batch, steps, features] or [batch, channels, height, width] -> [batch, outputs]"""

    def __init__(self, settings: Settings, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        features = shape[1] if len(shape) == 2 else shape[0] * math.prod(shape[2:])
        width = settings["width"] * (2 if settings["bidirectional"] else 1)
        sizes = [features] + [width] * (settings["layers"] - 1)
        self.layers = nn.ModuleList(Layer(settings, size) for size in sizes)
        self.mean: bool = settings["pool"] == "mean"
        self.random = nn.Sequential(
            Noise("hidden_noise", settings.get("hidden_noise", 0.0)), Dropout(settings["dropout"])
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, last = as_steps(x), x.new_empty(0)
        for number, layer in enumerate(self.layers):
            states, last = layer(states if number == 0 else self.random(states))
        out: Tensor = self.head(self.random(states.mean(dim=0) if self.mean else last))
        return out


class Layer(nn.Module):
    """[steps, batch, inputs] -> the states [steps, batch, width], and [batch, width] after all steps; with twice the
    width where a second recurrence reads the steps from their end."""

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        self.forwards = Recurrence(settings, inputs)
        self.backwards = Recurrence(settings, inputs) if settings["bidirectional"] else None
        # where several states take turns, each has seen a part of the steps
        self.turns = self.forwards.phases

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        states = self.forwards(steps)
        last = states[-self.turns :].mean(dim=0)
        if self.backwards is None:
            return states, last
        others = self.backwards(steps.flip(0))
        both = torch.cat([states, others.flip(0)], dim=2)
        return both, torch.cat([last, others[-self.turns :].mean(dim=0)], dim=1)


def as_steps(x: Tensor) -> Tensor:
    """[batch, steps, features] or [batch, channels, height, width] -> [steps, batch, features]"""
    if x.ndim == 3:
        return x.transpose(0, 1)
    return x.permute(2, 0, 1, 3).flatten(2)
