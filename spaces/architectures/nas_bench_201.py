"""NAS-Bench-201 (Dong & Yang 2020): a cell of four nodes, each of which sees all before it, one operation per edge.

Names: `cell.<source>-<target>`, the operation of the edge. With four nodes and five operations 15,625 cells, of which
341 connect nothing with their output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spaces.architectures import strings
from spaces.architectures.base import Gene
from spaces.architectures.graphs import Edge, Graph
from spaces.architectures.one_shot import OneShot, SuperCell
from spaces.architectures.options import Count, Subset
from spaces.values import Config, Value

NONE, SKIP, CONV = "none", "skip_connect", "nor_conv_3x3"
OPS = (NONE, SKIP, "nor_conv_1x1", CONV, "avg_pool_3x3")
_EDGE = r"\d+-\d+"


@dataclass(frozen=True)
class NasBench201(OneShot):
    """`nodes` counts the input and the output."""

    nodes: int = 4
    ops: tuple[str, ...] = OPS

    preset: ClassVar[str] = "nas-bench-201"
    options: ClassVar[Mapping[str, Count | Subset]] = {
        "nodes": Count(4, 2, 8, "nodes of the cell, with its input and output"),
        "ops": Subset(OPS, "operation", _EDGE),
    }

    @property
    def _edges(self) -> list[tuple[int, int]]:
        return [(source, target) for target in range(1, self.nodes) for source in range(target)]

    def _genes(self) -> tuple[Gene, ...]:
        # the first operation is none, of which nothing could be trained
        return tuple(Gene(f"{source}-{target}", self.ops, default=CONV) for source, target in self._edges)

    @classmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        targets = [int(rest.split("-")[1]) for rest in rests if re.fullmatch(_EDGE, rest)]
        return {"nodes": 1 + max(targets, default=0)}

    def ops_of(self, config: Config) -> dict[tuple[int, int], str]:
        """The operation of every edge (source, target)."""
        values = self.values(config)
        return {(source, target): str(values[f"{source}-{target}"]) for source, target in self._edges}

    def genotype(self, config: Config) -> str:
        return strings.written(self.ops_of(config), self.nodes)

    def _values_of(self, genotype: str) -> dict[str, Value]:
        ops = strings.read(genotype)
        return {f"{source}-{target}": op for (source, target), op in ops.items()}

    def canonical(self, config: Config) -> str:
        """The output as an expression of the input, by the rule with which NAS-Bench-201 counts 6,466 different cells.

        Cells with the same text compute the same. Not the other way round: that rule keeps zeros as terms of a sum, and
        sorts the terms of a sum as texts, without opening the sums among them; by algebra there are 4,930.
        """
        return merged(self.ops_of(config), self.nodes, zero=True)

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        labels = ("input", *(str(node) for node in range(1, self.nodes - 1)), "output")
        edges = [Edge(*edge, op) for edge, op in self.ops_of(config).items() if op != NONE]
        return (Graph("cell", labels, 1, tuple(edges), tuple(op for op in self.ops if op != NONE)),)

    @property
    def supercells(self) -> Mapping[str, SuperCell]:
        return {"cell": SuperCell.dense(1, self.nodes - 1, self.ops)}

    def paths(self, config: Config) -> Mapping[str, tuple[int | None, ...]]:
        ops = self.ops_of(config)
        return {"cell": tuple(self.ops.index(ops[edge]) for edge in self._edges)}

    def _best(self, kind: str, cell: SuperCell, scores: NDArray[np.float64]) -> dict[str, Value]:
        """Per edge the op with the largest weight, which may be `none`."""
        values: dict[str, Value] = {}
        for gene, of_edge in zip(self.genes, scores, strict=True):
            indices = [self.ops.index(str(op)) for op in gene.choices]
            values[gene.rest] = self.ops[max(indices, key=lambda index: of_edge[index])]
        return values


def merged(ops: Mapping[tuple[int, int], str], nodes: int, *, zero: bool) -> str:
    """The output as an expression: 0 is the input, (a)@op an operation on a, and a skip on a is a. With `zero`, #
    stands for what `none`, or an operation on #, gives. The counts of the benchmark hang on this way of writing."""
    expressions = ["0"]
    for target in range(1, nodes):
        terms = []
        for source in range(target):
            op, before = ops[source, target], expressions[source]
            if zero and (op == NONE or before == "#"):
                terms.append("#")
            else:
                terms.append(before if op == SKIP else f"({before})@{op}")
        expressions.append("+".join(sorted(terms)))
    return expressions[-1]
