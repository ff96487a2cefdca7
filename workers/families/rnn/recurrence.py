"""One recurrent layer in one direction: how states follow each other in time.

skip         the gates also read h[t-d], over weights of their own (T. Lin, B. Horne, P. Tiño and C. Giles, Learning
             long-term dependencies in NARX recurrent neural networks, 1996)
drop_short   h[t-d] takes the place of h[t-1]: d states that take turns (long connections alone, as in S. El Hihi and
             Y. Bengio, Hierarchical recurrent neural networks for long-term dependencies, 1995)
transition   the gates read T(h[t-1]), T some layers of tanh (R. Pascanu, C. Gulcehre, K. Cho and Y. Bengio, How to
             construct deep recurrent neural networks, 2014)
truncation   gradients stop where the steps, counted from the last one, are a multiple of truncate_steps (R. Williams
             and J. Peng 1990)
dropout      of the states that the gates read, the same units at all steps (Y. Gal and Z. Ghahramani, A theoretically
             grounded application of dropout in recurrent neural networks, 2016)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Settings
from workers.families.rnn.cells import CELLS, Stack, State


@dataclass(frozen=True, slots=True)
class Trace:
    """The states of one pass, and what the gates read of a state [..., batch, width] -> [..., batch, gates * width]."""

    states: list[Tensor]
    read: Callable[[Tensor], Tensor]


class Recurrence(nn.Module):
    """[steps, batch, inputs] -> [steps, batch, width]"""

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        width = settings["width"]
        self.cell = CELLS[settings["cell"]](settings, inputs)
        self.transition = nn.Sequential()
        for _ in range(settings["transition_depth"]):
            self.transition.extend([nn.Linear(width, width), nn.Tanh()])
        self.phases = settings["time_skip"] if settings["time_skip"] and settings["drop_short"] else 1
        self.skip = 0 if self.phases > 1 else settings["time_skip"]
        if self.skip:
            self.long = Stack([nn.Linear(width, width, bias=False) for _ in range(self.cell.gates)])
        self.dropout = Dropout(settings["recurrent_dropout"])
        # each phase takes one step in so many
        self.truncate = max(1, settings["truncate_steps"] // self.phases) if settings["truncate"] else 0
        self.traced = settings["cell"] == "vanilla" and settings["flow_regularizer"] > 0
        self.trace: Trace | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if self.phases == 1:
            return self.chain(inputs)
        steps, batch, features = inputs.shape
        missing = -steps % self.phases
        padded = nn.functional.pad(inputs, (0, 0, 0, 0, 0, missing))
        out = self.chain(padded.reshape(-1, self.phases * batch, features))
        return out.reshape(-1, batch, self.cell.width)[:steps]

    def chain(self, inputs: Tensor) -> Tensor:
        """The states, each from the one before."""
        plain = not self.skip and not self.transition and self.dropout.p == 0
        if not (plain and self.cell.known):
            return self.stepwise(inputs)
        state, states = self.cell.start(inputs), []
        for part in self.parts(inputs):
            out, state = self.cell.fused(part, detached(state))
            states.append(out)
        return torch.cat(states)

    def parts(self, inputs: Tensor) -> list[Tensor]:
        """The steps, cut where gradients stop; all but the first are truncate_steps long."""
        length = self.truncate or len(inputs)
        cuts = range(len(inputs) % length or length, len(inputs), length)
        return list(inputs.tensor_split(list(cuts)))

    def stepwise(self, inputs: Tensor) -> Tensor:
        read = self.reader(inputs)
        drive = nn.functional.linear(inputs, self.cell.inputs.weight, self.cell.inputs.bias)
        long = self.long.weight if self.skip else None
        state: State = self.cell.start(inputs)
        states: list[Tensor] = []
        start = 0
        for part in self.parts(drive):
            state, start = detached(state), len(states)
            for now in part:
                seen = read(state[0])
                past = len(states) - self.skip
                if long is not None and past >= 0:
                    earlier = states[past] if past >= start else states[past].detach()
                    seen = seen + nn.functional.linear(earlier, long)
                state = self.cell.step(now, seen, state)
                states.append(state[0])
        self.trace = Trace(states, read) if self.traced and self.training else None
        return torch.stack(states)

    def reader(self, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """From the state before to the gates, as it is for one pass over inputs [steps, batch, ...]."""
        weight, bias = self.cell.states.weight, self.cell.states.bias
        batch = inputs.shape[1] // self.phases
        kept = self.dropout(inputs.new_ones(batch, self.cell.width)).repeat(self.phases, 1)

        def read(h: Tensor) -> Tensor:
            return nn.functional.linear(self.transition(h * kept), weight, bias)

        return read


def detached(state: State) -> State:
    return tuple(variable.detach() for variable in state)
