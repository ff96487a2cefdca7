"""The transformer's encoder, for images and sequences.

    tokens = affine map of each patch + its position
    each block: tokens gain what attention answers, then what a perceptron makes of each of them alone
        post  x <- norm(x + part(x))        A. Vaswani et al., Attention is all you need, 2017
        pre   x <- x + part(norm(x))        R. Xiong et al., On layer normalization in the transformer, 2020
    logits or numbers = affine map of the mean token, or of a token that is not of the inputs

A token is a square of pixels (A. Dosovitskiy et al. 2021) or some steps of a sequence (Y. Nie et al. 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Settings, infeasible
from workers.families.transformer_enc.attention import Attention
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import supervised

MEMORY = 2**32  # bytes that the attentions of one batch may take


def build(settings: Settings, facts: Facts) -> Learner:
    return supervised(Encoder(settings, facts.shape, facts.outputs), settings, facts)


class Encoder(nn.Module):
    """[batch, *shape] -> [batch, outputs]"""

    positions: Tensor

    def __init__(self, settings: Settings, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.patch: int = settings["patch"]
        if len(shape) == 3 and self.patch > min(shape[1:]):
            raise infeasible(f"patch {self.patch} is more than the image has: it is {shape[1]}×{shape[2]} pixels")
        if len(shape) == 2 and self.patch > shape[0]:
            raise infeasible(f"patch {self.patch} is more than the sequence has: it is {shape[0]} steps long")
        _, tokens, features = patches(torch.empty(1, *shape), self.patch).shape
        width = settings["width"]
        self.own: nn.Parameter | None = nn.Parameter(torch.zeros(width)) if settings["pool"] == "token" else None
        tokens += self.own is not None
        require_memory(settings, tokens)
        self.embed = nn.Linear(features, width)
        if settings["positions"] == "learned":
            self.positions = nn.Parameter(torch.zeros(tokens, width))
        else:
            self.register_buffer("positions", sine_positions(tokens, width), persistent=False)
        self.dropout = Dropout(settings["dropout"])
        self.blocks = nn.Sequential(*(Block(settings) for _ in range(settings["layers"])))
        self.norm = nn.LayerNorm(width) if settings["layer_norm"] == "pre" else nn.Identity()
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(patches(x, self.patch))
        if self.own is not None:
            tokens = torch.cat([self.own.expand(len(tokens), 1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(self.dropout(tokens + self.positions)))
        out: Tensor = self.head(tokens.mean(dim=1) if self.own is None else tokens[:, 0])
        return out


class Block(nn.Module):
    """[batch, tokens, width] -> [batch, tokens, width]"""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, hidden = settings["width"], settings["expansion"] * settings["width"]
        perceptron = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), Dropout(settings["dropout"]), nn.Linear(hidden, width)
        )
        self.parts = nn.ModuleList([Attention(settings), perceptron])
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = Dropout(settings["dropout"])
        self.pre: bool = settings["layer_norm"] == "pre"

    def forward(self, x: Tensor) -> Tensor:
        for part, norm in zip(self.parts, self.norms, strict=True):
            x = x + self.dropout(part(norm(x))) if self.pre else norm(x + self.dropout(part(x)))
        return x


def patches(x: Tensor, size: int) -> Tensor:
    """[batch, channels, height, width] or [batch, steps, features] -> [batch, tokens, numbers]

    Where the patches do not fit, the image is filled up with 0 below and on the right, the sequence at its beginning.
    """
    if x.ndim == 3:
        filled = nn.functional.pad(x, (0, 0, -x.shape[1] % size, 0))
        return filled.reshape(len(x), -1, size * x.shape[2])
    filled = nn.functional.pad(x, (0, -x.shape[3] % size, 0, -x.shape[2] % size))
    squares = filled.unfold(2, size, size).unfold(3, size, size)  # [batch, channels, rows, columns, size, size]
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def sine_positions(tokens: int, width: int) -> Tensor:
    """[tokens, width]: sine and cosine in turn, of wavelengths from 2π to 10,000·2π."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    angle = torch.arange(tokens)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]


def require_memory(settings: Settings, tokens: int) -> None:
    """Attention takes the square of the number of tokens, for each head of each layer."""
    each = settings["width"] if settings["similarity"] == "additive" else settings["heads"]
    batch = settings["batch_size"] * settings["batch_growth"] ** 2  # it grows twice
    needed = 4 * batch * settings["layers"] * each * tokens**2
    if needed > MEMORY:
        raise infeasible(
            f"attention between {tokens} tokens takes {needed / 2**30:.1f} GiB per batch, more than "
            f"{MEMORY / 2**30:.0f}: raise patch, or lower batch_size, layers or heads"
        )
