"""One layer of a graph network, H [nodes, inputs] -> [nodes, outputs].

gcn         H' = Â H W, Â the normalized adjacency                         T. Kipf and M. Welling 2017
sage_mean   h'_v = W h_v + W' mean of h_u                                  u: neighbours of v
sage_max    h'_v = W h_v + W' max of act(P h_u)                            W. Hamilton, R. Ying, J. Leskovec 2017
sage_lstm   h'_v = W h_v + W' (last state of an LSTM over the h_u, in a random order)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings, activation
from workers.families.gnn.graph import Graph

ALL = 128  # neighbours of a node that are read when nothing is learnt, at most


class Numbers(nn.Linear):
    """An affine layer whose inputs are the unit vectors, one per node: X = I, so that X Wᵀ is Wᵀ. It is handed an empty
    X [nodes, 0]."""

    def forward(self, h: Tensor) -> Tensor:
        rows = self.weight.T.clone()  # no view: torch's hooks do not take views that are made where nothing is learnt
        return rows if self.bias is None else rows + self.bias


def affine(inputs: int | None, nodes: int, outputs: int, bias: bool = True) -> nn.Linear:
    """`inputs` None: the nodes' numbers."""
    return Numbers(nodes, outputs, bias) if inputs is None else nn.Linear(inputs, outputs, bias)


class Convolution(nn.Module):
    def __init__(self, settings: Settings, inputs: int | None, nodes: int, outputs: int) -> None:
        super().__init__()
        self.self_loops, self.adjacency = settings["self_loops"], settings["adjacency"]
        self.linear = affine(inputs, nodes, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, h: Tensor, graph: Graph, rng: torch.Generator | None) -> Tensor:
        graph = graph.with_loops() if self.self_loops else graph
        source, target = graph.edges
        h = self.linear(h)
        news = graph.weights(self.adjacency)[:, None] * h[source]
        return torch.zeros_like(h, dtype=news.dtype).index_add(0, target, news) + self.bias


class Sage(nn.Module):
    def __init__(self, settings: Settings, inputs: int | None, nodes: int, outputs: int) -> None:
        super().__init__()
        self.kind, self.fanout = settings["aggregation"], settings["fanout"]
        self.own = affine(inputs, nodes, outputs)
        hidden = settings["hidden"]
        match self.kind:
            case "sage_mean":
                self.read: nn.Module = affine(inputs, nodes, outputs, bias=False)  # the mean of what W' makes of them
                self.combine: nn.Module = nn.Identity()
            case "sage_max":
                self.read = nn.Sequential(affine(inputs, nodes, hidden), activation(settings))
                self.combine = nn.Linear(hidden, outputs, bias=False)
            case _:
                self.read = affine(inputs, nodes, 4 * hidden)
                self.again = nn.Linear(hidden, 4 * hidden, bias=False)
                self.combine = nn.Linear(hidden, outputs, bias=False)

    def forward(self, h: Tensor, graph: Graph, rng: torch.Generator | None) -> Tensor:
        """`rng` draws `fanout` neighbours of each node. Without it all are read, always in the same order."""
        table, there = graph.neighbours(self.fanout if rng else ALL, rng or torch.Generator().manual_seed(0))
        news = self.read(h)[table]  # [nodes, k, ...]
        shown = there[..., None]
        match self.kind:
            case "sage_mean":
                gathered = (news * shown).sum(dim=1) / there.sum(dim=1).clamp(min=1)[:, None]
            case "sage_max":
                gathered = news.masked_fill(~shown, float("-inf")).amax(dim=1)
                gathered = torch.where(there.any(dim=1)[:, None], gathered, 0)
            case _:
                gathered = self.remembered(news, shown)
        out: Tensor = self.own(h) + self.combine(gathered)
        return out

    def remembered(self, news: Tensor, shown: Tensor) -> Tensor:
        """[nodes, k, 4 hidden] -> [nodes, hidden]: the LSTM's state after each node's last neighbour."""
        h = c = news.new_zeros(len(news), news.shape[-1] // 4)
        for x, here in zip(news.unbind(dim=1), shown.unbind(dim=1), strict=True):
            i, f, g, o = (x + self.again(h)).chunk(4, dim=-1)
            after = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
            c = torch.where(here, after, c)
            h = torch.where(here, torch.sigmoid(o) * torch.tanh(after), h)
        return h
