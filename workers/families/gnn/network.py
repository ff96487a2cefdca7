"""A graph network classifies the nodes of one graph: all of them at each step, of which some have known classes.

H0 = features;  H = dropout(act(layer(H)));  logits = layer(H)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Dropout, Settings, activation, infeasible
from workers.families.gnn.features import DEGREES, DIMENSIONS, LARGEST, deepwalk, degree_classes
from workers.families.gnn.graph import Graph
from workers.families.gnn.layers import Convolution, Sage
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.supervised import Classifier

COLUMNS = {"identity": 0, "degree": DEGREES, "deepwalk": DIMENSIONS}


def build(settings: Settings, facts: Facts) -> Learner:
    nodes = facts.sizes["nodes"]
    if settings["features"] == "deepwalk" and nodes > LARGEST:
        raise infeasible(
            f"features deepwalk factorize a matrix of all pairs of nodes: {LARGEST} nodes at most, the graph has "
            f"{nodes}; use features identity or degree"
        )
    return NodeClassifier(GraphNetwork(settings, nodes, facts.outputs), settings, facts)


class NodeClassifier(Classifier):
    """Inputs are node numbers; `context["edges"]` are the edges of the graph. `forward` answers logits."""

    network: GraphNetwork

    def __init__(self, network: GraphNetwork, settings: Settings, facts: Facts) -> None:
        Learner.__init__(self, settings, facts)  # numbers are names here: there is nothing to standardize
        self.network = network
        self.draws: torch.Generator | None = None

    def prepare(self, data: Data) -> None:
        self.network.know(data.context["edges"])

    def answer(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.network(self.draws)[inputs]
        return out

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        self.draws = rng
        try:
            return super().loss(batch, rng)
        finally:
            self.draws = None


class GraphNetwork(nn.Module):
    """Logits [nodes, outputs] of the graph that it knows."""

    features: Tensor
    edges: Tensor

    def __init__(self, settings: Settings, nodes: int, outputs: int) -> None:
        super().__init__()
        self.kind, self.nodes, self.edge_dropout = settings["features"], nodes, settings["edge_dropout"]
        self.register_buffer("features", torch.zeros(nodes, COLUMNS[self.kind]))
        self.register_buffer("edges", torch.empty(2, 0, dtype=torch.int64), persistent=False)
        layer = Convolution if settings["aggregation"] == "gcn" else Sage
        depth, hidden = settings["layers"], settings["hidden"]
        first = None if self.kind == "identity" else COLUMNS[self.kind]
        inputs, outs = [first, *([hidden] * (depth - 1))], [*([hidden] * (depth - 1)), outputs]
        self.layers = nn.ModuleList(layer(settings, a, nodes, b) for a, b in zip(inputs, outs, strict=True))
        self.between = nn.ModuleList(
            nn.Sequential(activation(settings), Dropout(settings["dropout"])) for _ in range(depth - 1)
        )

    def know(self, edges: Tensor) -> None:
        self.edges = edges.to(self.features.device)
        graph = Graph(self.nodes, self.edges)
        match self.kind:
            case "degree":
                self.features.copy_(degree_classes(graph))
            case "deepwalk":
                self.features.copy_(deepwalk(graph))

    def forward(self, rng: torch.Generator | None) -> Tensor:
        """`rng` draws what a training step reads of the graph; without it, all is read."""
        graph = Graph(self.nodes, self.edges)
        if rng:
            graph = graph.thinned(self.edge_dropout, rng)
        h = self.features
        for i, layer in enumerate(self.layers):
            h = layer(self.between[i - 1](h) if i else h, graph, rng)
        return h
