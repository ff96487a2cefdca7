"""Ridge regression in closed form, over rows that come in parts: W = T'R (R'R + penalty I)^-1, the constant free.

A. Hoerl and R. Kennard, Ridge regression: biased estimation for nonorthogonal problems, 1970
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class Ridge:
    """Fits to rows: what is read [n, size], whose first column is 1, and the targets [n, outputs]; float64.

    The rows are of so many `examples`. One that has several rows counts as one: the penalty grows with the rows.
    """

    def __init__(self, rows: Iterable[tuple[Tensor, Tensor]], ridge: float, examples: int) -> None:
        parts = ((reads.T @ reads, reads.T @ targets) for reads, targets in rows)
        squares, products = next(iter(parts))
        for more_squares, more_products in parts:
            squares, products = squares + more_squares, products + more_products
        each = float(squares[0, 0]) / examples  # the ones of the first column, counted
        penalty = torch.full((len(squares),), ridge * each, dtype=squares.dtype, device=squares.device)
        penalty[0] = 0
        self.factors = torch.linalg.lu_factor(squares + penalty.diag())
        self.weights = torch.linalg.lu_solve(*self.factors, products).T  # [outputs, size]

    def error(self, rows: Iterable[tuple[Tensor, Tensor]]) -> float:
        """The mean squared error, per output."""
        squares = torch.cat([(reads @ self.weights.T - targets).square() for reads, targets in rows])
        return float(squares.mean())

    def left_out(self, rows: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each of the rows that were fitted, what a fit to all others would answer, and the target.

        With leverage a = r (R'R + penalty I)^-1 r', that answer is t - (t - y) / (1 - a)  (D. Allen 1974).
        """
        for reads, targets in rows:
            leverage = (reads * torch.linalg.lu_solve(*self.factors, reads.T).T).sum(dim=1, keepdim=True)
            yield targets - (targets - reads @ self.weights.T) / (1 - leverage).clamp_min(1e-6), targets


def softmax_scale(scores: Tensor, labels: Tensor) -> Tensor:
    """The factor from 0.1 to 1000 that makes the labels most probable under softmax(factor * scores)."""
    factors = torch.logspace(-1, 3, 81, dtype=scores.dtype, device=scores.device)
    losses = torch.stack([torch.nn.functional.cross_entropy(factor * scores, labels) for factor in factors])
    return factors[losses.argmin()]
