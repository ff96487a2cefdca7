"""The progress of a supernet: what its reports say of the weights of its operations, epoch by epoch, and what it found.

Bounded: at most EPOCHS reports are read, however long it is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import schemas
from service.dashboard.cells import Picture, kind_of, pictures
from service.dashboard.trends import Scale, Step, Trend, points, trend
from service.models import Run
from service.repositories.dashboard import DashboardReads
from service.repositories.runs import Runs
from spaces import Space
from spaces.architectures import Architecture, OneShot, SuperCell
from spaces.architectures.searched import searched
from spaces.errors import InvalidInput
from spaces.values import Config
from workers.supernets.methods import MANY_SKIPS

EPOCHS = 40
MOST_RANKED = 20
MOST_ROWS = 100
MOST_GENOTYPES = 12
SAME = 1e-6  # a smaller difference of weights is one of rounding
SHOWN = ("train_loss", "alpha_entropy", "skip_share", "curvature")

Weights = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Line:
    """One operation of an edge over the epochs: `variant` tells operations of one kind apart."""

    op: str
    kind: str
    variant: int
    points: str
    last: float


@dataclass(frozen=True)
class Edge:
    """`lines` as the operations of the cell; `leader` is the one that weighs most now, `weight` that of the edge."""

    name: str
    lines: Sequence[Line]
    leader: Line
    weight: float | None


@dataclass(frozen=True)
class Ranked:
    """`value` is that of the config's own training, once there is one."""

    rank: int
    score: float
    genotype: str
    trial: int | None
    state: str | None
    value: float | None


@dataclass(frozen=True)
class Progress:
    run: int
    state: str
    epochs: int
    trends: Sequence[Trend]
    edges: Mapping[str, Sequence[Edge]]
    top: float
    """The largest weight that is drawn: the height of all edges alike."""
    learns: bool
    """Whether the weights of the operations differ at all."""
    cells: Sequence[Picture]
    genotypes: Sequence[tuple[str, str]]
    """The epochs, and the genotype that the weights spoke for in them; the newest first."""
    more_genotypes: int
    ranking: Sequence[Ranked]
    ranked: int
    warnings: Sequence[str]


def progress(reads: DashboardReads, study: schemas.Study, architecture: Architecture) -> Progress | None:
    """None while no supernet was begun."""
    run = reads.supernet()
    if run is None or not isinstance(architecture, OneShot):
        return None
    within = searched(Space.from_json(study.space))  # as the supernet has it, by constraints too
    assert isinstance(within, OneShot), "constraints leave an architecture what it is"
    steps, details = reads.progress(run, EPOCHS), run.details or {}
    weighed = [(step, weights) for step, metrics in steps if (weights := weights_of(architecture, metrics))]
    learns = any(_differ(within, weights) for _, weights in weighed)
    top = max((float(cell.max()) for _, weights in weighed for cell in weights.values()), default=1.0)
    genotypes = _genotypes(within, steps, details, learns=learns)
    stretches = list(_stretches(genotypes))[::-1]
    cell = _read(architecture, genotypes[-1][1]) if genotypes else None
    names = dict.fromkeys((study.metrics[0]["name"], *SHOWN))
    return Progress(
        run=run.number,
        state=run.state,
        epochs=int(steps[-1][0]) if steps else 0,
        trends=[found for name in names if (found := trend(name, steps))],
        edges=_edges(architecture, steps, weighed, top) if learns else {},
        top=top,
        learns=learns or not weighed,
        cells=pictures(architecture.drawing(cell)) if cell else [],
        genotypes=stretches[:MOST_GENOTYPES],
        more_genotypes=max(0, len(stretches) - MOST_GENOTYPES),
        ranking=_ranking(reads, architecture, run),
        ranked=len(details.get("ranking", ())),
        warnings=_texts(details, "warnings") or _warnings(steps),
    )


def weights_of(architecture: OneShot, metrics: Mapping[str, Any]) -> Weights | None:
    """The weights of a report, by kind of cell, shape [edges, ops]; None where it does not tell all of them."""
    found = {}
    for kind, cell in architecture.supercells.items():
        rows = [[metrics.get(_weight(kind, edge, op)) for op in cell.ops] for edge in cell.edges]
        if any(not isinstance(weight, int | float) for row in rows for weight in row):
            return None
        found[kind] = np.array(rows, dtype=np.float64)
    return found


def _differ(architecture: OneShot, weights: Weights) -> bool:
    """Whether an edge has operations of different weights, of those that the space leaves it: the others weigh 0."""
    return any(
        float(np.ptp(weights[kind][edge, left])) > SAME
        for kind, mask in architecture.masks.items()
        for edge, left in enumerate(mask)
    )


