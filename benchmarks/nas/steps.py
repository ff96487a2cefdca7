"""What a step of each method takes beside one of darts on the same graph, and darts beside a bare loop.

A step is one of the architecture and one of the weights, with everything that an epoch does around it: data, learning
rate, clipping, checks, metrics (a validation split of one batch is scored). The bare loop knows nothing of mixtures,
settings or streams: it adds up weighted operations and descends. Activation memory is all that the graph of a loss
keeps for the way back; of methods that draw operations it is the mean and the largest of some draws.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.nas.supernets import ROWS, Row, opened, space_of
from benchmarks.report import table
from workers.data.loading import Data
from workers.supernets.footprint import kept_bytes
from workers.supernets.mixture import MixedEdge
from workers.supernets.pairs import drawn_pairs, gated
from workers.supernets.relaxation import Binary, Relaxation, Softmax
from workers.supernets.search import Search
from workers.supernets.supernet import Supernet

GRAPHS = {
    "nas-bench-201": (space_of("nas-bench-201", 4), {"channels": 16, "layers": 1}),
    "darts": (space_of("darts", 3), {"channels": 8, "layers": 3}),
}
BATCH, STEPS, DRAWS = 64, 5, 12
LOOP = 1.3  # the bar of darts beside the bare loop
HALF = ("gdas", "pc-darts")  # the bar of these is half the memory of darts
# what belongs to a step, not to the beginning, the end or a look in between
EVEN = {
    "batch_size": BATCH,
    "warmup": 0.0,
    "alpha_every": 1,
    "controller_steps": 1,
    "controller_samples": 1,
    "every": 100,
}


def measure(graph: str, repeats: int, rows: tuple[Row, ...] = ROWS) -> dict[str, Any]:
    """Times are the least of `repeats` rounds; in a round every method has its turn, so that a busy moment of the
    machine is not one method's."""
    space, size = GRAPHS[graph]
    searches = {row.label: short(opened(row, space, "digits", 0, {**EVEN, **size, "epochs": 10_000})) for row in rows}
    darts = searches[rows[0].label]
    loops: dict[str, Callable[[], object]] = {label: search.epoch for label, search in searches.items()}
    loops["bare loop"] = bare_epoch(darts)
    times: dict[str, list[float]] = {label: [] for label in loops}
    for number in range(repeats + 1):
        for label, loop in loops.items():
            started = time.perf_counter()
            loop()
            if number:  # the first is for warming up
                times[label].append(time.perf_counter() - started)
    least = {label: 1000 * min(taken) / STEPS for label, taken in times.items()}
    bare, first = least.pop("bare loop"), least[rows[0].label]
    paired = [a / b for a, b in zip(times[rows[0].label], times["bare loop"], strict=True)]
    memory = {label: kept(search) for label, search in searches.items()}
    whole = memory[rows[0].label]["mean"]
    return {
        "graph": graph,
        "batch": BATCH,
        **size,
        "bare_ms": bare,
        "to_bare": first / bare,
        "to_bare_median": statistics.median(paired),
        "methods": [
            {
                "method": label,
                "ms": ms,
                "to_darts": ms / first,
                "bytes": memory[label]["mean"],
                "memory_to_darts": memory[label]["mean"] / whole,
                "most_memory_to_darts": memory[label]["most"] / whole,
            }
            for label, ms in least.items()
        ],
    }


def short(search: Search) -> Search:
    """With as few examples as an epoch of STEPS needs."""
    search.train, search.validation = search.train[: BATCH * STEPS], search.validation[: BATCH * STEPS]
    search.data = Data(search.data.train, search.data.validation[:BATCH])
    return search


