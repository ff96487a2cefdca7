"""How binary paths learn: two operations of each edge are compared, one of them at work (H. Cai, L. Zhu and S. Han,
ProxylessNAS, 2019).

The gates g of the two are 1 and 0, and with p = softmax of their alphas, ∂L/∂α_i = Σ_j ∂L/∂g_j p_j (δ_ij - p_i). After
the step both alphas are shifted, so that the two together are as probable as before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from search.algorithms.one_shot import COST_WEIGHTS
from workers.supernets.mixture import Mix, Mixes

SCALE = 0.2  # of the loss that a cost multiplies
LEAST = 1.001  # what a cost is taken for at least where its logarithm is


def drawn_pairs(probabilities: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """By kind [edges, 2], two different operations of each edge; of one that has a single one, it is the first."""
    return {
        kind: torch.multinomial(p.detach().cpu(), min(2, p.shape[1]), generator=rng).to(p.device)
        for kind, p in probabilities.items()
    }


def gated(
    logits: Mapping[str, Tensor], pairs: Mapping[str, Tensor], rng: torch.Generator
) -> tuple[Mixes, dict[str, Tensor]]:
    """How edges answer by one of their pair, and the gates [edges, 2] that the answer depends on."""
    mixes, gates = dict[str, Mix](), dict[str, Tensor]()
    for kind, pair in pairs.items():
        scores = logits[kind].detach().gather(1, pair)
        law = scores.softmax(dim=1)
        open_ = torch.multinomial(law.cpu(), 1, generator=rng).to(pair.device)
        gate = torch.zeros_like(law).scatter_(1, open_, 1.0).requires_grad_()
        weights = torch.zeros_like(logits[kind]).scatter(1, pair, gate)
        # the second of a pair is ruled out where the space leaves only one
        rows = zip(pair.tolist(), scores.isfinite().tolist(), strict=True)
        mixes[kind] = Mix(weights, tuple(tuple(op for op, left in zip(*row, strict=True) if left) for row in rows))
        gates[kind] = gate
    return mixes, gates


def gate_gradient(probabilities: Tensor, of_gates: Tensor) -> Tensor:
    """Σ_j ∂L/∂g_j p_j (δ_ij - p_i), of rows [..., ops]."""
    mean = (of_gates * probabilities).sum(dim=-1, keepdim=True)
    return probabilities * (of_gates - mean)


@torch.no_grad()
def rescale(alpha: Tensor, before: Tensor, pair: Tensor) -> None:
    """Shifts the pair of each edge, in place, to the probability that it had together `before`."""
    new, old = alpha.gather(1, pair), before.gather(1, pair)
    shift = old.logsumexp(dim=1, keepdim=True) - new.logsumexp(dim=1, keepdim=True)
    alpha.scatter_(1, pair, new + shift)


def expected_cost(probabilities: Mapping[str, Tensor], costs: Mapping[str, Tensor]) -> Tensor:
    """Σ p F over all edges and operations."""
    return torch.stack([(p * costs[kind].to(p)).sum() for kind, p in probabilities.items()]).sum()


def with_cost(loss: Tensor, cost: Tensor, reference: float, form: str, weight: float | None = None) -> Tensor:
    """multiply: L · 0.2 (log C / log R)^β; add: L + λ (C - R) / R. `weight` is β or λ, the paper's for None."""
    weight = COST_WEIGHTS[form] if weight is None else weight
    if form == "multiply":  # of an architecture that costs next to nothing, the logarithm would be negative
        return loss * SCALE * (cost.clamp(min=LEAST).log() / math.log(reference)) ** weight
    return loss + weight * (cost - reference) / reference