def _weight(kind: str, edge: tuple[int, int], op: str) -> str:
    return f"weight.{kind}.{edge[0]}-{edge[1]}.{op}"


def _edge_weights(architecture: OneShot, metrics: Mapping[str, Any]) -> Weights | None:
    """Those of edges, where a method learns them (PC-DARTS)."""
    names = {
        kind: [f"edge.{kind}.{source}-{target}" for source, target in cell.edges]
        for kind, cell in architecture.supercells.items()
    }
    if any(name not in metrics for each in names.values() for name in each):
        return None
    return {kind: np.array([metrics[name] for name in each], dtype=np.float64) for kind, each in names.items()}


def _edges(
    architecture: OneShot, steps: Sequence[Step], weighed: Sequence[tuple[float, Weights]], top: float
) -> Mapping[str, Sequence[Edge]]:
    epochs, last, scale = [step for step, _ in weighed], steps[-1][1], Scale(0.0, top)
    found = {}
    for kind, cell in architecture.supercells.items():
        over_time = np.stack([weights[kind] for _, weights in weighed])  # [epochs, edges, ops]
        looks = list(_looks(cell))
        edges = []
        for index, (source, target) in enumerate(cell.edges):
            lines = [
                Line(
                    op,
                    look,
                    variant,
                    points(epochs, values := over_time[:, index, place].tolist(), scale),
                    values[-1],
                )
                for place, (op, look, variant) in enumerate(looks)
            ]
            leader = max(lines, key=lambda line: line.last)
            edges.append(Edge(f"{source} → {target}", lines, leader, last.get(f"edge.{kind}.{source}-{target}")))
        found[kind] = edges
    return found


def _looks(cell: SuperCell) -> Iterator[tuple[str, str, int]]:
    """Every operation with its kind, and how many of that kind came before it."""
    seen: dict[str, int] = {}
    for op in cell.ops:
        kind = kind_of(op)
        yield op, kind, seen.get(kind, 0)
        seen[kind] = seen.get(kind, 0) + 1


def _genotypes(
    architecture: OneShot, steps: Sequence[Step], details: Mapping[str, Any], *, learns: bool
) -> list[tuple[int, str]]:
    """The epoch and the genotype: as the run has told once it has ended, and until then as its weights have it."""
    if told := _texts(details, "genotypes"):
        found = list(enumerate(told, 1))
        return [*found, *((len(told), last) for last in _texts(details, "genotype"))]
    found = []
    for step, metrics in steps if learns else ():
        weights = weights_of(architecture, metrics)
        if weights is not None:
            config = architecture.discretized(weights, _edge_weights(architecture, metrics))
            found.append((int(step), architecture.genotype(config)))
    return found


def _texts(details: Mapping[str, Any], name: str) -> list[str]:
    """The texts under this name; of an imported study they may be anything."""
    given = details.get(name)
    return [text for text in (given if isinstance(given, list) else [given]) if isinstance(text, str)]


def _read(architecture: Architecture, genotype: str) -> Config | None:
    try:
        return architecture.config_of(genotype)
    except InvalidInput:
        return None


def _stretches(genotypes: Sequence[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Epochs in which the genotype stayed the same, as `3–7`."""
    for genotype, group in groupby(genotypes, key=lambda pair: pair[1]):
        epochs = [epoch for epoch, _ in group]
        yield (f"{epochs[0]}–{epochs[-1]}" if epochs[-1] > epochs[0] else str(epochs[0])), genotype


def _ranking(reads: DashboardReads, architecture: Architecture, supernet: Run) -> Sequence[Ranked]:
    """The best of the ranking, and those that were trained, as far as there is room."""
    trained = reads.ranked()
    ranking: list[Mapping[str, Any]] = sorted(
        (supernet.details or {}).get("ranking", ()), key=lambda entry: -entry["score"]
    )
    fixed: Config = Runs(reads.session).get(reads.study_id, supernet.number).trial.config
    shown: list[Ranked] = []
    for rank, entry in enumerate(ranking, 1):
        run = trained.get(rank)
        if (rank <= MOST_RANKED or run is not None) and len(shown) < MOST_ROWS:
            shown.append(
                Ranked(
                    rank,
                    entry["score"],
                    architecture.genotype({**fixed, **entry["config"]}),
                    run.trial if run else None,
                    run.state if run else None,
                    run.value if run else None,
                )
            )
    return shown


def _warnings(steps: Sequence[Step]) -> list[str]:
    """What the newest report of a run under way gives cause to fear."""
    last = steps[-1][1] if steps else {}
    return [
        f"{last[name]:g} edges of the {kind} cell only carry on what they read: the search may be collapsing to skips"
        for name in last
        if (kind := name.removeprefix("skips.")) != name and kind != "reduce" and last[name] > MANY_SKIPS
    ]
