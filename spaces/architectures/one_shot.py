"""Architecture spaces with a supernet: its cells, and the way from the supernet's weights to an architecture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spaces.architectures.base import Architecture
from spaces.values import Config, Value

if TYPE_CHECKING:
    from spaces.architectures.ties import Ties
    from spaces.space import Space

DRAWS = 50  # of an architecture, until constraints allow one; some searches draw one for every step


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
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class OneShot(Architecture):
    """An architecture space with a supernet. `ties` are what constraints say of its choices, where they say anything
    (`spaces.architectures.searched`)."""

    ties: Ties | None = field(default=None, kw_only=True, repr=False)

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
        out by restricted choices is not chosen. Ties go to the earlier edge, and to the earlier op. Where constraints
        do not allow these parameters, those that they do allow: with one other choice, the heaviest of them, or, where
        one is not enough, with as few as possible.
        """
        values: dict[str, Value] = {}
        scored: dict[str, NDArray[np.float64]] = {}
        for kind_, cell in self.supercells.items():
            scores = np.asarray(weights[kind_], dtype=np.float64)
            assert scores.shape == (len(cell.edges), len(cell.ops)), "weights have shape [edges, ops]"
            assert np.isfinite(scores).all(), "weights are finite"
            if edge_weights is not None:
                by_edge = np.asarray(edge_weights[kind_], dtype=np.float64)
                assert by_edge.shape == (len(cell.edges),), "edge weights have shape [edges]"
                scores = scores * by_edge[:, None]
            scored[kind_] = scores
            values |= self._best(kind_, cell, scores)
        config = self.config(values)
        return config if self.allows(config) else self._nearest(config, scored)

    @abstractmethod
    def _best(self, kind: str, cell: SuperCell, scores: NDArray[np.float64]) -> dict[str, Value]:
        """The values of the genes of one kind of cell; `scores` has shape [edges, ops]."""

    @cached_property
    def masks(self) -> Masks:
        """By kind [edges, ops], False where the space's restricted choices have ruled the op out: no architecture of it
        has the op there.

        An op that no architecture has there even where nothing is restricted is not ruled out by the space, and True:
        the `none` of DARTS, by which a supernet learns that an edge is of no use.
        """
        if not self.choices:
            return {k: np.ones((len(c.edges), len(c.ops)), dtype=np.bool_) for k, c in self.supercells.items()}
        left, ever = _reached(replace(self, ties=None)), _reached(replace(self, choices=(), ties=None))
        return {kind: left[kind] | ~ever[kind] for kind in left}

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """An architecture's parameters, each choice as likely as the others, of those that constraints allow. Where
        they allow so few that none is drawn, one close to what was drawn."""
        for _ in range(DRAWS):
            config = self._unbound.sample(rng)
            if self.allows(config):
                return config
        return self._nearest(config, {kind: np.ones(mask.shape) for kind, mask in self.masks.items()})

    def allows(self, config: Config) -> bool:
        """Whether the parameters of an architecture keep the constraints."""
        return self.ties is None or self.ties.allow(config)

    def _nearest(self, config: Config, scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Value]:
        """Of the allowed configs with one other choice the one whose ops score most, taken together; without any, that
        with the fewest other choices."""
        assert self.ties is not None, "without constraints everything is allowed"
        others = ({f"{self.name}.{gene.rest}": value} for gene in self.genes for value in gene.choices)
        near = [each for other in others if self.allows(each := {**config, **other})]

        def score(each: Config) -> float:
            paths = self.paths(each)
            used = [scores[kind][edge, op] for kind in paths for edge, op in enumerate(paths[kind]) if op is not None]
            return float(np.log(np.maximum(used, np.finfo(np.float64).tiny)).sum())

        return max(near, key=score) if near else self.ties.nearest(config)

    @cached_property
    def _unbound(self) -> Space:
        """Of the parameters alone."""
        from spaces.space import Space  # which reads architectures itself

        return Space.from_json({"parameters": self.parameters()})


@lru_cache(maxsize=64)
def _reached(architecture: OneShot) -> Masks:
    """By kind [edges, ops]: whether an architecture of the space, which has no ties, has the op there. If one has,
    weights that speak for this op alone lead to such a one."""
    cells = architecture.supercells
    silent = {kind: np.zeros((len(cell.edges), len(cell.ops))) for kind, cell in cells.items()}
    found = {kind: weights > 0 for kind, weights in silent.items()}
    for kind, weights in silent.items():
        for edge, op in np.ndindex(weights.shape):
            weights[edge, op] = 1
            found[kind][edge, op] = architecture.paths(architecture.discretized(silent))[kind][edge] == op
            weights[edge, op] = 0
    return found
