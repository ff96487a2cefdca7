"""NASNet (Zoph et al. 2018): a normal and a reduction cell of blocks; each joins two operations on two earlier states.

Names, for `kind` in normal, reduce and block 2, 3, ... (states 0 and 1 are the outputs of the two cells before): for
its edges 0 and 1 `cell.<kind>.<block>.<edge>.state`, which may be the same, and `cell.<kind>.<block>.<edge>.op`, the
operation on it; `cell.<kind>.<block>.combine`, how the results are joined. The cell's output concatenates the states
that no block uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spaces.architectures.base import EDGE, OP, Architecture, Gene, Place
from spaces.architectures.graphs import CONCAT, Edge, Graph
from spaces.architectures.options import Count, Subset
from spaces.architectures.relabeling import Block, relabeled
from spaces.values import Config, Value

OPS = (
    "skip_connect",
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "dil_conv_3x3",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
USUAL = "sep_conv_3x3"
COMBINE = ("add", "concat")
INPUTS = 2
EDGES = (0, 1)
KINDS = ("normal", "reduce")
MAX_TEXT = 20_000
_EDGE = r"(\w+)~(\d{1,3})"
_BLOCK = re.compile(rf"(\w+)\({_EDGE},\s*{_EDGE}\)")


@dataclass(frozen=True)
class NasNet(Architecture):
    """`nodes` counts the blocks of a cell."""

    nodes: int = 5
    ops: tuple[str, ...] = OPS
    combine: tuple[str, ...] = COMBINE

    preset: ClassVar[str] = "nasnet"
    options: ClassVar[Mapping[str, Count | Subset]] = {
        "nodes": Count(5, 1, 6, "blocks of a cell"),
        "ops": Subset(OPS, "operation", r"\w+\.\d+\.[01]\.op"),
        "combine": Subset(COMBINE, "way to join", r"\w+\.\d+\.combine"),
    }

    def _genes(self) -> tuple[Gene, ...]:
        genes = []
        for kind in KINDS:
            for block in range(INPUTS, INPUTS + self.nodes):
                prefix = f"{kind}.{block}"
                for edge in EDGES:
                    # where nothing is searched, a block reads both inputs
                    genes.append(Gene(f"{prefix}.{edge}.state", tuple(map(str, range(block))), default=str(edge)))
                    genes.append(Gene(f"{prefix}.{edge}.op", self.ops, default=USUAL))
                genes.append(Gene(f"{prefix}.combine", self.combine))
        return tuple(genes)

    @classmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        blocks = [int(match[1]) for rest in rests if (match := re.fullmatch(r"\w+\.(\d{1,3})\.(?:[01]\.)?\w+", rest))]
        return {"nodes": max(blocks, default=INPUTS - 1) + 1 - INPUTS}

    def cells(self, config: Config) -> dict[str, list[Block]]:
        """By kind, its blocks: two (op, state) each, and how they are joined."""
        values = self.values(config)

        def block(prefix: str) -> Block:
            edges = [(str(values[f"{prefix}.{edge}.op"]), int(values[f"{prefix}.{edge}.state"])) for edge in EDGES]
            return Block(tuple(edges), str(values[f"{prefix}.combine"]))

        return {kind: [block(f"{kind}.{node}") for node in range(INPUTS, INPUTS + self.nodes)] for kind in KINDS}

    def genotype(self, config: Config) -> str:
        """Written as normal=add(sep_conv_3x3~0,skip_connect~1)+concat(...);reduce=..., the blocks in their order."""
        return _written(self.cells(config))

    def _values_of(self, genotype: str) -> dict[str, Value]:
        example = "it is written as normal=add(sep_conv_3x3~0,skip_connect~1)+...;reduce=..."
        parts = [part.split("=") for part in genotype.split(";")] if len(genotype) <= MAX_TEXT else []
        if [part[0].strip() for part in parts] != list(KINDS) or any(len(part) != 2 for part in parts):
            raise ValueError(example)
        values: dict[str, Value] = {}
        for kind, text in zip(KINDS, (part[1] for part in parts), strict=True):
            blocks = [_BLOCK.fullmatch(block.strip()) for block in text.split("+")]
            if len(blocks) != self.nodes:
                raise ValueError(f"its {kind} cell has {len(blocks)} blocks, this space has {self.nodes}")
            for node, match in enumerate(blocks, start=INPUTS):
                if match is None:
                    raise ValueError(f"block {node} of its {kind} cell cannot be read; {example}")
                combine, *edges = match.groups()
                for edge, op, state in zip(EDGES, edges[::2], edges[1::2], strict=True):
                    values |= {f"{kind}.{node}.{edge}.state": state, f"{kind}.{node}.{edge}.op": op}
                values[f"{kind}.{node}.combine"] = combine
        return values

    def canonical(self, config: Config) -> str:
        """The genotype with the edges of each block in order, and its blocks numbered anew as in DARTS. Equal cells
        differ in the order of blocks and edges alone, that is, of channels."""
        return _written({kind: relabeled(blocks, INPUTS) for kind, blocks in self.cells(config).items()})

    def edits(self, config: Config) -> Mapping[str, tuple[Place, ...]]:
        """An edge leads from another state; how a block joins its edges counts as an operation."""
        edges: list[Place] = []
        ops: list[Place] = []
        for place in self._changes(self.values(config)):
            (edges if any(rest.endswith(".state") for edit in place for rest in edit) else ops).append(place)
        return self._placed({OP: ops, EDGE: edges})

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        """A node per block; the two edges of a block may be parallel."""
        output = INPUTS + self.nodes
        graphs = []
        for kind, blocks in self.cells(config).items():
            labels = (
                "c[k-2]",
                "c[k-1]",
                *(f"{n} {block.combine}" for n, block in enumerate(blocks, start=INPUTS)),
                "output",
            )
            edges = [
                Edge(state, node, op) for node, block in enumerate(blocks, start=INPUTS) for op, state in block.edges
            ]
            joins = [Edge(node, output, CONCAT) for node in loose(blocks)]
            graphs.append(Graph(kind, labels, INPUTS, (*edges, *joins), self.ops))
        return tuple(graphs)


def loose(blocks: Sequence[Block]) -> list[int]:
    """The states that no block uses, the inputs aside: what the output concatenates."""
    used = {state for block in blocks for _, state in block.edges}
    return [state for state in range(INPUTS, INPUTS + len(blocks)) if state not in used]


def _written(cells: Mapping[str, Sequence[Block]]) -> str:
    def block(each: Block) -> str:
        return f"{each.combine}({','.join(f'{op}~{state}' for op, state in each.edges)})"

    return ";".join(f"{kind}={'+'.join(block(each) for each in blocks)}" for kind, blocks in cells.items())
