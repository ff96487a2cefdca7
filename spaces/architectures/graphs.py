"""An architecture as graphs: what is drawn, and what models of architectures look at.

A graph has its inputs first and its output last, and every edge leads from an earlier node to a later one. An edge
carries an operation of the vocabulary, or merely joins nodes (the concatenation at the end of a cell).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BITS = 1_000_000
CONCAT = "concat"


@dataclass(frozen=True)
class Edge:
    """`source` < `target`; `op` is not of the graph's vocabulary where the edge merely joins."""

    source: int
    target: int
    op: str


@dataclass(frozen=True)
class Graph:
    """`nodes` are labels; the first `inputs` are the inputs, the last is the output. Edges that carry nothing are left
    out. `ops` is the vocabulary: what an edge could carry in this space."""

    name: str
    nodes: tuple[str, ...]
    inputs: int
    edges: tuple[Edge, ...]
    ops: tuple[str, ...]

    @property
    def connected(self) -> bool:
        """Whether something leads from an input to the output."""
        return len(self.nodes) - 1 in reached(range(self.inputs), self.edges)

    @property
    def layers(self) -> list[int]:
        """A layer per node for a drawing from left to right: inputs at 0, every edge leads to the right, and the output
        stands alone in the last one."""
        layers = [0 if node < self.inputs else 1 for node in range(len(self.nodes))]
        for edge in sorted(self.edges, key=lambda edge: edge.target):
            layers[edge.target] = max(layers[edge.target], layers[edge.source] + 1)
        layers[-1] = max(layers[-1], max(layers[:-1]) + 1)
        return layers

    def drawing(self) -> dict[str, Any]:
        """`{"name", "nodes": [{"id", "label", "layer"}], "edges": [{"from", "to", "op"}]}`."""
        placed = zip(self.nodes, self.layers, strict=True)
        return {
            "name": self.name,
            "nodes": [{"id": str(node), "label": label, "layer": layer} for node, (label, layer) in enumerate(placed)],
            "edges": [{"from": str(edge.source), "to": str(edge.target), "op": edge.op} for edge in self.edges],
        }

    def adjacency(self) -> NDArray[np.int64]:
        """Shape [nodes, nodes], upper triangular: 0 without an edge, 1 + the op's index in the vocabulary, or, of edges
        that merely join, 1 + the size of the vocabulary. Of parallel edges the last one counts."""
        matrix = np.zeros((len(self.nodes), len(self.nodes)), dtype=np.int64)
        code = {op: 1 + index for index, op in enumerate(self.ops)}
        for edge in self.edges:
            matrix[edge.source, edge.target] = code.get(edge.op, 1 + len(self.ops))
        return matrix

    def path_bits(self, longest: int) -> NDArray[np.uint8]:
        """One bit per input and sequence of 1 to `longest` ops, shorter sequences first (White et al. 2021, BANANAS).

        A bit is set when these ops lie, in this order, on a path from the input to the output; of a longer path, when
        they are its beginning. Raises ValueError where that would take more than a million bits.
        """
        starts = [0]
        for length in range(1, longest + 1):
            starts.append(starts[-1] + len(self.ops) ** length)
            if starts[-1] * self.inputs > MAX_BITS:
                message = f"paths of up to {longest} of {len(self.ops)} ops take more than {MAX_BITS} bits"
                raise ValueError(f"{message}: encode shorter ones")
        index = {op: position for position, op in enumerate(self.ops)}
        bits = np.zeros(self.inputs * starts[-1], dtype=np.uint8)
        for source, path in self._paths(longest):
            place = 0
            for op in path:
                place = place * len(self.ops) + index[op]
            bits[source * starts[-1] + starts[len(path) - 1] + place] = 1
        return bits

    def _paths(self, longest: int) -> set[tuple[int, tuple[str, ...]]]:
        """The beginnings of the paths that end at the output, with the input that each comes from."""
        at: list[set[tuple[int, tuple[str, ...]]]] = [set() for _ in self.nodes]
        for node in range(self.inputs):
            at[node].add((node, ()))
        for edge in sorted(self.edges, key=lambda edge: edge.target):
            step = (edge.op,) if edge.op in self.ops else ()
            at[edge.target] |= {(source, (path + step)[:longest]) for source, path in at[edge.source]}
        return {(source, path) for source, path in at[-1] if path}


def reached(starts: Collection[int], edges: Collection[Edge]) -> set[int]:
    """The nodes that the edges lead to from any of these, and these."""
    found = set(starts)
    for edge in sorted(edges, key=lambda edge: edge.target):
        if edge.source in found:
            found.add(edge.target)
    return found


def alive(graph: Graph) -> set[int]:
    """The nodes that lie on a path from an input to the output."""
    last = len(graph.nodes) - 1
    backward = [Edge(last - edge.target, last - edge.source, edge.op) for edge in graph.edges]
    before = {last - node for node in reached([0], backward)}
    return reached(range(graph.inputs), graph.edges) & before


def drawing(graphs: Sequence[Graph]) -> dict[str, Any]:
    return {"cells": [graph.drawing() for graph in graphs]}


def adjacency(graphs: Sequence[Graph]) -> Mapping[str, NDArray[np.int64]]:
    return {graph.name: graph.adjacency() for graph in graphs}
