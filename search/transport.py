"""How far apart two architectures are: what it takes to carry the operations of one over to those of the other.

OTMANN (Kandasamy et al. 2018, Neural architecture search with Bayesian optimisation and optimal transport). Each
operation is a mass at a place: what it does, and how long the paths are that lead to it and from it. Carrying a unit of
mass to another operation costs their mismatch and `STRUCTURE` times the mean difference of these lengths; to make one,
or to do away with it, costs 1. The distance is that of the cheapest plan. It is zero for equal architectures,
symmetric, and obeys the triangle inequality.

Masses are whole numbers of units here, so that the plan is an assignment of units, which is found exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spaces.architectures.graphs import Edge, Graph, alive

Floats = NDArray[np.float64]

STRUCTURE = 0.25
"""The weight of path lengths against mismatches; the paper takes several from 0.1 to 1.5."""
CONVOLUTION = 2
"""Units of mass of a convolution; whatever has no weights has one."""
APART = 2.0
"""Nothing is carried farther: to do away with a unit and to make another costs as much."""
ANOTHER_POOLING = 0.5
ANOTHER_CONVOLUTION = 0.25
PER_ROOT_OF_KERNEL = math.sqrt(2) / 10
_KERNEL = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True)
class Layers:
    """The units of mass of a graph: of each, what it is of, as an index of `kinds`, shape [units], and the lengths of
    the shortest, the longest and the mean path (of a walk at random) from the input to it and from it to the output,
    shape [units, 6]."""

    kinds: tuple[str, ...]
    labels: NDArray[np.int64]
    lengths: Floats

    def __len__(self) -> int:
        return len(self.labels)


def layers(graph: Graph) -> Layers:
    """The operations on the way from an input to the output, and these two. What lies on no way is left out."""
    living = alive(graph)
    edges = [edge for edge in graph.edges if edge.source in living and edge.target in living]
    ops = frozenset(graph.ops)
    before, after = _forward(graph, edges, ops), _backward(graph, edges, ops)
    kinds = ("input", "output", *graph.ops)
    labels, lengths = [0] * graph.inputs, [(0.0, 0.0, 0.0, *after[node]) for node in range(graph.inputs)]
    for edge in edges:
        if edge.op in ops:
            mass = CONVOLUTION if _is_convolution(edge.op) else 1
            labels += [kinds.index(edge.op)] * mass
            lengths += [(*before[edge.source], *after[edge.target])] * mass
    labels.append(1)
    lengths.append((*before[len(graph.nodes) - 1], 0.0, 0.0, 0.0))
    return Layers(kinds, np.array(labels, dtype=np.int64), np.array(lengths, dtype=np.float64))


Lengths = tuple[float, float, float]


def _forward(graph: Graph, edges: Sequence[Edge], ops: frozenset[str]) -> list[Lengths]:
    """By node, how many operations lie before it."""
    found: list[Lengths] = [(0.0, 0.0, 0.0)] * len(graph.nodes)
    for node in range(graph.inputs, len(graph.nodes)):
        steps = [(found[edge.source], float(edge.op in ops)) for edge in edges if edge.target == node]
        found[node] = _joined(steps)
    return found


def _backward(graph: Graph, edges: Sequence[Edge], ops: frozenset[str]) -> list[Lengths]:
    """By node, how many operations lie after it."""
    found: list[Lengths] = [(0.0, 0.0, 0.0)] * len(graph.nodes)
    for node in range(len(graph.nodes) - 2, -1, -1):
        steps = [(found[edge.target], float(edge.op in ops)) for edge in edges if edge.source == node]
        found[node] = _joined(steps)
    return found


def _joined(steps: Sequence[tuple[Lengths, float]]) -> Lengths:
    if not steps:
        return 0.0, 0.0, 0.0
    shortest = min(lengths[0] + step for lengths, step in steps)
    longest = max(lengths[1] + step for lengths, step in steps)
    return shortest, longest, sum(lengths[2] + step for lengths, step in steps) / len(steps)


def mismatch(one: str, other: str) -> float:
    """What operations differ by, at most `APART`: convolutions by their kind and by the root of how much larger the
    kernel is, poolings by their kind and size, others by all."""
    if one == other:
        return 0.0
    if _is_convolution(one) and _is_convolution(other):
        kind = 0.0 if _KERNEL.sub("", one) == _KERNEL.sub("", other) else ANOTHER_CONVOLUTION
        return kind + PER_ROOT_OF_KERNEL * math.sqrt(abs(_kernel(one) - _kernel(other)))
    return ANOTHER_POOLING if "pool" in one and "pool" in other else APART


def _is_convolution(op: str) -> bool:
    return "conv" in op


def _kernel(op: str) -> int:
    """The larger side of the largest kernel in the name of an operation."""
    return max((int(side) for pair in _KERNEL.findall(op) for side in pair), default=1)


def distance(one: Sequence[Layers], other: Sequence[Layers]) -> float:
    """Between architectures with the same graphs in the same order: the sum over the graphs."""
    return sum(_carried(a, b) for a, b in zip(one, other, strict=True))


def _carried(one: Layers, other: Layers) -> float:
    """A unit that is carried saves what doing away with it and making the other costs: the largest saving is the best
    assignment. What is not worth carrying saves nothing, so all of the fewer units may be assigned."""
    from scipy.optimize import linear_sum_assignment  # takes a while to load

    assert one.kinds == other.kinds, "graphs of one space have the same operations"
    cost = _mismatches(one.kinds)[np.ix_(one.labels, other.labels)]
    cost += STRUCTURE * np.abs(one.lengths[:, None] - other.lengths).mean(axis=2)
    saving = np.minimum(cost - APART, 0.0)
    return len(one) + len(other) + float(saving[linear_sum_assignment(saving)].sum())


@lru_cache(maxsize=64)
def _mismatches(kinds: tuple[str, ...]) -> Floats:
    """Shape [kinds, kinds]."""
    return np.array([[mismatch(one, other) for other in kinds] for one in kinds], dtype=np.float64)
