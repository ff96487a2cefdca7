"""DARTS (Liu et al. 2019): a normal and a reduction cell; each node sums two operations on two earlier states.

Names, for `kind` in normal, reduce and node 2, 3, ... (0 and 1 are the outputs of the two cells before):
`cell.<kind>.<node>.inputs`, the pair of states such as "0-2" (left out for node 2, which has one pair only),
`cell.<kind>.<node>.op0` and `.op1`, the operations on them. The cell's output concatenates its nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spaces.architectures.base import EDGE, OP, Gene, Place
from spaces.architectures.graphs import CONCAT, Edge, Graph
from spaces.architectures.one_shot import OneShot, SuperCell
from spaces.architectures.options import Count, Subset
from spaces.architectures.relabeling import Block, relabeled
from spaces.values import Config, Value

NONE = "none"
OPS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
KINDS = ("normal", "reduce")
MAX_TEXT = 20_000
_PAIR = re.compile(r"\(\s*['\"](\w+)['\"]\s*,\s*(\d{1,3})\s*\)")
_LIST = r"\s*\[([^\[\]]*)\]\s*"
_RANGE = r"\s*(?:\[[\d,\s]*\]|range\(\s*\d{1,3}\s*,\s*\d{1,3}\s*\))\s*"
_GENOTYPE = re.compile(
    rf"\s*Genotype\(\s*normal={_LIST},\s*normal_concat=({_RANGE}),\s*reduce={_LIST},\s*reduce_concat=({_RANGE})\)\s*"
)


@dataclass(frozen=True)
class Darts(OneShot):
    """`nodes` counts those between the two inputs and the output."""

    nodes: int = 4
    ops: tuple[str, ...] = OPS

    preset: ClassVar[str] = "darts"
    options: ClassVar[Mapping[str, Count | Subset]] = {
        "nodes": Count(4, 1, 6, "nodes of the cell between its inputs and its output"),
        "ops": Subset(OPS, "operation", r"\w+\.\d+\.op[01]"),
    }

    def _genes(self) -> tuple[Gene, ...]:
        genes = []
        for kind in KINDS:
            for node in range(2, 2 + self.nodes):
                if len(_pairs(node)) > 1:
                    genes.append(Gene(f"{kind}.{node}.inputs", tuple(f"{a}-{b}" for a, b in _pairs(node))))
                genes += [Gene(f"{kind}.{node}.op{which}", self.ops) for which in (0, 1)]
        return tuple(genes)

    @classmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        nodes = [int(match[1]) for rest in rests if (match := re.fullmatch(r"\w+\.(\d+)\.\w+", rest))]
        return {"nodes": max(nodes, default=1) - 1}

    def cells(self, config: Config) -> dict[str, list[Block]]:
        """By kind, a block per node: its two (op, state) in ascending order of the states."""
        values = self.values(config)
        cells: dict[str, list[Block]] = {}
        for kind in KINDS:
            cells[kind] = []
            for node in range(2, 2 + self.nodes):
                pair = str(values.get(f"{kind}.{node}.inputs", "0-1")).split("-")
                ops = (str(values[f"{kind}.{node}.op{which}"]) for which in (0, 1))
                cells[kind].append(Block(tuple((op, int(state)) for op, state in zip(ops, pair, strict=True))))
        return cells

    def genotype(self, config: Config) -> str:
        """As it is published: Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=...)."""
        return self._written(self.cells(config))

    def _written(self, cells: Mapping[str, Sequence[Block]]) -> str:
        parts = []
        for kind in KINDS:
            edges = [edge for block in cells[kind] for edge in block.edges]
            parts.append(f"{kind}={edges}, {kind}_concat={list(range(2, 2 + self.nodes))}")
        return f"Genotype({', '.join(parts)})"

    def _values_of(self, genotype: str) -> dict[str, Value]:
        """The two edges of a node may come in either order, as they do in published genotypes."""
        match = _GENOTYPE.fullmatch(genotype) if len(genotype) <= MAX_TEXT else None
        if match is None:
            example = "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, ...], reduce=..., ...)"
            raise ValueError(f"it is written as {example}")
        values: dict[str, Value] = {}
        for kind, edges, concat in ((KINDS[0], match[1], match[2]), (KINDS[1], match[3], match[4])):
            pairs = [(op, int(state)) for op, state in _PAIR.findall(edges)]
            if re.sub(r"[\s,]", "", _PAIR.sub("", edges)):
                raise ValueError(f"its {kind} cell is not a list of ('op', state)")
            if len(pairs) != 2 * self.nodes:
                raise ValueError(f"its {kind} cell has {len(pairs)} edges, this space has {2 * self.nodes}")
            if _concatenated(concat) != list(range(2, 2 + self.nodes)):
                raise ValueError(f"its {kind} cell does not concatenate all of its {self.nodes} nodes")
            for node in range(2, 2 + self.nodes):
                (op0, state0), (op1, state1) = sorted(pairs[2 * node - 4 : 2 * node - 2], key=lambda edge: edge[1])
                if not state0 < state1 < node:
                    raise ValueError(f"node {node} of its {kind} cell must have two different states before it")
                if node > 2:
                    values[f"{kind}.{node}.inputs"] = f"{state0}-{state1}"
                values |= {f"{kind}.{node}.op0": op0, f"{kind}.{node}.op1": op1}
        return values

    def canonical(self, config: Config) -> str:
        """The genotype with the nodes of each cell numbered anew: the first of all numberings that keep every node
        after its states. Equal cells differ in the order of their nodes alone, that is, of the output's channels."""
        return self._written({kind: relabeled(blocks, 2) for kind, blocks in self.cells(config).items()})

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        output = 2 + self.nodes
        labels = ("c[k-2]", "c[k-1]", *(str(node) for node in range(2, output)), "output")
        graphs = []
        for kind, blocks in self.cells(config).items():
            edges = [Edge(state, node, op) for node, block in enumerate(blocks, start=2) for op, state in block.edges]
            joins = [Edge(node, output, CONCAT) for node in range(2, output)]
            graphs.append(Graph(kind, labels, 2, (*edges, *joins), self.ops))
        return tuple(graphs)

    def edits(self, config: Config) -> Mapping[str, tuple[Place, ...]]:
        """An edge takes its operation along to another state that the node does not read yet; where the space has no
        such pair of states, both edges move."""
        changes = {rest: place for place in self._changes(self.values(config)) for edit in place for rest in edit}
        ops = [place for rest, place in changes.items() if not rest.endswith("inputs")]
        moves: list[Place] = []
        for kind, blocks in self.cells(config).items():
            for node, (edge, other) in enumerate((block.edges for block in blocks), start=2):
                near = [_moved(f"{kind}.{node}", *ends, node) for ends in ((edge, other), (other, edge))]
                possible = any(self._has(edit) for place in near for edit in place)
                moves += near if possible else [changes.get(f"{kind}.{node}.inputs", ())]
        return self._placed({OP: ops, EDGE: moves})

    @property
    def supercells(self) -> Mapping[str, SuperCell]:
        """With `none` in front of the operations: a supernet learns with it that an edge is of no use."""
        return {kind: SuperCell.dense(2, self.nodes, (NONE, *self.ops)) for kind in KINDS}

    def paths(self, config: Config) -> Mapping[str, tuple[int | None, ...]]:
        found: dict[str, tuple[int | None, ...]] = {}
        for kind, blocks in self.cells(config).items():
            used = {
                (state, node): 1 + self.ops.index(op)
                for node, block in enumerate(blocks, start=2)
                for op, state in block.edges
            }
            found[kind] = tuple(used.get(edge) for edge in self.supercells[kind].edges)
        return found

    def _best(self, kind: str, cell: SuperCell, scores: NDArray[np.float64]) -> dict[str, Value]:
        """Per node the two states whose best op (`none` aside) weighs most, each with this op."""
        row = {edge: index for index, edge in enumerate(cell.edges)}
        choices = {gene.rest: gene.choices for gene in self.genes}
        values: dict[str, Value] = {}
        for node in range(2, 2 + self.nodes):
            prefix = f"{kind}.{node}"
            best: tuple[list[float], str, tuple[str, str]] | None = None
            for pair in choices.get(f"{prefix}.inputs", ("0-1",)):
                states = [int(state) for state in str(pair).split("-")]
                found = [
                    _heaviest(scores[row[state, node]], cell.ops, choices[f"{prefix}.op{which}"])
                    for which, state in enumerate(states)
                ]
                # larger first: the two largest of all pairs, without adding up weights
                weight = sorted((weight for weight, _ in found), reverse=True)
                if best is None or weight > best[0]:
                    best = weight, str(pair), (found[0][1], found[1][1])
            assert best is not None, "a node has at least one pair of states"
            if f"{prefix}.inputs" in choices:
                values[f"{prefix}.inputs"] = best[1]
            values |= {f"{prefix}.op0": best[2][0], f"{prefix}.op1": best[2][1]}
        return values


def _pairs(node: int) -> list[tuple[int, int]]:
    """The pairs of states before a node, in the order 0-1, 0-2, 1-2, 0-3, ..."""
    return sorted(combinations(range(node), 2), key=lambda pair: pair[::-1])


def _moved(prefix: str, edge: tuple[str, int], kept: tuple[str, int], node: int) -> Place:
    """The genes of a node with the one edge (op, state) at every other state that is free, and the other kept."""
    found: list[dict[str, Value]] = []
    for state in range(node):
        if state not in (edge[1], kept[1]):
            (op0, state0), (op1, state1) = sorted(((edge[0], state), kept), key=lambda each: each[1])
            found.append({f"{prefix}.inputs": f"{state0}-{state1}", f"{prefix}.op0": op0, f"{prefix}.op1": op1})
    return tuple(found)


def _heaviest(weights: NDArray[np.float64], ops: Sequence[str], allowed: Sequence[Value]) -> tuple[float, str]:
    index = max((ops.index(str(op)) for op in allowed), key=lambda index: weights[index])
    return float(weights[index]), ops[index]


def _concatenated(text: str) -> list[int]:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return list(range(*numbers)) if "range" in text else numbers
