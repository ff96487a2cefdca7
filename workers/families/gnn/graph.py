"""A graph as its edges, and what a layer makes of them: weights of a graph convolution, or neighbours in rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Graph:
    """`edges` [2, m]: from which node to which one; an edge without a direction stands there twice, once each way."""

    nodes: int
    edges: Tensor

    def degrees(self) -> Tensor:
        """[nodes]: edges that lead to each node."""
        return torch.bincount(self.edges[1], minlength=self.nodes)

    def with_loops(self) -> Graph:
        """Every node also leads to itself, once."""
        nodes = torch.arange(self.nodes, device=self.edges.device)
        others = self.edges[:, self.edges[0] != self.edges[1]]
        return replace(self, edges=torch.cat([others, nodes.expand(2, -1)], dim=1))

    def thinned(self, p: float, rng: torch.Generator) -> Graph:
        """Without each edge with probability p (Y. Rong et al., DropEdge, 2020)."""
        if p == 0:
            return self
        keep = torch.rand(self.edges.shape[1], generator=rng) >= p
        return replace(self, edges=self.edges[:, keep.to(self.edges.device)])

    def weights(self, adjacency: str) -> Tensor:
        """[m]: sym 1 / √(d_u d_v), row 1 / d_v for an edge from u to v, where d counts the edges that are here, loops
        among them (the degrees of A + I, not of A)."""
        degree = self.degrees().clamp(min=1).float()
        source, target = self.edges
        return 1 / degree[target] if adjacency == "row" else (degree[source] * degree[target]).rsqrt()

    def neighbours(self, most: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """[nodes, k] numbers of neighbours and whether there is one: all, in a random order, or `most` drawn from them
        without putting back. Missing ones come last."""
        source, target = self.edges
        shuffle = torch.randperm(len(target), generator=rng).to(target.device)
        order = shuffle[torch.sort(target[shuffle], stable=True).indices]  # by node; each one's neighbours shuffled
        source, target = source[order], target[order]
        degree = self.degrees()
        place = torch.arange(len(target), device=target.device) - (degree.cumsum(0) - degree)[target]
        k = max(1, min(most, int(degree.max())))
        drawn = place < k
        table = target.new_zeros(self.nodes, k)
        table[target[drawn], place[drawn]] = source[drawn]
        return table, torch.arange(k, device=target.device) < degree[:, None]
