"""Sums over all items that a user rated, quick enough to be taken anew at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


def occurrences(numbers: Tensor, size: int) -> Tensor:
    """[size]: how often each of the numbers from 0 to size - 1 is there."""
    return numbers.new_zeros(size).index_add_(0, numbers, torch.ones_like(numbers))


class RatedItems:
    """Who rated what: `pairs` [ratings, 2] of users and items, in any order."""

    def __init__(self, pairs: Tensor, users: int, items: int) -> None:
        weights = occurrences(pairs[:, 0], users).clamp(min=1).rsqrt()[pairs[:, 0]]
        self.forth = Bags.of(pairs, weights, users)
        self.back = Bags.of(pairs.flip(1), weights, items)

    def sums(self, vectors: Tensor) -> Tensor:
        """[items, size] -> [users, size]: of the items that each user rated, over the root of their number."""
        found: Tensor = Sums.apply(vectors, self)  # type: ignore[no-untyped-call]
        return found


@dataclass(frozen=True, slots=True)
class Bags:
    """The rows of a sparse matrix, one after the other: `columns` and `weights` [entries], and where each begins."""

    columns: Tensor
    weights: Tensor
    starts: Tensor

    @classmethod
    def of(cls, pairs: Tensor, weights: Tensor, rows: int) -> Bags:
        """Columns are in order, so that sums do not depend on the order of the pairs."""
        order = (pairs[:, 0] * (pairs[:, 1].max() + 1) + pairs[:, 1]).argsort()
        counts = occurrences(pairs[:, 0], rows)
        return cls(pairs[order, 1], weights[order], counts.cumsum(0) - counts)

    def sums(self, vectors: Tensor) -> Tensor:
        """[columns, size] -> [rows, size]"""
        weights = self.weights.to(vectors.dtype)
        return nn.functional.embedding_bag(self.columns, vectors, self.starts, mode="sum", per_sample_weights=weights)


class Sums(torch.autograd.Function):
    """The gradient of a sum over the items of each user is one over the users of each item. PyTorch's own looks for
    these users anew at every step."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, rated: RatedItems) -> Tensor:
        ctx.rated = rated
        return rated.forth.sums(vectors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.rated.back.sums(gradient.contiguous()), None
