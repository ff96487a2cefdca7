"""Weights that are trained under a perturbed architecture: of what is flat around an architecture, little is lost when
it becomes discrete (X. Chen and C.-J. Hsieh, Stabilizing differentiable architecture search via perturbation-based
regularization, 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from workers.supernets.mixture import Mix, Mixes

OVERSHOOT = (
    2.5  # steps of the ascent together are so many times as long as the way to the border (A. Madry et al. 2018)
)


def size(epoch: int, horizon: int, start: float, end: float) -> float:
    return start + (end - start) * epoch / horizon


def random(mixes: Mixes, epsilon: float, rng: torch.Generator) -> Mixes:
    """Every weight moves by a draw of U(-ε, ε)."""
    return _moved(
        mixes, {kind: (2 * torch.rand(mix.weights.shape, generator=rng) - 1) * epsilon for kind, mix in mixes.items()}
    )


def adversarial(mixes: Mixes, epsilon: float, steps: int, loss: Callable[[Mixes], Tensor]) -> Mixes:
    """Weights move by ε at most, to where the loss is large: ascent along the signs of the gradient."""
    moves = {kind: torch.zeros_like(mix.weights) for kind, mix in mixes.items()}
    for _ in range(steps):
        for move in moves.values():
            move.requires_grad_()
        found = torch.autograd.grad(loss(_moved(mixes, moves)), list(moves.values()), materialize_grads=True)
        moves = {
            kind: (move.detach() + OVERSHOOT * epsilon / steps * slope.sign()).clamp(-epsilon, epsilon)
            for (kind, move), slope in zip(moves.items(), found, strict=True)
        }
    return _moved(mixes, moves)


def _moved(mixes: Mixes, moves: Mapping[str, Tensor]) -> Mixes:
    """What the space rules out stays at 0, and the only operation that it leaves an edge at 1."""
    return {
        kind: replace(mix, weights=mix.weights.detach() + moves[kind].to(mix.weights) * _open(mix))
        for kind, mix in mixes.items()
    }


def _open(mix: Mix) -> Tensor:
    """[edges, ops]: 1 where the weight of an operation may be another, else 0."""
    ops = range(mix.weights.shape[1])
    rows = [[float(len(left) > 1 and op in left) for op in ops] for left in mix.active]
    return torch.tensor(rows, dtype=mix.weights.dtype, device=mix.weights.device)
