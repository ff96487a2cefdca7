"""The network of one architecture: its cells, repeated, with weights of their own in every place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces.architectures import Architecture, OneShot
from spaces.architectures.hierarchical import Hierarchical
from spaces.errors import InvalidInput
from spaces.values import Config
from workers.data.loading import Examples
from workers.families.blocks import PathDrop, Settings, infeasible
from workers.families.cell.architecture import NAME, architecture_of
from workers.families.cell.cells import EdgeMaker, Form
from workers.families.cell.macro import Around, EdgesOf, Reductions, Stages
from workers.families.cell.operations import Kit, operation
from workers.rows import Facts
from workers.training.learner import Epoch, Learner
from workers.training.strengths import cross_entropy
from workers.training.supervised import Classifier

NONE = "none"
AROUND: Mapping[str, tuple[type[Stages] | type[Reductions], bool]] = {
    "nas-bench-201": (Stages, False),
    "darts": (Reductions, True),
    "hierarchical": (Stages, False),
}
"""By preset the network around its cells, and whether a cell answers the maps of all its nodes."""


def build(settings: Settings, facts: Facts) -> Learner:
    """Raises Failure INFEASIBLE where the architecture connects nothing, or the image is too small for it."""
    return CellClassifier(network(settings, facts.shape, facts.outputs), settings, facts)


def network(settings: Settings, shape: tuple[int, ...], outputs: int) -> Around:
    """[n, channels, h, w] -> [n, outputs]"""
    try:
        architecture, config = architecture_of(settings)
        reason = architecture.objection(config)
    except InvalidInput as error:
        raise infeasible(f"no architecture: {error}") from error
    if reason is not None:
        raise infeasible(reason)
    wiring, kit = wiring_of(architecture, config), Kit(settings)

    def edges_of(kind: str, channels: int) -> EdgeMaker:
        def make(edge: int, stride: int) -> nn.Module | None:
            name = wiring[kind].ops[edge]
            if name is None:
                return None
            made = operation(kit, name, channels, stride)
            # an identity is never dropped, or a gradient would find no way
            return made if isinstance(made, nn.Identity) else nn.Sequential(made, PathDrop(settings["drop_path"]))

        return make

    graph = next(iter(wiring.values()))
    return around(settings[NAME], graph.inputs, graph.edges, kit, edges_of, shape, outputs)


@dataclass(frozen=True)
class Wiring:
    """A cell's graph, and the operation of each of its edges; None where the cell does not have it."""

    inputs: int
    edges: tuple[tuple[int, int], ...]
    ops: tuple[str | None, ...]


def wiring_of(architecture: Architecture, config: Config) -> Mapping[str, Wiring]:
    """By the kind of cell."""
    if isinstance(architecture, Hierarchical):
        flat = architecture.flattened(config)
        edges = sorted(flat.edges, key=lambda edge: (edge.target, edge.source))
        return {"cell": Wiring(1, tuple((e.source, e.target) for e in edges), tuple(e.op for e in edges))}
    assert isinstance(architecture, OneShot), f"no network for {architecture.preset}"
    found = {}
    for kind, cell in architecture.supercells.items():
        ops = (None if op is None else cell.ops[op] for op in architecture.paths(config)[kind])
        found[kind] = Wiring(cell.inputs, cell.edges, tuple(None if op == NONE else op for op in ops))
    return found


def around(
    preset: str,
    inputs: int,
    edges: tuple[tuple[int, int], ...],
    kit: Kit,
    edges_of: EdgesOf,
    shape: tuple[int, ...],
    outputs: int,
) -> Around:
    """The preset's network, with these edges in its cells."""
    made, concatenated = AROUND[preset]
    return made(kit, Form(inputs, edges, concatenated), edges_of, shape, outputs)


class CellClassifier(Classifier):
    """Operations are dropped the more, the longer it trains: after the part t of the training with the probability
    t `drop_path` (B. Zoph et al., Learning transferable architectures, 2018)."""

    network: Around

    def begin_epoch(self, epoch: Epoch) -> None:
        set_drop(self, self.settings["drop_path"] * epoch.progress(0))

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        if not self.settings["auxiliary"]:
            return super().loss(batch, rng)
        assert batch.targets is not None
        logits, auxiliary = self.network.answers(self.corrupt(self.standardize(batch.inputs)))
        loss = self._error(logits, batch.targets)
        return loss if auxiliary is None else loss + self.settings["auxiliary"] * self._error(auxiliary, batch.targets)

    def _error(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits, targets, self.settings["label_smoothing"])


def set_drop(model: nn.Module, probability: float) -> None:
    for module in model.modules():
        if isinstance(module, PathDrop):
            module.p = probability
