"""A x = b where only products with A are known; vectors [n].

Neither asks for a Hessian that is positive: descent stops where its series grows, conjugate gradients where they meet a
direction in which the loss does not bend upwards. What they have until then is the answer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

ENOUGH = 1e-10  # of the first residual


def neumann(product: Product, b: Tensor, lr: float, terms: int) -> Tensor:
    """lr Σ (1 - lr A)^j b for j = 0 to `terms`: so many steps of descent on xᵀAx/2 - bᵀx, and one, from 0
    (J. Lorraine, P. Vicol and D. Duvenaud 2020)."""
    term = total = b
    for _ in range(terms):
        following = term - lr * product(term)
        if not following.norm() <= term.norm():
            break
        term = following
        total = total + term
    return lr * total


def conjugate_gradients(product: Product, b: Tensor, terms: int) -> Tensor | None:
    """For a symmetric A, by at most `terms` products. None where the very first direction bends downwards."""
    x, residual = torch.zeros_like(b), b
    direction, size = residual, residual.dot(residual)
    least = ENOUGH**2 * size
    for term in range(terms):
        if size <= least:
            break
        bent = product(direction)
        curvature = direction.dot(bent)
        if not curvature > 0:
            return x if term else None
        length = size / curvature
        x = x + length * direction
        residual = residual - length * bent
        before, size = size, residual.dot(residual)
        direction = residual + size / before * direction
    return x
