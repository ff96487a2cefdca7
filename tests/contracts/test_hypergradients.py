"""What every hyperparameter that is declared differentiable must do, in every family that has it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from search import ALGORITHMS
from workers.catalogue import DATASETS, FAMILIES, Dataset, Family
from workers.objectives import check
from workers.objectives.gradients import TASKS
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Supernet, to_the_end
from workers.training.hyperparameters import Hyperparameter, Real

sys.path.append(str(Path(__file__).parent))  # for the rows of the tiny datasets, which name their code
from tiny_datasets import TINY, first_for

SMALL: Mapping[str, Any] = {"cell": {"channels": 4, "layers": 1}}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in TINY.items():
        monkeypatch.setitem(DATASETS, name, row)  # type: ignore[misc]  # a plain dict


def differentiable(family: Family, dataset: Dataset) -> list[Hyperparameter]:
    return [each for each in family.hyperparameters(dataset.inputs) if each.differentiable]


CASES = [
    pytest.param(family, dataset, id=f"{family.name}-{task}-{dataset.inputs}")
    for family in FAMILIES.values()
    for task, dataset in first_for(family, TINY)
    if task in TASKS and differentiable(family, dataset)
]


def study(family: Family, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
    """All of them at once, with what must be chosen for them to be read."""
    tuned = differentiable(family, dataset)
    names = {each.name for each in family.hyperparameters(dataset.inputs)}
    wanted = {"batch_size": 16, "decay": "elastic", "adversarial": "vat", "augmentation": "manual", "norm": "layer"}
    narrow = {name: getattr(each, "low", 16) for each in family.own if (name := each.name) in family.widths}
    fixed = {name: value for name, value in wanted.items() if name in names} | narrow | SMALL.get(family.name, {})
    parameters = [{"name": each.name, "type": "float", **each.domain()} for each in tuned]
    constants = [{"name": name, "type": "constant", "value": value} for name, value in fixed.items()]
    task = family.task_on(dataset)
    assert task is not None
    return {
        "space": {"parameters": [*parameters, *constants]},
        "objective": {"type": "train", "family": family.name, "dataset": dataset.name},
        "algorithm": {"name": "hypergradient", "epochs": 2, "warmup": 0, **options},
        "metrics": [{"name": task.default.name, "direction": task.default.direction}],
    }


def carried_out(given: Mapping[str, Any]) -> Any:
    defaults = {each.name: each.default for each in ALGORITHMS["hypergradient"].options}
    options = {**defaults, **{name: value for name, value in given["algorithm"].items() if name != "name"}}
    config = {
        each["name"]: each["value"] if each["type"] == "constant" else (each["low"] + each["high"]) / 2
        for each in given["space"]["parameters"]
    }
    supernet = Supernet("hypergradient", options, given["space"])
    work = Assignment(key="1", objective=given["objective"], config=config, seed=7, supernet=supernet)
    return to_the_end(TrainObjective().train(work))


@pytest.mark.parametrize("method", ["t1t2", "implicit"])
@pytest.mark.parametrize(("family", "dataset"), CASES)
def test_what_is_differentiable_moves(family: Family, dataset: Dataset, method: str) -> None:
    given = study(family, dataset, {"method": method, "terms": 2, "every": 2})
    assert not check(given)
    reports, result = carried_out(given)
    assert all(math.isfinite(value) for report in reports for value in report.metrics.values())
    start, end = result.details["path"][0], result.details["path"][-1]
    still = {name for name in start if start[name] == end[name]}
    # regression has no labels to smooth
    assert not still - ({"label_smoothing"} if family.task_on(dataset).name != "classification" else set())


def test_what_is_differentiable_is_a_number() -> None:
    found = {
        each.name for family in FAMILIES.values() for each in family.hyperparameters("image") if each.differentiable
    }
    assert found >= {"weight_decay", "label_smoothing", "input_noise", "rotate"}
    assert not found & {"dropout", "lr", "augmentation_strength", "augmented_share", "batch_size"}
    for family in FAMILIES.values():
        assert all(isinstance(each, Real) for each in family.hyperparameters("image") if each.differentiable)
