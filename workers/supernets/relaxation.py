"""How what is learnt of an architecture becomes weights of the operations.

softmax       exp(α) over the sum of its edge                          (H. Liu, K. Simonyan and Y. Yang, DARTS, 2019)
edge_softmax  the same, and weights of the edges that lead to a node                 (Y. Xu et al., PC-DARTS, 2020)
gumbel        one operation per edge, drawn; the gradient is that of a softmax at temperature τ
                                                                                  (X. Dong and Y. Yang, GDAS, 2019)
dirichlet     a draw of Dir(elu(α) + 1)                                               (X. Chen et al., DrNAS, 2021)
binary        one operation per edge, drawn by softmax(α)         (H. Cai, L. Zhu and S. Han, ProxylessNAS, 2019)

An operation that the space rules out on an edge has the weight 0 there: the others share the edge among themselves, as
if it had none but them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spaces.architectures import OneShot, SuperCell
from spaces.values import Config
from workers.supernets.mixture import NONE, Active, Mix, Mixes

FIRST = 1e-3  # the deviation of the first alphas
KL = 1e-3  # how much dirichlet is drawn to the uniform law


class Relaxation(nn.Module, ABC):
    """Its parameters are what is learnt of the architecture. `single`: an edge answers by one operation at a time."""

    single = False

    def __init__(self, architecture: OneShot) -> None:
        super().__init__()
        self.architecture = architecture
        for kind, mask in architecture.masks.items():
            self.register_buffer(f"mask_{kind}", torch.from_numpy(mask), persistent=False)  # the space tells it

    @property
    def cells(self) -> Mapping[str, SuperCell]:
        return self.architecture.supercells

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """By kind [edges, ops], what the space leaves."""
        return {kind: self.get_buffer(f"mask_{kind}") for kind in self.cells}

    @cached_property
    def left(self) -> Mapping[str, Active]:
        """By kind and edge, the operations that are left; none where all that is left is to do nothing."""
        return {kind: everything(cell, self.architecture.masks[kind]) for kind, cell in self.cells.items()}

    def begin(self, epoch: int, horizon: int) -> None:
        """Before each epoch."""

    @abstractmethod
    def mixes(self, rng: torch.Generator) -> Mixes:
        """How the edges answer in one pass. `rng` is on the CPU."""

    @abstractmethod
    def means(self) -> dict[str, Tensor]:
        """By kind [edges, ops], what is reported and discretized: the rows sum to 1."""

    def edge_means(self) -> dict[str, Tensor] | None:
        """By kind [edges], where edges have weights."""
        return None

    def penalty(self) -> Tensor | float:
        """What is added to the loss that the architecture descends on."""
        return 0.0

    def discretized(self) -> Config:
        edges = self.edge_means()
        return self.architecture.discretized(
            {kind: mean.detach().cpu().double().numpy() for kind, mean in self.means().items()},
            None if edges is None else {kind: mean.detach().cpu().double().numpy() for kind, mean in edges.items()},
        )


class Softmax(Relaxation):
    def __init__(self, architecture: OneShot, rng: torch.Generator) -> None:
        super().__init__(architecture)
        self.alphas = nn.ParameterDict(
            {kind: FIRST * torch.randn(len(c.edges), len(c.ops), generator=rng) for kind, c in self.cells.items()}
        )

    def mixes(self, rng: torch.Generator) -> Mixes:
        return {kind: Mix(mean, self.left[kind]) for kind, mean in self.means().items()}

    def means(self) -> dict[str, Tensor]:
        return {kind: logits.softmax(dim=1) for kind, logits in self.logits().items()}

    def logits(self) -> dict[str, Tensor]:
        """By kind [edges, ops]: the alphas, and -inf where the space rules the operation out."""
        return {kind: alpha.masked_fill(~self.masks[kind], -math.inf) for kind, alpha in self.alphas.items()}


class EdgeSoftmax(Softmax):
    """Edges to one node share a softmax of their own."""

    def __init__(self, architecture: OneShot, rng: torch.Generator) -> None:
        super().__init__(architecture, rng)
        self.betas = nn.ParameterDict(
            {kind: FIRST * torch.randn(len(c.edges), generator=rng) for kind, c in self.cells.items()}
        )

    def mixes(self, rng: torch.Generator) -> Mixes:
        edges = self.edge_means()
        return {kind: Mix(m, self.left[kind], edges[kind]) for kind, m in self.means().items()}

    def edge_means(self) -> dict[str, Tensor]:
        return {kind: by_target(beta, self.cells[kind], self.left[kind]) for kind, beta in self.betas.items()}


def by_target(scores: Tensor, cell: SuperCell, left: Active) -> Tensor:
    """[edges]: the softmax among the edges that lead to the same node. One that the space leaves nothing has the weight
    0, unless that is so of all of them, which are then alike to the node."""
    targets = [target for _, target in cell.edges]
    parts = []
    for target in sorted({*targets}):
        edges = [i for i, t in enumerate(targets) if t == target]
        empty = [not left[i] for i in edges]
        alone = torch.tensor(empty, device=scores.device) & (not all(empty))
        parts.append(scores[edges].masked_fill(alone, -math.inf).softmax(dim=0))
    return torch.cat(parts)  # edges come target by target


class Gumbel(Softmax):
    """τ falls evenly from `start` in the first epoch to `end` in the last."""

    single = True

    def __init__(self, architecture: OneShot, rng: torch.Generator, start: float = 10.0, end: float = 0.1) -> None:
        super().__init__(architecture, rng)
        self.start, self.end = start, end
        self.temperature = start

    def begin(self, epoch: int, horizon: int) -> None:
        self.temperature = temperature(epoch, horizon, self.start, self.end)

    def mixes(self, rng: torch.Generator) -> Mixes:
        mixes = {}
        for kind, logits in self.logits().items():
            weights = straight_through(logits, self.temperature, rng)
            chosen = weights.detach().argmax(dim=1).tolist()
            mixes[kind] = Mix(weights, tuple((index,) for index in chosen), carried=True)
        return mixes


def temperature(epoch: int, horizon: int, start: float, end: float) -> float:
    return start + (end - start) * epoch / max(1, horizon - 1)


def straight_through(alpha: Tensor, tau: float, rng: torch.Generator) -> Tensor:
    """[edges, ops] one-hot rows, drawn by softmax(α), whose gradient is that of softmax((log softmax α + g) / τ), where
    g are draws of the Gumbel law."""
    exponential = torch.empty(alpha.shape, dtype=torch.float64).exponential_(generator=rng)
    gumbel = -exponential.clamp(min=torch.finfo(torch.float64).tiny).log()
    soft = ((alpha.log_softmax(dim=1) + gumbel.to(alpha)) / tau).softmax(dim=1)
    hard = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())  # exactly 0 and 1: a number less itself is 0


class Dirichlet(Softmax):
    def mixes(self, rng: torch.Generator) -> Mixes:
        mixes = {}
        for kind, concentration in self._concentrations().items():
            draws = torch._standard_gamma(concentration.double().cpu(), generator=rng)
            draws = draws.clamp(min=1e-30) * self.masks[kind].cpu()
            weights = (draws / draws.sum(dim=1, keepdim=True)).to(concentration)
            mixes[kind] = Mix(weights, self.left[kind])
        return mixes

    def means(self) -> dict[str, Tensor]:
        found = {kind: c * self.masks[kind] for kind, c in self._concentrations().items()}
        return {kind: c / c.sum(dim=1, keepdim=True) for kind, c in found.items()}

    def penalty(self) -> Tensor | float:
        """The divergence from Dir(1), summed over the edges."""
        return KL * torch.stack([_divergence(law) for law in self._laws()]).sum()

    def _laws(self) -> Iterator[Tensor]:
        """[edges, ops] concentrations, of edges at a time that have the same operations left, and of these alone."""
        for kind, concentration in self._concentrations().items():
            mask = self.masks[kind]
            for row in dict.fromkeys(tuple(row) for row in mask.tolist()):
                left = torch.tensor(row, device=mask.device)
                yield concentration[(mask == left).all(dim=1)][:, left]

    def _concentrations(self) -> dict[str, Tensor]:
        return {kind: nn.functional.elu(alpha) + 1 for kind, alpha in self.alphas.items()}


def _divergence(concentrations: Tensor) -> Tensor:
    """From Dir(1), summed over the rows [edges, ops]."""
    law, flat = (torch.distributions.Dirichlet(c) for c in (concentrations, torch.ones_like(concentrations)))
    return torch.distributions.kl_divergence(law, flat).sum()


class Binary(Softmax):
    """How its alphas learn is a matter of `workers.supernets.pairs`."""

    single = True

    def mixes(self, rng: torch.Generator) -> Mixes:
        chosen = {
            kind: torch.multinomial(mean.detach().cpu(), 1, generator=rng)[:, 0].tolist()
            for kind, mean in self.means().items()
        }
        device = next(self.parameters()).device
        return {kind: one_each(self.cells[kind], ops, device) for kind, ops in chosen.items()}


def everything(cell: SuperCell, mask: NDArray[np.bool_]) -> Active:
    """By edge, the operations of which `mask` [edges, ops] is true; none where they all do nothing."""
    rows = (np.flatnonzero(row).tolist() for row in mask)
    return tuple(() if all(cell.ops[op] == NONE for op in row) else tuple(row) for row in rows)


def one_each(cell: SuperCell, ops: Sequence[int | None], device: torch.device) -> Mix:
    """One operation on each edge, none where it is None or does nothing."""
    active = tuple(() if op is None or cell.ops[op] == NONE else (op,) for op in ops)
    return Mix(torch.ones(len(cell.edges), len(cell.ops), device=device), active)


def of_config(architecture: OneShot, config: Config, device: torch.device) -> Mixes:
    """The one architecture, with the supernet's weights."""
    paths = architecture.paths(config)
    return {kind: one_each(cell, paths[kind], device) for kind, cell in architecture.supercells.items()}


def entropy(mean: Tensor) -> float:
    """Nats per edge, the mean over the edges [edges, ops]."""
    return float(torch.special.entr(mean.detach().double()).sum(dim=1).mean())
