"""Hierarchical motifs (Liu et al. 2018): small graphs with operations on their edges, and a graph with such graphs.

Level 1 are operations. A motif of level 2 is a graph of `nodes` nodes, each edge an operation or `none`; the motif of
level 3, the cell, has one node more, each edge a motif of level 2 or `none`. A node joins what its edges bring; nothing
changes its shape. Names: `cell.2.<motif>.<source>-<target>` and `cell.3.<source>-<target>`. With 6 motifs of 4 nodes
and 6 operations 7^36 * 7^10 genotypes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

from spaces.architectures import strings
from spaces.architectures.base import Architecture, Gene
from spaces.architectures.graphs import Edge, Graph, alive
from spaces.architectures.options import Count, Subset
from spaces.values import Config, Value

NONE = "none"
OPS = ("skip_connect", "conv_1x1", "dw_conv_3x3", "sep_conv_3x3", "max_pool_3x3", "avg_pool_3x3")
_MOTIF_EDGE = r"2\.(\d{1,3})\.(\d{1,3})-(\d{1,3})"

Edges = Mapping[tuple[int, int], str]


@dataclass(frozen=True)
class Hierarchical(Architecture):
    """`motifs` of level 2 with `nodes` nodes each, counting their input and output; the cell has one node more."""

    nodes: int = 4
    motifs: int = 6
    ops: tuple[str, ...] = OPS

    preset: ClassVar[str] = "hierarchical"
    options: ClassVar[Mapping[str, Count | Subset]] = {
        "nodes": Count(4, 2, 6, "nodes of a motif, with its input and output"),
        "motifs": Count(6, 1, 12, "motifs of level 2"),
        "ops": Subset(OPS, "operation", _MOTIF_EDGE),
    }

    def _genes(self) -> tuple[Gene, ...]:
        level2 = (NONE, *self.ops)
        level3 = (NONE, *(_motif(number) for number in range(1, self.motifs + 1)))
        return (
            *(
                Gene(f"2.{number}.{source}-{target}", level2)
                for number in range(1, self.motifs + 1)
                for source, target in _edges(self.nodes)
            ),
            *(Gene(f"3.{source}-{target}", level3) for source, target in _edges(self.nodes + 1)),
        )

    @classmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        found = [match for rest in rests if (match := re.fullmatch(_MOTIF_EDGE, rest))]
        nodes = 1 + max((int(match[3]) for match in found), default=0)
        return {"nodes": nodes, "motifs": max((int(match[1]) for match in found), default=0)}

    def motifs_of(self, config: Config) -> tuple[dict[str, Edges], Edges]:
        """The motifs of level 2 by name, and the cell: each an operation, or motif, or `none` by (source, target)."""
        values = self.values(config)
        motifs: dict[str, Edges] = {}
        for number in range(1, self.motifs + 1):
            motifs[_motif(number)] = {
                (source, target): str(values[f"2.{number}.{source}-{target}"]) for source, target in _edges(self.nodes)
            }
        return motifs, {(source, target): str(values[f"3.{source}-{target}"]) for source, target in self._top}

    @property
    def _top(self) -> list[tuple[int, int]]:
        return _edges(self.nodes + 1)

    def genotype(self, config: Config) -> str:
        """The motifs and, last, the cell, in the notation of NAS-Bench-201, with semicolons in between."""
        motifs, cell = self.motifs_of(config)
        parts = [strings.written(edges, self.nodes) for edges in motifs.values()]
        return ";".join([*parts, strings.written(cell, self.nodes + 1)])

    def _values_of(self, genotype: str) -> dict[str, Value]:
        parts = genotype.split(";")
        if len(parts) != self.motifs + 1:
            raise ValueError(f"it has {len(parts)} parts, this space has {self.motifs} motifs and the cell")
        values: dict[str, Value] = {}
        for number, part in enumerate(parts, start=1):
            prefix = "3" if number > self.motifs else f"2.{number}"
            values |= {f"{prefix}.{source}-{target}": op for (source, target), op in strings.read(part).items()}
        return values

    def canonical(self, config: Config) -> str:
        """The cell with each motif in the place of its name, without what no path from input to output uses, and with
        the inner nodes of motifs and cell numbered such that the text comes first. Motifs that are not used, their
        order, and edges that lead nowhere make no difference; skips do."""
        motifs, cell = self.motifs_of(config)
        texts = {name: _first_text(edges, self.nodes) for name, edges in motifs.items()}
        return _first_text({edge: texts.get(op, "") for edge, op in cell.items()}, self.nodes + 1)

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        """The cell, and the motifs that it uses."""
        motifs, cell = self.motifs_of(config)
        top = _graph("cell", cell, self.nodes + 1, tuple(motifs))
        used = {edge.op for edge in top.edges}
        return (top, *(_graph(name, edges, self.nodes, self.ops) for name, edges in motifs.items() if name in used))

    def flattened(self, config: Config) -> Graph:
        """The cell as one graph of operations: every edge that carries a motif is replaced by a copy of it."""
        motifs, cell = self.motifs_of(config)
        inner = self.nodes - 2
        labels, place, edges = ["input"], [0], []
        for target in range(1, self.nodes + 1):
            copies = [
                (source, motifs[cell[source, target]]) for source in range(target) if cell[source, target] != NONE
            ]
            place.append(len(labels) + inner * len(copies))
            for source, motif in copies:
                first = len(labels)
                ids = [place[source], *range(first, first + inner), place[target]]
                labels += [f"{source}-{target}.{node}" for node in range(1, self.nodes - 1)]
                edges += [Edge(ids[a], ids[b], op) for (a, b), op in motif.items() if op != NONE]
            labels.append(str(target) if target < self.nodes else "output")
        return Graph("cell", tuple(labels), 1, tuple(edges), self.ops)

    def operations(self, config: Config) -> tuple[Graph, ...]:
        """The flattened cell: one graph, whichever motifs are in use."""
        return (self.flattened(config),)

    def objection(self, config: Config) -> str | None:
        if self.flattened(config).connected:
            return None
        return "nothing leads from the input of the cell to its output: an edge, or a motif, of every path is empty"


def _motif(number: int) -> str:
    return f"motif-{number}"


def _edges(nodes: int) -> list[tuple[int, int]]:
    return [(source, target) for target in range(1, nodes) for source in range(target)]


def _graph(name: str, edges: Edges, nodes: int, ops: tuple[str, ...]) -> Graph:
    labels = ("input", *(str(node) for node in range(1, nodes - 1)), "output")
    carrying = tuple(Edge(*edge, op) for edge, op in edges.items() if op != NONE)
    return Graph(name, labels, 1, carrying, ops)


def _first_text(edges: Edges, nodes: int) -> str:
    """The graph as a text: "" when nothing leads through it, else the first of all numberings of its inner nodes.
    An op "" or `none` carries nothing."""
    carrying = tuple(Edge(*edge, op) for edge, op in edges.items() if op not in ("", NONE))
    living = alive(Graph("", ("",) * nodes, 1, carrying, ()))
    kept = [edge for edge in carrying if edge.source in living and edge.target in living]
    inner = sorted(living - {0, nodes - 1})
    numberings = []
    for order in permutations(inner):
        number = {0: 0, nodes - 1: len(inner) + 1} | {node: index for index, node in enumerate(order, start=1)}
        numberings.append([(number[edge.target], number[edge.source], edge.op) for edge in kept])
    ascending = [sorted(each) for each in numberings if all(source < target for target, source, _ in each)]
    return ",".join(f"{source}-{target}:[{op}]" for target, source, op in min(ascending)) if kept else ""
