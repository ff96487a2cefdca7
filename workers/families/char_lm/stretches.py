"""A text in stretches: for training, in streams or windows; for judging, in pieces that overlap.

    Streams   the text is laid in `batch_size` rows, each row is read from left to right, `context` characters a step.
              A recurrent state goes on from step to step, the gradient does not: truncated backpropagation through
              time (R. Williams and J. Peng 1990; T. Mikolov et al. 2010).
    Windows   stretches of `context` characters in a random order, each on its own.

Every epoch begins at another character, so that stretches do not always end at the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from workers.data.loading import Examples
from workers.training.learner import Epoch

AT_ONCE = 64  # pieces that are judged at a time


@dataclass(frozen=True, kw_only=True)
class Cut(Epoch):
    """An epoch whose batches are stretches: inputs and targets [rows, steps], the targets one character later."""

    context: int

    @classmethod
    def of(cls, epoch: Epoch, context: int) -> Self:
        """The context is shorter where the text has not two of them."""
        context = max(1, min(context, (len(epoch.examples) - 1) // 2))
        return cls(**{field.name: getattr(epoch, field.name) for field in fields(Epoch)}, context=context)

    def begin(self, rng: torch.Generator) -> int:
        return int(torch.randint(self.context, (), generator=rng))

    def taken(self, where: Tensor) -> Examples:
        """`where` [rows, steps]: which characters are the inputs."""
        text = self.examples.inputs
        where = where.to(text.device)
        return Examples(text[where], text[where + 1]).to(self.device)

    @property
    def usable(self) -> int:
        """Characters with a successor, wherever the epoch begins."""
        return len(self.examples) - self.context


@dataclass(frozen=True, kw_only=True)
class Streams(Cut):
    @property
    def rows(self) -> int:
        return max(1, min(int(self.settings["batch_size"]), self.usable // self.context))

    @property
    def length(self) -> int:
        return self.usable // self.rows

    @property
    def steps(self) -> int:
        return math.ceil(self.length / self.context)

    def batches(self) -> Iterator[tuple[float, Examples]]:
        firsts = self.begin(self.stream("order")) + torch.arange(self.rows)[:, None] * self.length
        for step, columns in enumerate(torch.arange(self.length).tensor_split(self.steps)):
            yield step / self.steps, self.taken(firsts + columns)


@dataclass(frozen=True, kw_only=True)
class Windows(Cut):
    @property
    def windows(self) -> int:
        return self.usable // self.context

    @property
    def steps(self) -> int:
        return math.ceil(self.windows / int(self.settings["batch_size"]))

    def batches(self) -> Iterator[tuple[float, Examples]]:
        rng = self.stream("order")
        firsts = self.begin(rng) + torch.randperm(self.windows, generator=rng)[:, None] * self.context
        for step, rows in enumerate(firsts.tensor_split(self.steps)):
            yield step / self.steps, self.taken(rows + torch.arange(self.context))


def pieces(length: int, warm: int, scored: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All `length` characters once, some at a time and in order: where [rows, steps] to read, and which of those to
    judge. Before the judged ones of a row stand `warm` others, or all that there are. What lies beyond the end is
    read at the end instead, and not judged."""
    firsts = torch.arange(0, length, scored)[:, None]
    steps = torch.arange(min(warm + scored, length))
    for first in torch.split(firsts, AT_ONCE):
        where = (first - warm).clamp(min=0) + steps
        judged = (where >= first) & (where < (first + scored).clamp(max=length))
        yield where.clamp(max=length - 1), judged
