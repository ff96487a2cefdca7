"""The searches that are compared: every method of one-shot search, with its variants, on small cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from search import ALGORITHMS
from spaces import Space
from spaces.architectures import OneShot, of_space
from workers.data.loading import training_data
from workers.protocol import Assignment, Supernet
from workers.supernets.search import Search
from workers.training.plan import Plan

CPU = torch.device("cpu")
CELL = "cell"


@dataclass(frozen=True)
class Row:
    """A method, what of its options differs from their defaults, and how that is written. `sampling`: its answer is
    the first of the ranking, as of its paper, for there is no one architecture that it comes to."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sampling: bool = False

    @property
    def label(self) -> str:
        return ", ".join([self.method, *(str(value) for value in self.options.values())])


ROWS = (
    Row("darts", {"order": "first"}),
    Row("darts", {"order": "second"}),
    Row("gdas"),
    Row("pc-darts"),
    Row("sdarts", {"perturbation": "random"}),
    Row("sdarts", {"perturbation": "adversarial"}),
    Row("robust-darts", {"response": "stop"}),
    Row("robust-darts", {"response": "regularize"}),
    Row("drop-path"),
    Row("rsps", sampling=True),
    Row("enas", sampling=True),
    Row("proxyless"),
    Row("weight-entanglement"),
)


def space_of(preset: str, nodes: int, ops: Sequence[str] = ()) -> dict[str, Any]:
    """With all operations of the preset if none are given."""
    only = {"ops": list(ops)} if ops else {}
    return {"parameters": [{"name": CELL, "type": CELL, "preset": preset, "nodes": nodes, **only}]}


def architecture_of(space: Mapping[str, Any]) -> OneShot:
    found = of_space(Space.from_json(space))
    assert isinstance(found, OneShot), "benchmarks search spaces that have a supernet"
    return found


def opened(
    row: Row,
    space: Mapping[str, Any],
    dataset: str,
    seed: int,
    settings: Mapping[str, Any],
    fidelity: tuple[str, float, float] | None = None,
) -> Search:
    """A search before its first epoch. Of the settings those count that are options of the method; the row's own come
    before them."""
    declared = {option.name: option.default for option in ALGORITHMS[row.method].options}
    options: dict[str, Any] = {name: value for name, value in declared.items() if value is not None}
    options |= {name: value for name, value in settings.items() if name in declared}
    options |= row.options
    objective = {"type": "train", "family": "cell", "dataset": dataset}
    wanted = Supernet(row.method, options, space)
    plan = Plan.of(Assignment(key="1", objective=objective, config={}, seed=seed, fidelity=fidelity, supernet=wanted))
    search = Search(plan, wanted, seed, CPU, options["batch_size"])
    search.prepare(training_data(plan.dataset, plan.part, CPU))
    return search
