"""How sharply the validation loss bends in the architecture, and what follows from a rise of it (A. Zela et al.,
Understanding and robustifying differentiable architecture search, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.supernets.bilevel import Loss

ITERATIONS = 20


def dominant_eigenvalue(loss: Loss, alphas: Sequence[Tensor], rng: torch.Generator, times: int = ITERATIONS) -> float:
    """Of the Hessian of the loss in all alphas together, the eigenvalue that is largest in size, by power iteration
    with products of Hessian and vector. `rng` is on the CPU."""
    slopes = torch.autograd.grad(loss(), alphas, create_graph=True, materialize_grads=True)
    vector = [torch.randn(alpha.shape, generator=rng).to(alpha) for alpha in alphas]
    value = 0.0
    for _ in range(times):
        norm = torch.nn.utils.get_total_norm(vector)
        if norm == 0:
            return 0.0
        vector = [v / norm for v in vector]
        inner = torch.stack([(slope * v).sum() for slope, v in zip(slopes, vector, strict=True)]).sum()
        product = torch.autograd.grad(inner, alphas, retain_graph=True, materialize_grads=True)
        value = float(torch.stack([(p * v).sum() for p, v in zip(product, vector, strict=True)]).sum())
        vector = list(product)
    return value


@dataclass(frozen=True)
class Rule:
    """Compares the mean of the last `window` looks with that of `patience` looks before: a ratio above `rise` is one.
    The epoch of a mean is that of its middle look; none before `start` is compared with."""

    window: int = 5
    patience: int = 4
    start: int = 10
    rise: float = 1.3

    def risen_from(self, looks: Sequence[tuple[int, float]]) -> int | None:
        """The epoch to go back to, if the last look makes a rise. `looks` are (epoch, eigenvalue), in their order."""
        if len(looks) < self.window + self.patience:
            return None
        earlier = looks[-self.window - self.patience : len(looks) - self.patience]
        epoch = earlier[self.window // 2][0]
        before, now = _mean(earlier), _mean(looks[-self.window :])
        return epoch if epoch >= self.start and before > 0 and now / before > self.rise else None


def _mean(looks: Sequence[tuple[int, float]]) -> float:
    return sum(value for _, value in looks) / len(looks)
