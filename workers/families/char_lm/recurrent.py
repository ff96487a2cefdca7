"""Recurrent cores. With x_t the input and h_t-1 the state, * element by element:

vanilla   h_t = tanh(W x_t + U h_t-1 + b)                                             J. Elman 1990
gru       r, z = σ(W x_t + U h_t-1 + b);  n = tanh(W_n x_t + b_n + r * (U_n h_t-1 + c_n))
          h_t = (1 - z) * n + z * h_t-1                                               K. Cho et al. 2014
lstm      i, f, o = σ(W x_t + U h_t-1 + b);  g = tanh(W_g x_t + U_g h_t-1 + b_g)
          c_t = f * c_t-1 + i * g;  h_t = o * tanh(c_t)                               S. Hochreiter, J. Schmidhuber 1997

The forget gate's bias counts from 1, so that the LSTM begins by remembering (F. Gers et al. 2000).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout

GATES = {"vanilla": 1, "gru": 3, "lstm": 4}


class Recurrent(nn.Module):
    """[batch, steps, inputs] -> [batch, steps, width], by layers with dropout between them.

    The state is [layers, parts, batch, width]; the parts are h, and c of an LSTM.
    """

    carries = True

    def __init__(self, kind: str, inputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(Layer(kind, width if i else inputs, width) for i in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        states = []
        for i, layer in enumerate(self.layers):
            x, after = layer(self.dropout(x) if i else x, None if state is None else state[i])
            states.append(after)
        return x, torch.stack(states)


class Layer(nn.Module):
    """One recurrence. Its weights are two affine layers, for they are drawn as those of all affine layers are; torch's
    own kernels run it."""

    first_bias: Tensor

    def __init__(self, kind: str, inputs: int, width: int) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        self.input = nn.Linear(inputs, GATES[kind] * width)
        self.hidden = nn.Linear(width, GATES[kind] * width)
        begin = torch.zeros(GATES[kind], width)
        if kind == "lstm":
            begin[1] = 1  # the gates' order is i, f, g, o
        self.register_buffer("first_bias", begin.flatten(), persistent=False)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The state is [parts, batch, width], zero where not given."""
        parts = 2 if self.kind == "lstm" else 1
        if state is None:
            state = x.new_zeros(parts, x.shape[0], self.width)
        weights = [self.input.weight, self.hidden.weight, self.input.bias + self.first_bias, self.hidden.bias]
        hx = [part[None].contiguous() for part in state]
        # has biases, layers, dropout, training, both directions, batch first
        options = (True, 1, 0.0, self.training, False, True)
        match self.kind:
            case "lstm":
                out, h, c = torch.lstm(x, hx, weights, *options)
                return out, torch.cat([h, c])
            case "gru":
                out, h = torch.gru(x, hx[0], weights, *options)
            case _:
                out, h = torch.rnn_tanh(x, hx[0], weights, *options)
        return out, h
