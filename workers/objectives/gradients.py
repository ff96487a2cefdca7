"""Whether a family's hyperparameters can descend on a loss, where a study varies them so. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search import ALGORITHMS
from search.algorithms.row import Algorithm
from spaces.errors import Problem
from spaces.values import listing
from workers.rows import Dataset, Family

TASKS = ("classification", "regression", "forecasting", "segmentation")  # of learners with one loss and its examples


def gradient_problems(family: Family, dataset: Dataset | None, study: Mapping[str, Any]) -> Iterator[Problem]:
    """That a space has only floats and constants is the algorithm's own matter."""
    row = _row(study)
    if row is None:
        return
    inputs = dataset.inputs if dataset else family.inputs[-1]
    can = {each.name for each in family.hyperparameters(inputs) if each.differentiable}
    task = family.task_on(dataset) if dataset else None
    if not can or (task and task.name not in TASKS):
        message = f"{family.name} has nothing that {row.name} can vary: its tasks are {listing(TASKS)}, and decay"
        yield Problem(("objective", "family"), f"{message}, noise or smoothing must be among the hyperparameters")
        return
    listed = study["space"].get("parameters")
    for index, parameter in enumerate(listed if isinstance(listed, list | tuple) else ()):
        if not isinstance(parameter, Mapping):
            continue
        name, path = parameter.get("name"), ("space", "parameters", index)
        if parameter.get("type") == "constant":
            if (name, parameter.get("value")) == ("optimizer", "lbfgs"):
                yield Problem((*path, "value"), f"{row.name} moves between steps, and lbfgs has few: choose another")
        elif isinstance(name, str) and name not in can:
            message = f"{row.name} cannot vary {name}, by which no loss is differentiated; fix it, as a constant"
            yield Problem(path, f"{message} (it can: {listing(sorted(can))})")


def _row(study: Mapping[str, Any]) -> Algorithm | None:
    """The study's algorithm, if it varies hyperparameters by gradients."""
    algorithm = study.get("algorithm")
    row = ALGORITHMS.get(str(algorithm.get("name"))) if isinstance(algorithm, Mapping) else None
    return row if row is not None and row.continuous else None
