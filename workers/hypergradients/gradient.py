"""How the held-out loss changes with the hyperparameters θ, through the weights w that are trained with them.

A step of the weights is  w - lr F(w, θ),  F = P ∇L(w, θ) + decay: P is the diagonal by which an optimizer stretches
gradients, taken for fixed, and the decay c (a sign(w) + (1 - a) w) is in front of P (decoupled) or behind it, in the
gradient. With v = ∇ of the held-out loss by w, the hypergradient is -∂F/∂θᵀ x, where

    t1t2      x = lr v: one step of the weights (J. Luketina et al. 2016)
    implicit  (∂F/∂w)ᵀ x = v: the weights at rest, F = 0 (J. Lorraine et al. 2020; solved by `solvers`)

∂F/∂wᵀ = H P + decoupled decay, for the Hessian H of loss and penalty. It is symmetric between roots of P, so that
conjugate gradients can solve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from workers.hypergradients.solvers import Product, conjugate_gradients, neumann

Method = Literal["t1t2", "neumann", "cg"]
OF_DECAY = ("weight_decay", "l1_share")
"""The hyperparameters of the decay: its derivatives are known, and no loss is asked for them."""


@dataclass(frozen=True)
class Decay:
    """strength (share sign(w) + (1 - share) w), of those weights [n] that decay."""

    strength: float
    share: float
    decoupled: bool
    weights: Tensor
    decaying: Tensor

    @property
    def by_strength(self) -> Tensor:
        return self.decaying * (self.share * self.weights.sign() + (1 - self.share) * self.weights)

    @property
    def by_share(self) -> Tensor:
        return self.decaying * self.strength * (self.weights.sign() - self.weights)

    def bend(self, direction: Tensor) -> Tensor:
        """The derivative by the weights, times the direction."""
        return self.decaying * (self.strength * (1 - self.share)) * direction


@dataclass(frozen=True)
class Weights:
    """The weights as they are, and what moves them. Of a direction [n], `bent` is the product with the Hessian of the
    loss [n], and `crossed` that with the derivatives of its gradient by the strengths [names]. `stretch` [n] is the
    diagonal of P, None for ones."""

    bent: Product
    crossed: Product
    lr: float
    stretch: Tensor | None = None
    decay: Decay | None = None

    def by_hyperparameters(self, x: Tensor) -> tuple[Tensor, dict[str, float]]:
        """∂F/∂θᵀ x: for the strengths of the loss [names], and for what there is of the decay."""
        inside = self._stretched(x)
        found = self.crossed(inside)
        if self.decay is None:
            return found, {}
        reached = x if self.decay.decoupled else inside
        by_name = zip(OF_DECAY, (self.decay.by_strength, self.decay.by_share), strict=True)
        return found, {name: float(slope.dot(reached)) for name, slope in by_name}

    def bend(self, x: Tensor, damping: float = 0.0) -> Tensor:
        """∂F/∂wᵀ x, with `damping` added to the Hessian."""
        inside = self._stretched(x)
        bent = self.bent(inside) + damping * inside
        if self.decay is None:
            return bent
        return bent + self.decay.bend(x if self.decay.decoupled else inside)

    def _stretched(self, x: Tensor) -> Tensor:
        return x if self.stretch is None else self.stretch * x

    def answer(self, v: Tensor, method: Method, terms: int, damping: float) -> Tensor:
        """x [n]. Where conjugate gradients find no way, one step."""
        match method:
            case "t1t2":
                return self.lr * v
            case "neumann":
                return neumann(self.bend, v, self.lr, terms)
            case "cg":
                root = torch.ones_like(v) if self.stretch is None else self.stretch.sqrt()
                # P^½ (∂F/∂wᵀ) P^-½ is symmetric
                found = conjugate_gradients(lambda s: root * self.bend(s / root, damping), root * v, terms)
                return self.lr * v if found is None else found / root
