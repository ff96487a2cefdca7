"""Architecture spaces with a supernet: its cells, and the way from the supernet's weights to an architecture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.architectures.base import Architecture
from spaces.values import Config, Value


@dataclass(frozen=True)
class SuperCell:
    """A cell with every operation on every edge. Nodes are numbered through: `inputs` inputs, then `nodes` that are
    computed. Edges (source, target) come target by target, in the order (0, 2), (1, 2), (0, 3), ..."""

    inputs: int
    nodes: int
    edges: tuple[tuple[int, int], ...]
    ops: tuple[str, ...]

    @classmethod
    def dense(cls, inputs: int, nodes: int, ops: Sequence[str]) -> SuperCell:
        """Every node sees all nodes before it."""
        edges = ((source, target) for target in range(inputs, inputs + nodes) for source in range(target))
        return cls(inputs, nodes, tuple(edges), tuple(ops))


Weights = Mapping[str, NDArray[np.floating[Any]]]


class OneShot(Architecture):
    """An architecture space with a supernet."""

    @property
    @abstractmethod
    def supercells(self) -> Mapping[str, SuperCell]:
        """The cells of the supernet by kind."""

    @abstractmethod
    def paths(self, config: Config) -> Mapping[str, tuple[int | None, ...]]:
        """By kind and edge of the supercell: the index of the op that the architecture has there, None where it does
        not use the edge."""

    def discretized(self, weights: Weights, edge_weights: Weights | None = None) -> dict[str, Value]:
        """The architecture's parameters (with the constant) that the weights of a supernet speak for.

        `weights`: by kind, shape [edges, ops], larger is better (softmaxed, so that operations of different edges can
        be compared). `edge_weights`: by kind, shape [edges], which multiply them (PC-DARTS). What the space has ruled
        out by restricted choices is not chosen. Ties go to the earlier edge, and to the earlier op.
        """
        values: dict[str, Value] = {}
        for kind_, cell in self.supercells.items():
            scores = np.asarray(weights[kind_], dtype=np.float64)
            assert scores.shape == (len(cell.edges), len(cell.ops)), "weights have shape [edges, ops]"
            assert np.isfinite(scores).all(), "weights are finite"
            if edge_weights is not None:
                by_edge = np.asarray(edge_weights[kind_], dtype=np.float64)
                assert by_edge.shape == (len(cell.edges),), "edge weights have shape [edges]"
                scores = scores * by_edge[:, None]
            values |= self._best(kind_, cell, scores)
        return self.config(values)

    @abstractmethod
    def _best(self, kind: str, cell: SuperCell, scores: NDArray[np.float64]) -> dict[str, Value]:
        """The values of the genes of one kind of cell; `scores` has shape [edges, ops]."""
