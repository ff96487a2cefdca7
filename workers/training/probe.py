"""How well a linear classifier reads a representation.

Linear discriminant analysis (R. Fisher 1936): each class a Gaussian around its mean, all with the same covariance, so
that the log-odds between classes are linear. It has a closed form, so reading costs no second training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHRINKAGE = 1e-3  # of the covariance towards a multiple of the identity: codes may not vary in all directions


class Probe(nn.Module):
    """Its buffers are what it learnt, so that a checkpoint has them. It takes no part in any descent."""

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, features))
        self.register_buffer("bias", torch.zeros(classes))

    @torch.no_grad()
    def fit(self, codes: Tensor, labels: Tensor) -> None:
        """`codes` [n, features], `labels` [n] from 0; a class without examples is never answered."""
        x, classes = codes.double(), len(self.bias)
        member = nn.functional.one_hot(labels, classes).double()  # [n, classes]
        count = member.sum(dim=0)
        means = member.T @ x / count.clamp_min(1)[:, None]
        around = x - means[labels]
        covariance = around.T @ around / len(x)
        spread = covariance.diagonal().mean().clamp_min(1e-12)
        identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(covariance + SHRINKAGE * spread * identity, means.T).T
        bias = (count / len(x)).log() - 0.5 * (weight * means).sum(dim=1)
        self.weight.copy_(weight)
        self.bias.copy_(bias.clamp_min(torch.finfo(torch.float32).min))

    def forward(self, codes: Tensor) -> Tensor:
        """[n, features] -> [n]: the most probable class."""
        return (codes.float() @ self.weight.float().T + self.bias.float()).argmax(dim=1)


def are_classes(targets: Tensor | None) -> bool:
    """Whether targets [n, ...] are one class per example."""
    return targets is not None and targets.ndim == 1 and not targets.is_floating_point()
