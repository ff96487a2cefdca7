"""The network of one architecture: its cells, repeated, with weights of their own in every place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces.architectures import Architecture, OneShot, SuperCell
from spaces.architectures.darts import Darts
from spaces.architectures.hierarchical import Hierarchical
from spaces.architectures.nasnet import INPUTS, NasNet, loose
from spaces.architectures.relabeling import Block
from spaces.errors import InvalidInput
from spaces.values import Config
from workers.data.loading import Examples
from workers.families.blocks import PathDrop, Settings, infeasible
from workers.families.cell.architecture import NAME, architecture_of
from workers.families.cell.cells import EdgeMaker, Form
from workers.families.cell.macro import Around, EdgesOf, Forms, Reductions, Stages
from workers.families.cell.operations import Kit, operation
from workers.families.cell.sizes import REDUCING
from workers.rows import Facts
from workers.training.learner import Epoch, Learner
from workers.training.strengths import cross_entropy
from workers.training.supervised import Classifier

NONE, CONCAT = "none", "concat"


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

    return around(settings[NAME], {kind: each.form for kind, each in wiring.items()}, kit, edges_of, shape, outputs)


@dataclass(frozen=True)
class Wiring:
    """A cell's graph, and the operation of each of its edges; None where the cell does not have it."""

    form: Form
    ops: tuple[str | None, ...]


def wiring_of(architecture: Architecture, config: Config) -> Mapping[str, Wiring]:
    """By the kind of cell."""
    if isinstance(architecture, Hierarchical):
        flat = architecture.flattened(config)
        edges = sorted(flat.edges, key=lambda edge: (edge.target, edge.source))
        form = Form(1, tuple((e.source, e.target) for e in edges), (edges[-1].target,))
        return {"cell": Wiring(form, tuple(e.op for e in edges))}
    if isinstance(architecture, NasNet):
        return {kind: of_blocks(blocks) for kind, blocks in architecture.cells(config).items()}
    assert isinstance(architecture, OneShot), f"no network for {architecture.preset}"
    found = {}
    for kind, cell in architecture.supercells.items():
        ops = (None if op is None else cell.ops[op] for op in architecture.paths(config)[kind])
        found[kind] = Wiring(form_of(architecture, cell), tuple(None if op == NONE else op for op in ops))
    return found


def of_blocks(blocks: Sequence[Block]) -> Wiring:
    """Each block is a node with two edges, which may come from one state; what no block uses is the cell's answer."""
    numbered = [*enumerate(blocks, start=INPUTS)]
    edges = tuple((state, node) for node, block in numbered for _, state in block.edges)
    beside = frozenset(node for node, block in numbered if block.combine == CONCAT)
    form = Form(INPUTS, edges, tuple(loose(blocks)), beside)
    return Wiring(form, tuple(op for block in blocks for op, _ in block.edges))


def form_of(architecture: OneShot, cell: SuperCell) -> Form:
    """Cells of DARTS answer the maps of all their nodes, those of NAS-Bench-201 the maps of the last."""
    nodes = tuple(range(cell.inputs, cell.inputs + cell.nodes))
    return Form(cell.inputs, cell.edges, nodes if isinstance(architecture, Darts) else nodes[-1:])


def around(
    preset: str,
    forms: Forms,
    kit: Kit,
    edges_of: EdgesOf,
    shape: tuple[int, ...],
    outputs: int,
) -> Around:
    """The preset's network of cells of these forms."""
    made = Reductions if preset in REDUCING else Stages
    return made(kit, forms, edges_of, shape, outputs)


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
