"""A chain of convolutions in stages: the whole network, of a form that network morphisms can grow (Wei et al. 2016).

Between stages the resolution is halved. Names, for stage 1, 2, ... and block 1, 2, ...: `cell.<stage>.width`, the
channels of its blocks; `cell.<stage>.blocks`, how many there are; `cell.<stage>.<block>.kernel`; and
`cell.<stage>.<block>.skip`, whether the block's input is added to its output. The last two are active where the stage
has the block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spaces.architectures.base import Architecture, Gene
from spaces.architectures.graphs import Edge, Graph
from spaces.architectures.options import Count, Subset
from spaces.values import Config, Value

WIDTHS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
KERNELS = (1, 3, 5, 7)
MAX_TEXT = 20_000
_BLOCK_GENE = r"(\d{1,3})\.(\d{1,3})\.(?:kernel|skip)"
_STAGE = re.compile(r"(\d{1,4}):(\d{1,2}s?(?:,\d{1,2}s?)*)")


@dataclass(frozen=True)
class Block:
    """A convolution, `skip`: whose input is added to its output."""

    kernel: int
    skip: bool


@dataclass(frozen=True)
class Stage:
    width: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Chain(Architecture):
    """`blocks` is the most that a stage may have."""

    stages: int = 3
    blocks: int = 4
    widths: tuple[int, ...] = (16, 24, 32, 48, 64, 96, 128)
    kernels: tuple[int, ...] = (3, 5, 7)

    preset: ClassVar[str] = "chain"
    options: ClassVar[Mapping[str, Count | Subset]] = {
        "stages": Count(3, 1, 6, "stages"),
        "blocks": Count(4, 1, 8, "the most blocks of a stage"),
        "widths": Subset(WIDTHS, "width", r"\d+\.width", usual=(16, 24, 32, 48, 64, 96, 128)),
        "kernels": Subset(KERNELS, "kernel", r"\d+\.\d+\.kernel", usual=(3, 5, 7)),
    }

    def _genes(self) -> tuple[Gene, ...]:
        allowed = dict(self.choices)
        genes = []
        for stage in range(1, self.stages + 1):
            genes.append(Gene(f"{stage}.width", self.widths, ordered=True))
            genes.append(Gene(f"{stage}.blocks", tuple(range(1, self.blocks + 1)), ordered=True))
            numbers = [int(number) for number in allowed.get(f"{stage}.blocks", range(1, self.blocks + 1))]
            for block in range(1, max(numbers) + 1):
                enough = min(number for number in numbers if number >= block)
                least = (f"{stage}.blocks", enough) if enough > min(numbers) else None
                genes.append(Gene(f"{stage}.{block}.kernel", self.kernels, ordered=True, least=least))
                genes.append(Gene(f"{stage}.{block}.skip", (False, True), least=least))
        return tuple(genes)

    @classmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        stages = [int(match[1]) for rest in rests if (match := re.fullmatch(r"(\d{1,3})\.width", rest))]
        blocks = [int(match[2]) for rest in rests if (match := re.fullmatch(_BLOCK_GENE, rest))]
        return {"stages": max(stages, default=0), "blocks": max(blocks, default=0)}

    def stages_of(self, config: Config) -> tuple[Stage, ...]:
        """The network that the config describes."""
        values = self.values(config)

        def block(prefix: str) -> Block:
            return Block(int(values[f"{prefix}.kernel"]), bool(values[f"{prefix}.skip"]))

        return tuple(
            Stage(
                int(values[f"{stage}.width"]),
                tuple(block(f"{stage}.{number}") for number in range(1, int(values[f"{stage}.blocks"]) + 1)),
            )
            for stage in range(1, self.stages + 1)
        )

    def config_of_stages(self, stages: Sequence[Stage]) -> dict[str, Value]:
        """The config that describes this network: what a morphism made of another one. Raises InvalidInput where the
        space does not have it."""
        return self.config_of(_written(stages))

    def smallest(self) -> dict[str, Value]:
        """The config from which all others grow: the first choice of everything."""
        first = {gene.rest: gene.choices[0] for gene in self.genes if gene.least is None}
        for gene in self.genes:
            if gene.least is not None and int(first[gene.least[0]]) >= gene.least[1]:
                first[gene.rest] = gene.choices[0]
        return self.config(first)

    def growths(self, config: Config) -> list[tuple[str, dict[str, Value]]]:
        """One step each to a larger network that can compute the same, as its name and the parameters that it sets:
        `widen` a stage to its next width, `deepen` it to its next number of blocks, a `kernel` to its next size, a
        `skip`."""
        values, genes = self.values(config), {gene.rest: gene for gene in self.genes}
        found: list[tuple[str, dict[str, Value]]] = []
        names = {"width": "widen", "blocks": "deepen", "kernel": "kernel", "skip": "skip"}
        for rest, value in values.items():
            larger = [choice for choice in genes[rest].choices if choice > value]  # type: ignore[operator]
            if not larger:
                continue
            place, _, what = rest.rpartition(".")
            edit: dict[str, Value] = {rest: larger[0]}
            if what == "blocks":
                for block in range(int(value) + 1, int(larger[0]) + 1):
                    new = (f"{place}.{block}.kernel", f"{place}.{block}.skip")
                    edit |= {name: genes[name].choices[0] for name in new}
            found.append((f"{names[what]} {place}", {f"{self.name}.{key}": each for key, each in edit.items()}))
        return found

    def costs(self, config: Config) -> tuple[float, float]:
        """The weights of the convolutions, and their multiply-adds per pixel of an image with three channels."""
        weights, multiply_adds, inputs = 0.0, 0.0, 3
        for number, stage in enumerate(self.stages_of(config)):
            for place, block in enumerate(stage.blocks):
                size = stage.width * inputs * (block.kernel**2 + (block.skip and place == 0))
                weights, multiply_adds, inputs = weights + size, multiply_adds + size / 4**number, stage.width
        return weights, multiply_adds

    def genotype(self, config: Config) -> str:
        """By stage, its width and the kernels of its blocks, an s behind those with a skip: 16:3,3s|32:5|64:3,3s,7."""
        return _written(self.stages_of(config))

    def _values_of(self, genotype: str) -> dict[str, Value]:
        stages = genotype.split("|") if len(genotype) <= MAX_TEXT else []
        if len(stages) != self.stages:
            raise ValueError(f"it has {len(stages)} stages, this space has {self.stages}; written as 16:3,3s|32:5|64:7")
        values: dict[str, Value] = {}
        for stage, text in enumerate(stages, start=1):
            match = _STAGE.fullmatch(text)
            if match is None:
                raise ValueError(f"stage {stage} is {text!r}, not written as 16:3,3s")
            blocks = match[2].split(",")
            values |= {f"{stage}.width": int(match[1]), f"{stage}.blocks": len(blocks)}
            for number, block in enumerate(blocks, start=1):
                values |= {f"{stage}.{number}.kernel": int(block.rstrip("s"))}
                values |= {f"{stage}.{number}.skip": block.endswith("s")}
        return values

    def canonical(self, config: Config) -> str:
        """The genotype: different chains are different networks."""
        return self.genotype(config)

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        """A graph per stage. A skip is part of its block's operation."""
        ops = tuple(_op(Block(kernel, skip)) for kernel in self.kernels for skip in (False, True))
        graphs = []
        for number, stage in enumerate(self.stages_of(config), start=1):
            last = len(stage.blocks)
            labels = ("input", *(f"{stage.width} channels" for _ in range(1, last)), f"output, {stage.width} channels")
            edges = tuple(Edge(index, index + 1, _op(block)) for index, block in enumerate(stage.blocks))
            graphs.append(Graph(f"stage {number}", labels, 1, edges, ops))
        return tuple(graphs)


def _written(stages: Sequence[Stage]) -> str:
    def block(each: Block) -> str:
        return f"{each.kernel}s" if each.skip else str(each.kernel)

    return "|".join(f"{stage.width}:{','.join(block(each) for each in stage.blocks)}" for stage in stages)


def _op(block: Block) -> str:
    return f"conv_{block.kernel}x{block.kernel}" + ("+skip" if block.skip else "")
