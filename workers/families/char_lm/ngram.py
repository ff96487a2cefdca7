"""Counted n-grams, each order smoothed by the next shorter one (F. Jelinek and R. Mercer 1980):

    p_k(c | h) = (n(h c) + s p_k-1(c | h')) / (n(h) + s)        h: the k-1 characters before c, h': all but its first

p_0 is uniform, n(h) counts those h that something follows. The smoothing s is the strength of a Dirichlet prior around
the shorter context's distribution (D. MacKay and L. Peto, A hierarchical Dirichlet language model, 1995).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from workers.data.loading import Examples
from workers.families.blocks import Settings, infeasible
from workers.rows import Facts
from workers.training.learner import Epoch, Learner

AT_ONCE = 4096  # characters that are answered for at a time


class NGram(Learner):
    """`forward` answers log-probabilities [characters, outputs], as every language model does.

    Its state are the counts of all k-grams of the training text, k up to `order`: an n-gram's code is the number whose
    digits to the base `outputs` are its characters. One pass finds them all; another one would find the same.
    """

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.order, self.smoothing = settings["order"], settings["smoothing"]
        if self.order * math.log2(facts.outputs) > 62:
            most = int(62 / math.log2(facts.outputs))
            raise infeasible(
                f"n-grams of {self.order} characters out of {facts.outputs} have no 64-bit code: order {most} at most"
            )
        self.tables = nn.ModuleList(Counts() for _ in range(self.order))

    @property
    def counts(self) -> list[Counts]:
        """Those of the characters, of their pairs, and so on."""
        return cast("list[Counts]", list(self.tables))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return []

    def train_epoch(self, epoch: Epoch) -> float:
        text = epoch.examples.inputs.to(epoch.device)
        self.fit(text)
        return self.nats(text)

    def fit(self, text: Tensor) -> None:
        for counts, codes in zip(self.counts, self.codes(text), strict=True):
            counts.fit(codes)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        raise AssertionError("counting descends on nothing")

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        return {"bpc": self.nats(examples.inputs.to(self.counts[0].codes.device)) / math.log(2)}

    def forward(self, inputs: Tensor) -> Tensor:
        everything = torch.arange(self.facts.outputs, device=inputs.device)
        if inputs.ndim > 1:
            return torch.stack([self(row) for row in inputs])
        return torch.cat([self.probabilities(history, everything).log() for _, history in self.histories(inputs)])

    def nats(self, text: Tensor) -> float:
        """Mean negative log-probability of every character but the first."""
        total = torch.zeros((), dtype=torch.float64, device=text.device)
        for first, history in self.histories(text[:-1]):
            following = text[first + 1 : first + 1 + len(history)]
            total -= self.probabilities(history, following[:, None]).log().sum()
        return float(total) / (len(text) - 1)

    def probabilities(self, history: Tensor, characters: Tensor) -> Tensor:
        """[n, order - 1] and [n or 1, m] -> [n, m] float64: how probable each character is after each history, whose
        last character comes last; -1 is before the text."""
        p = torch.full((len(history), characters.shape[-1]), 1 / self.facts.outputs, dtype=torch.float64)
        p = p.to(history.device)
        code = history.new_zeros(len(history), 1)
        known = torch.ones_like(code, dtype=torch.bool)
        total = self.counts[0].total.expand_as(code)
        for k, counts in enumerate(self.counts):
            if k:
                character = history[:, -k, None]
                known = known & (character >= 0)
                code = code + character.clamp(min=0) * self.facts.outputs ** (k - 1)
                total = self.counts[k - 1].followed(code)
            seen = counts.of(code * self.facts.outputs + characters)
            longer = (seen + self.smoothing * p) / (total + self.smoothing)
            p = torch.where(known, longer, p)
        return p

    def histories(self, text: Tensor) -> Iterator[tuple[int, Tensor]]:
        """The `order - 1` characters up to each one, some at a time: the first one's place, and [n, order - 1]."""
        reach = self.order - 1
        padded = torch.cat([text.new_full((max(0, reach - 1),), -1), text])
        for first in range(0, len(text), AT_ONCE):
            n = min(AT_ONCE, len(text) - first)
            if reach:
                yield first, padded[first : first + n + reach - 1].unfold(0, reach, 1)
            else:
                yield first, text.new_empty(n, 0)

    def codes(self, text: Tensor) -> Iterator[Tensor]:
        """The codes of all k-grams of the text, for k from 1 to `order`."""
        code = text
        for k in range(1, self.order + 1):
            yield code
            code = code[:-1] * self.facts.outputs + text[k:]


class Counts(nn.Module):
    """How often each code occurs: codes [m], ascending, and counts [m]. How many there are, the text says."""

    codes: Tensor
    counts: Tensor
    total: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.empty(0, dtype=torch.int64))
        self.register_buffer("counts", torch.empty(0, dtype=torch.int64))
        self.register_buffer("total", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.full((), -1))  # what the text ends with

    def fit(self, codes: Tensor) -> None:
        self.codes, self.counts = torch.unique(codes, return_counts=True)
        self.total.fill_(len(codes))
        self.last.copy_(codes[-1])

    def of(self, codes: Tensor) -> Tensor:
        """The count of each code, of any shape; 0 where it never occurred."""
        if not len(self.codes):
            return torch.zeros_like(codes)
        at = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        return torch.where(self.codes[at] == codes, self.counts[at], 0)

    def followed(self, codes: Tensor) -> Tensor:
        """How often each code occurs before something else."""
        return self.of(codes) - (codes == self.last).long()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Takes as many codes as are stored."""
        for name in ("codes", "counts"):
            stored = state_dict.get(prefix + name)
            if stored is not None:
                setattr(self, name, getattr(self, name).new_empty(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
