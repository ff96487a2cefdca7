"""The gradient of the architecture: of the validation loss, where weights are as they are or one step further.

With w' = w - ξ (m b + ∇L_train(w, α) + λ w), a step of SGD with the momentum's memory b, the validation loss L(w', α)
has the gradient  ∂L/∂α - ξ ∂²L_train/∂α∂w · v,  v = ∂L/∂w',  whose second term is a central difference along v
(H. Liu, K. Simonyan and Y. Yang, DARTS, 2019, equation 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Loss = Callable[[], Tensor]
"""The loss with the weights as they are; the same function at every call."""

REACH = 0.01  # how far the difference goes: this over the norm of v


@dataclass(frozen=True)
class Step:
    """One step of SGD on `weights`: its length, the share of `memories` that it keeps, and by weight the decay."""

    weights: Sequence[Tensor]
    lr: float
    momentum: float
    memories: Sequence[Tensor]
    decays: Sequence[float]

    @classmethod
    def of(cls, optimizer: torch.optim.SGD, lr: float) -> Step:
        weights, memories, decays = list[Tensor](), list[Tensor](), list[float]()
        for group in optimizer.param_groups:
            for weight in group["params"]:
                state: dict[str, Any] = optimizer.state[weight]
                memory = state.get("momentum_buffer")
                weights.append(weight)
                memories.append(torch.zeros_like(weight) if memory is None else memory)
                decays.append(group["weight_decay"])
        return cls(weights, lr, optimizer.param_groups[0]["momentum"], memories, decays)

    @torch.no_grad()
    def take(self, gradients: Sequence[Tensor]) -> None:
        for weight, memory, decay, gradient in zip(self.weights, self.memories, self.decays, gradients, strict=True):
            weight.sub_(self.lr * (self.momentum * memory + gradient + decay * weight))


def first_order(validation: Loss, alphas: Sequence[Tensor]) -> list[Tensor]:
    return gradients(validation(), alphas)


def second_order(
    train: Loss, validation: Loss, alphas: Sequence[Tensor], step: Step, reach: float = REACH
) -> list[Tensor]:
    """The weights are afterwards what they were, bit for bit."""
    weights = step.weights
    kept = [weight.detach().clone() for weight in weights]
    try:
        step.take(gradients(train(), weights))
        found = gradients(validation(), [*weights, *alphas])
        direction, direct = found[: len(weights)], found[len(weights) :]
        norm = torch.nn.utils.get_total_norm(direction)
        if not torch.isfinite(norm) or norm == 0:
            return direct
        epsilon = reach / norm
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                for weight, before, v in zip(weights, kept, direction, strict=True):
                    weight.copy_(before + sign * epsilon * v)
            ends.append(gradients(train(), alphas))
        return [d - step.lr * (above - below) / (2 * epsilon) for d, above, below in zip(direct, *ends, strict=True)]
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Zeros where the loss does not depend on one."""
    return list(torch.autograd.grad(loss, parameters, materialize_grads=True))
