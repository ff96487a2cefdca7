"""What a search tells after each epoch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spaces.architectures import OneShot
from spaces.values import Config
from workers.supernets.methods import MANY_SKIPS
from workers.supernets.relaxation import Relaxation, entropy

SKIP = "skip_connect"


def metrics_of(relaxation: Relaxation, found: Config) -> dict[str, float]:
    """`alpha_entropy` (nats, mean over edges), `skip_share` (of the edges that the genotype uses), by kind
    `skips.<kind>` (how many), `weight.<kind>.<i>-<j>.<op>` (of an edge they sum to 1) and `edge.<kind>.<i>-<j>`, where
    edges have weights."""
    means, edges = relaxation.means(), relaxation.edge_means()
    told = {"alpha_entropy": sum(entropy(mean) for mean in means.values()) / len(means)}
    skips, used = skips_of(relaxation.architecture, found)
    told["skip_share"] = sum(skips.values()) / max(1, sum(used.values()))
    told |= {f"skips.{kind}": float(count) for kind, count in skips.items()}
    for kind, cell in relaxation.cells.items():
        rows = _rows(means[kind])
        for edge, (source, target) in enumerate(cell.edges):
            for op, weight in zip(cell.ops, rows[edge], strict=True):
                told[f"weight.{kind}.{source}-{target}.{op}"] = weight
            if edges is not None:
                told[f"edge.{kind}.{source}-{target}"] = float(edges[kind][edge].detach())
    return told


def _rows(mean: Tensor) -> list[list[float]]:
    rows: list[list[float]] = mean.detach().double().cpu().tolist()
    return rows


def skips_of(architecture: OneShot, config: Config) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """By kind of cell: how many edges only carry on what they read, and how many edges there are."""
    paths = architecture.paths(config)
    named = {
        kind: [cell.ops[op] for op in paths[kind] if op is not None] for kind, cell in architecture.supercells.items()
    }
    return {kind: ops.count(SKIP) for kind, ops in named.items()}, {kind: len(ops) for kind, ops in named.items()}


def warnings_of(architecture: OneShot, config: Config) -> list[str]:
    """What is wrong with the genotype, in words."""
    found = []
    for kind, count in skips_of(architecture, config)[0].items():
        if kind != "reduce" and count > MANY_SKIPS:
            found.append(
                f"{count} edges of the {kind} cell only carry on what they read: the search has collapsed to skips, "
                "and a random architecture may do better; sdarts, robust-darts or drop-path prevent it"
            )
    if reason := architecture.objection(config):
        found.append(reason)
    return found
