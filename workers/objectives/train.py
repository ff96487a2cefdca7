"""The objective `train`: a network family, trained on a dataset.

    objective: {type: train, family: lenet, dataset: digits}

Options: `split_seed` draws another split of the dataset into train, validation and test; `epochs` is the length of a
training where the space has no fidelity in epochs; `schedule_horizon` is what the schedule of the learning rate is
laid out over: `max`, the highest fidelity, so that runs go on from each other, or `rung`, the fidelity of the run
itself, which then begins anew; `deterministic` forbids all that may differ from time to time on a
GPU; `compile` hands the network to torch.compile. The space may name any hyperparameter of the family and of the
recipe; the others keep their defaults. What is available, and within which limits, stands in `workers.catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from search import ALGORITHMS
from spaces.checks import unknown
from spaces.errors import InvalidInput, Problem
from spaces.values import kind, listing, show
from workers.catalogue import DATASETS, FAMILIES, Dataset, Family, dataset_of
from workers.objectives.gradients import gradient_problems
from workers.objectives.metrics import metric_problems
from workers.objectives.preset_space import Written, written_out
from workers.objectives.supernets import supernet_problems
from workers.protocol import Assignment, Metrics, Training
from workers.rows import CONTINUED
from workers.supernets.methods import METHODS
from workers.training.hyperparameters import Complement, Hyperparameter

OPTIONS = ("type", "family", "dataset", "split_seed", "epochs", "schedule_horizon", "deterministic", "compile")
NO_FOLDS = {
    "time": "what comes later would be learnt from",
    "few": "its split says how few labels are known",
    "drawn": "its split is a given one",
}
HORIZONS = ("max", "rung")
MAX_OPTION = 2**31 - 1

Row = TypeVar("Row", Family, Dataset)


class TrainObjective:
    """A `workers.protocol.Objective`. Only a run itself loads torch."""

    def check(self, objective: Mapping[str, Any], study: Mapping[str, Any]) -> Sequence[Problem]:
        problems = list(_option_problems(objective))
        family = _row(FAMILIES, objective.get("family"))
        dataset = _dataset(objective.get("dataset"), problems)
        space = study.get("space")
        if family and dataset and not family.fits(dataset):
            problems.append(Problem(("objective", "family"), _misfit(family, dataset)))
        elif family and isinstance(space, Mapping):
            problems += _parameter_problems(family, dataset, space)
            problems += _mutability_problems(family, dataset, study)
            problems += gradient_problems(family, dataset, study)
            problems += _horizon_problems(objective, study)
        if family and isinstance(space, Mapping):
            problems += _fidelity_problems(family, dataset, objective, space)
        if family and dataset and (task := family.task_on(dataset)):
            problems += metric_problems(study, [metric.name for metric in task.choices], by=task.title)
        if not problems and isinstance(space, Mapping):
            problems += supernet_problems(objective, study)
        return problems

    def written_out(self, objective: Mapping[str, Any], space: Mapping[str, Any]) -> Written:
        """The space that names a preset, with all its parameters. Raises InvalidInput."""
        family = _row(FAMILIES, objective.get("family"))
        if family is None:
            raise InvalidInput(_option_problems(objective))
        return written_out(space, family, _dataset(objective.get("dataset"), []))

    def train(self, assignment: Assignment) -> Training:
        if assignment.supernet is not None:
            from workers.hypergradients import training as hypergradients
            from workers.supernets import training as supernets

            if assignment.supernet.method in METHODS:
                return (yield from supernets.train(assignment))
            return (yield from hypergradients.train(assignment))
        from workers.training import loop

        return (yield from loop.train(assignment))

    def test(self, assignment: Assignment) -> Metrics:
        from workers.training import loop

        return loop.test(assignment)

    def warm(self) -> None:
        """Loads what a training needs, for workers that have nothing to do yet."""
        import_module("workers.training.loop")


def _option_problems(objective: Mapping[str, Any]) -> Iterator[Problem]:
    for name in objective:
        if name not in OPTIONS:
            yield Problem(("objective", str(name)), unknown("field", name, OPTIONS))
    for field, table in (("family", FAMILIES), ("dataset", DATASETS)):
        row = objective.get(field)
        if field == "dataset" and isinstance(row, Mapping):
            continue  # an uploaded one
        if field not in objective:
            yield Problem(("objective", field), f"is required (known: {listing(table)})")
        elif not isinstance(row, str) or row not in table:
            yield Problem(("objective", field), unknown(field, row, list(table)))
    for field, least in (("split_seed", 0), ("epochs", 1)):
        value = objective.get(field, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_OPTION:
            got = show(value) if isinstance(value, int | float) else kind(value)
            yield Problem(("objective", field), f"must be an integer from {least} to {MAX_OPTION}, got {got}")
    for field in ("deterministic", "compile"):
        if not isinstance(objective.get(field, False), bool):
            yield Problem(("objective", field), f"must be true or false, got {kind(objective[field])}")
    if (horizon := objective.get("schedule_horizon", "max")) not in HORIZONS:
        yield Problem(("objective", "schedule_horizon"), unknown("horizon", horizon, HORIZONS))


def _misfit(family: Family, dataset: Dataset) -> str:
    fitting = listing(each.name for each in FAMILIES.values() if each.fits(dataset))
    return (
        f"{family.name} does {' and '.join(family.tasks)} of {' or '.join(family.inputs)} inputs; {dataset.name} is "
        f"for {' and '.join(dataset.tasks)} of {dataset.inputs} inputs (families for it: {fitting})"
    )


def _parameter_problems(family: Family, dataset: Dataset | None, space: Mapping[str, Any]) -> Iterator[Problem]:
    """The space's parameters that the family does not have, whose values it cannot take, or that it never reads."""
    listed = space.get("parameters")
    if not isinstance(listed, list | tuple):
        return
    inputs = dataset.inputs if dataset else family.inputs[-1]
    known = {each.name: each for each in family.hyperparameters(inputs)}
    defaults = {each.name: each.default for each in known.values()}
    written = {p["name"]: p for p in listed if isinstance(p, Mapping) and isinstance(p.get("name"), str)}
    for index, parameter in enumerate(listed):
        if not isinstance(parameter, Mapping) or not isinstance(parameter.get("name"), str):
            continue
        name, path = parameter["name"], ("space", "parameters", index)
        if name not in known:
            yield Problem((*path, "name"), unknown(f"hyperparameter of {family.name}", name, list(known)))
            continue
        wrong = list(known[name].problems(parameter))
        yield from (problem.under(*path) for problem in wrong)
        if isinstance(short := known[name], Complement) and short.of in written:
            yield Problem(
                (*path, "name"), f"{name} is 1 - {short.of}, which this space names, too: leave one of them out"
            )
        elif not wrong and not known[name].readable(written, defaults):
            yield Problem((*path, "name"), _never_read(known[name]))