def bare_epoch(search: Search) -> Callable[[], None]:
    """First-order darts, from a copy of the search's network."""
    model = copy.deepcopy(search.model)
    replace_edges(model)
    alphas = [alpha.detach().clone().requires_grad_() for alpha in cast("Softmax", search.relaxation).alphas.values()]
    kinds = list(cast("Softmax", search.relaxation).alphas)
    of_weights = torch.optim.SGD(model.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    of_alphas = torch.optim.Adam(alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    train, validation = search.train, search.validation

    def loss(inputs: Tensor, targets: Tensor, learnt: bool = True) -> Tensor:
        used = alphas if learnt else [alpha.detach() for alpha in alphas]
        weights = {kind: alpha.softmax(dim=1) for kind, alpha in zip(kinds, used, strict=True)}
        logits = model.network(model.standardize(inputs), weights)
        return nn.functional.cross_entropy(logits, targets)

    def epoch() -> None:
        model.train()
        orders = (torch.randperm(len(part)).split(BATCH) for part in (train, validation))  # type: ignore[no-untyped-call]
        for chosen, judged in zip(*orders, strict=True):
            assert train.targets is not None
            assert validation.targets is not None
            found = torch.autograd.grad(loss(validation.inputs[judged], validation.targets[judged]), alphas)
            for alpha, gradient in zip(alphas, found, strict=True):
                alpha.grad = gradient
            of_alphas.step()
            of_weights.zero_grad()
            loss(train.inputs[chosen], train.targets[chosen], learnt=False).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            of_weights.step()

    return epoch


class BareEdge(nn.Module):
    """The sum of weighted operations, and nothing else."""

    def __init__(self, edge: MixedEdge) -> None:
        super().__init__()
        self.indices = [int(index) for index in edge.operations]
        self.operations = nn.ModuleList(edge.operations.values())

    def forward(self, x: Tensor, weights: Tensor, edge: int) -> Tensor:
        row = weights[edge]
        answers = [row[index] * module(x) for index, module in zip(self.indices, self.operations, strict=True)]
        out: Tensor = sum(answers[1:], answers[0])
        return out


def replace_edges(model: Supernet) -> None:
    for _, cell in model.network.cells_by_kind():
        for number, edge in cell.edges.items():
            assert isinstance(edge, MixedEdge)
            cell.edges[number] = BareEdge(edge)


def kept(search: Search) -> Mapping[str, float]:
    """Bytes of activations in the step that keeps the most: where an architecture is learnt by descent, its own."""
    relaxation, batch = search.relaxation, search.train[:BATCH]
    rng = torch.Generator().manual_seed(0)
    relaxation.begin(0, 2)
    search.model.train()
    sizes = [kept_bytes(lambda: search.model.loss(batch, largest(relaxation, rng)), search.model) for _ in range(DRAWS)]
    return {"mean": statistics.mean(sizes), "most": max(sizes)}


def largest(relaxation: Relaxation, rng: torch.Generator) -> Mapping[str, Any]:
    if not isinstance(relaxation, Binary):
        return relaxation.mixes(rng)
    mixes, _ = gated(relaxation.logits(), drawn_pairs(relaxation.means(), rng), rng)
    return mixes


def shown(measured: Mapping[str, Any]) -> str:
    head = ("method", "ms per step", "of darts'", "activations MB", "of darts'", "at most", "bar")
    rows = [
        [
            one["method"],
            f"{one['ms']:.1f}",
            f"{one['to_darts']:.2f}",
            f"{one['bytes'] / 2**20:.1f}",
            f"{one['memory_to_darts']:.2f}",
            f"{one['most_memory_to_darts']:.2f}",
            (f"0.5: {'yes' if one['memory_to_darts'] <= 0.5 else 'no'}" if one["method"] in HALF else ""),
        ]
        for one in measured["methods"]
    ]
    ratio = f"{measured['to_bare']:.2f} (least of both), {measured['to_bare_median']:.2f} (median of rounds)"
    size = f"{measured['channels']} channels, layers {measured['layers']}, batch {measured['batch']}"
    return (
        f"{measured['graph']}, {size}\n"
        f"{table(head, rows)}\ndarts, first order, beside the bare loop ({measured['bare_ms']:.1f} ms): {ratio}; "
        f"the bar is {LOOP:g}: {'yes' if measured['to_bare'] <= LOOP else 'no'}"
    )
