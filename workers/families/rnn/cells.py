"""The equations of one step: from the state before and what the gates read to the state after.

With x the input, h the state and s the logistic sigmoid,

vanilla  h' = tanh(W x + U h + b)                                                               J. Elman 1990
leaky    h' = a h + (1 - a) tanh(W x + U h + b)                                                 M. Mozer 1992
lstm     i, f, o = s(W x + U h + b), each with its own; g = tanh(W x + U h + b)
         c' = f c + i g;  h' = o tanh(c')                                                       F. Gers et al. 2000
gru      r, z = s(W x + U h + b), each with its own; n = tanh(W x + b + r (U h + d))
         h' = (1 - z) n + z h                             K. Cho et al. 2014, with r after the product as cuDNN has it

The products come from outside, since there is more than one way from h to the gates; the first state is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from workers.families.blocks import Gate, Settings

State = tuple[Tensor, ...]  # [batch, width] each; the first is what others read


class Stack(nn.Module):
    """Affine layers that read the same, [batch, inputs] -> [batch, sum of outputs], in one product.

    They are separate modules, so that the first weights of each have the variance of their own size.
    """

    def __init__(self, layers: list[nn.Linear]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def weight(self) -> Tensor:
        return torch.cat([layer.weight for layer in self.linear()])

    @property
    def bias(self) -> Tensor:
        """0 for those without one."""
        layers = self.linear()
        return torch.cat(
            [each.weight.new_zeros(len(each.weight)) if each.bias is None else each.bias for each in layers]
        )


class Cell(nn.Module, ABC):
    """`drive` is W x + b of all steps, `read` what comes from earlier states: [batch, gates * width]."""

    gates: ClassVar[int]
    variables: ClassVar[int] = 1  # of the state
    known: ClassVar[bool] = False  # to torch, as one operation

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.width: int = settings["width"]
        self.inputs = Stack([self.from_inputs(gate, inputs) for gate in range(self.gates)])
        self.states = Stack([self.from_states(gate) for gate in range(self.gates)])

    def from_inputs(self, gate: int, inputs: int) -> nn.Linear:
        return nn.Linear(inputs, self.width)

    def from_states(self, gate: int) -> nn.Linear:
        return nn.Linear(self.width, self.width, bias=False)

    def start(self, like: Tensor) -> State:
        """The state before the first of the inputs [steps, batch, inputs]."""
        return tuple(like.new_zeros(like.shape[1], self.width) for _ in range(self.variables))

    @abstractmethod
    def step(self, drive: Tensor, read: Tensor, state: State) -> State: ...

    def fused(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps at once, where torch knows this cell: the states [steps, batch, width], and the last one."""
        raise NotImplementedError

    def weights(self) -> list[Tensor]:
        """As torch's recurrent functions want them."""
        return [self.inputs.weight, self.states.weight, self.inputs.bias, self.states.bias]


class Vanilla(Cell):
    gates = 1

    def step(self, drive: Tensor, read: Tensor, state: State) -> State:
        return (torch.tanh(drive + read),)


class Leaky(Cell):
    gates = 1

    def step(self, drive: Tensor, read: Tensor, state: State) -> State:
        leak = self.settings["leak"]
        return (leak * state[0] + (1 - leak) * torch.tanh(drive + read),)


class LSTM(Cell):
    """Gates in torch's order: input, forget, candidate, output."""

    gates = 4
    variables = 2
    known = True

    def from_inputs(self, gate: int, inputs: int) -> nn.Linear:
        if gate == 1:
            return Gate(inputs, self.width, self.settings["forget_bias"])
        return super().from_inputs(gate, inputs)

    def step(self, drive: Tensor, read: Tensor, state: State) -> State:
        i, f, g, o = (drive + read).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def fused(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        first = [variable[None] for variable in state]
        out, h, c = torch.lstm(inputs, first, self.weights(), True, 1, 0.0, self.training, False, False)
        return out, (h[0], c[0])


class GRU(Cell):
    """Gates in torch's order: reset, update, candidate."""

    gates = 3
    known = True

    def from_states(self, gate: int) -> nn.Linear:
        return nn.Linear(self.width, self.width, bias=gate == 2)

    def step(self, drive: Tensor, read: Tensor, state: State) -> State:
        (drive_r, drive_z, drive_n), (read_r, read_z, read_n) = drive.chunk(3, dim=-1), read.chunk(3, dim=-1)
        n = torch.tanh(drive_n + torch.sigmoid(drive_r + read_r) * read_n)
        return (n + torch.sigmoid(drive_z + read_z) * (state[0] - n),)

    def fused(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        out, h = torch.gru(inputs, state[0][None], self.weights(), True, 1, 0.0, self.training, False, False)
        return out, (h[0],)


CELLS: dict[str, type[Cell]] = {"vanilla": Vanilla, "leaky": Leaky, "lstm": LSTM, "gru": GRU}