def _mutability_problems(family: Family, dataset: Dataset | None, study: Mapping[str, Any]) -> Iterator[Problem]:
    """The parameters that the algorithm would change in the middle of a training, which cannot go on with that."""
    algorithm = study.get("algorithm")
    row = ALGORITHMS.get(str(algorithm.get("name"))) if isinstance(algorithm, Mapping) else None
    listed = study["space"].get("parameters")
    if row is None or not row.forks or not isinstance(listed, list | tuple):
        return
    inputs = dataset.inputs if dataset else family.inputs[-1]
    fixed = [each.name for each in family.hyperparameters(inputs) if not each.mutable]
    for index, parameter in enumerate(listed):
        if not isinstance(parameter, Mapping) or parameter.get("name") not in fixed:
            continue
        always_the_same = parameter.get("type") == "constant" and parameter.get("when") is None
        if parameter.get("mutable", True) is True and not always_the_same:
            message = f"must be false: {row.name} changes configs in the middle of a training, which cannot go on with"
            yield Problem(("space", "parameters", index, "mutable"), f"{message} another {parameter['name']}")


def _horizon_problems(objective: Mapping[str, Any], study: Mapping[str, Any]) -> Iterator[Problem]:
    algorithm = study.get("algorithm")
    row = ALGORITHMS.get(str(algorithm.get("name"))) if isinstance(algorithm, Mapping) else None
    if row is not None and row.forks and objective.get("schedule_horizon") == "rung":
        message = f"must be max: with {row.name} trainings go on from each other, and with rung each begins anew"
        yield Problem(("objective", "schedule_horizon"), message)


def _never_read(hyperparameter: Hyperparameter) -> str:
    assert hyperparameter.when is not None, "what has no condition is always read"
    parent, (operator, operand) = hyperparameter.when["parameter"], list(hyperparameter.when.items())[-1]
    wanted = {"equals": "is", "in": "is one of", "gt": "is more than"}[operator]
    values = listing(operand if isinstance(operand, list) else [operand])
    return f"{hyperparameter.name} is read only where {parent} {wanted} {values}, which this space never has"


def _fidelity_problems(
    family: Family, dataset: Dataset | None, objective: Mapping[str, Any], space: Mapping[str, Any]
) -> Iterator[Problem]:
    fidelity, path = space.get("fidelity"), ("space", "fidelity")
    if not isinstance(fidelity, Mapping):
        return
    axis = fidelity.get("name")
    if isinstance(axis, str) and axis not in family.axes:
        yield Problem((*path, "name"), unknown(f"fidelity of {family.name}", axis, family.axes))
        return
    if axis in CONTINUED:
        yield from _whole(fidelity, str(axis))
    elif fidelity.get("type") == "int":
        yield Problem((*path, "type"), f"{axis} is a part of the whole, from 0 to 1: use type float")
    elif isinstance(high := fidelity.get("high"), int | float) and high > 1:
        yield Problem((*path, "high"), f"{axis} is a part of the whole: 1 at most, got {show(high)}")
    if axis == "folds" and dataset and dataset.splitting not in ("stratified", "random"):
        yield Problem((*path, "name"), f"{dataset.name} cannot be dealt over folds: {NO_FOLDS[dataset.splitting]}")
    if axis == "folds" and isinstance(high := fidelity.get("high"), int) and high < 2:
        yield Problem((*path, "high"), "at least 2 folds are needed")
    if axis == "epochs" and "epochs" in objective:
        yield Problem(("objective", "epochs"), "the space's fidelity says how long to train; leave one of them out")


def _whole(fidelity: Mapping[str, Any], axis: str) -> Iterator[Problem]:
    path = ("space", "fidelity")
    if fidelity.get("type") == "float":
        yield Problem((*path, "type"), f"{axis} are whole numbers: use type int")
    for end in ("low", "high"):
        value = fidelity.get(end)
        if isinstance(value, float) and math.isfinite(value):
            yield Problem((*path, end), f"{axis} are whole numbers, got {show(value)}")


def _dataset(reference: object, problems: list[Problem]) -> Dataset | None:
    """The dataset that an objective names; what is wrong with an uploaded one is added to the problems."""
    if not isinstance(reference, Mapping):
        return _row(DATASETS, reference)
    if "columns" not in reference:  # of a study from elsewhere: known by its contents alone
        return None
    try:
        return dataset_of(reference)
    except InvalidInput as error:
        problems += error.problems
        return None


def _row(table: Mapping[str, Row], name: object) -> Row | None:
    return table.get(name) if isinstance(name, str) else None
