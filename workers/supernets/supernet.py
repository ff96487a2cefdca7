"""The network that holds all architectures of a space: in every cell, on every edge, all operations that are left.

Norms in it use the statistics of the batch itself: there is no one network whose statistics could be remembered, and
what sampled architectures leave behind in shared ones makes each of them answer by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spaces.architectures import Architecture, OneShot
from workers.data.loading import Examples
from workers.families.blocks import infeasible
from workers.families.cell.cells import EdgeMaker
from workers.families.cell.macro import Around
from workers.families.cell.network import around, form_of
from workers.families.cell.operations import Kit
from workers.rows import Facts
from workers.supernets.methods import Mixed
from workers.supernets.mixture import EntangledEdge, MixedEdge, Mixes, PartialEdge
from workers.training.preprocessing import Standardize
from workers.training.settings import Settings

BATCH = 512  # of an evaluation, where norms see the batch
NORMED_POOLS = {"darts"}


class Supernet(nn.Module):
    """`network` [n, *shape] and how cells answer -> [n, classes] logits."""

    def __init__(
        self, architecture: OneShot, mixture: Mixed, settings: Settings, facts: Facts, partial: int = 1
    ) -> None:
        super().__init__()
        self.settings = settings
        self.standardize = Standardize(facts.shape)
        kit = Kit(settings, shared=True, normed_pools=architecture.preset in NORMED_POOLS)
        cells, masks = architecture.supercells, architecture.masks

        def edges_of(kind: str, channels: int) -> EdgeMaker:
            ops = cells[kind].ops

            def make(edge: int, stride: int) -> nn.Module:
                left: list[bool] = masks[kind][edge].tolist()
                match mixture:
                    case "sum":
                        return MixedEdge(kit, ops, channels, stride, left)
                    case "partial":
                        return PartialEdge(kit, ops, channels, stride, partial, left)
                    case "entangled":
                        return EntangledEdge(kit, ops, channels, stride, left)

            return make

        forms = {kind: form_of(architecture, cell) for kind, cell in cells.items()}
        self.network: Around = around(architecture.preset, forms, kit, edges_of, facts.shape, facts.outputs)
        assert cells.keys() == {*self.network.kinds}, "every kind of cell is searched"

    def forward(self, inputs: Tensor, mixes: Mixes) -> Tensor:
        out: Tensor = self.network(self.standardize(inputs), mixes)
        return out

    def loss(self, batch: Examples, mixes: Mixes) -> Tensor:
        """Mean cross-entropy, nats."""
        assert batch.targets is not None
        smoothing = self.settings["label_smoothing"]
        return nn.functional.cross_entropy(self(batch.inputs, mixes), batch.targets, label_smoothing=smoothing)

    @torch.no_grad()
    def scores(self, examples: Examples, mixes: Mixes) -> dict[str, float]:
        """accuracy and loss of the examples, in batches of equal size: norms see the batch."""
        device = self.standardize.mean.device
        correct, loss = 0, 0.0
        with evaluating(self):
            for part in torch.arange(len(examples)).tensor_split(math.ceil(len(examples) / BATCH)):
                batch = examples[part.to(examples.inputs.device)].to(device)
                assert batch.targets is not None
                logits = self(batch.inputs, mixes).float()
                loss += float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum"))
                correct += int((logits.argmax(dim=1) == batch.targets).sum())
        return {"accuracy": correct / len(examples), "loss": loss / len(examples)}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def one_shot(architecture: Architecture | None) -> OneShot:
    """Raises Failure INFEASIBLE where the space has no architecture with a supernet."""
    if architecture is None:
        raise infeasible("the space has no architecture: give it a parameter of type cell")
    if not isinstance(architecture, OneShot):
        raise infeasible(f"no supernet holds all architectures of {architecture.preset}: take darts or nas-bench-201")
    return architecture
