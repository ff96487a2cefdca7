"""The causal transformer: every position attends to itself and to those before it (A. Vaswani et al., Attention is all
you need, 2017), with normalization first (R. Xiong et al. 2020).

    x = embedding + position
    x = x + attention(norm(x));  x = x + W2 gelu(W1 norm(x))      per block;  then one more norm
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout


class Transformer(nn.Module):
    """[batch, steps, width] -> [batch, steps, width]. It has no state: what it knows stands in its window."""

    carries = False
    positions: Tensor

    def __init__(self, width: int, heads: int, layers: int, context: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("positions", sinusoids(context, width), persistent=False)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x), None


class Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)
        self.feedforward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.write(self.attention(self.norm1(x))))
        positions = self.norm2(x).flatten(0, 1)  # each on its own
        out: Tensor = x + self.dropout(self.feedforward(positions)).view_as(x)
        return out

    def attention(self, x: Tensor) -> Tensor:
        """softmax(q kᵀ / √d) v, each head with its own part of q, k and v, positions after a position left out."""
        batch, steps, width = x.shape
        q, k, v = self.read(x).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, steps, width)


def sinusoids(positions: int, width: int) -> Tensor:
    """[positions, width]: sin and cos of the position, at wavelengths from 2π to 10000 · 2π."""
    rates = 10_000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
