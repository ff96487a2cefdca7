"""What `check` says about studies that cannot be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.study_file import load_study
from workers.catalogue import DATASETS, FAMILIES
from workers.objectives import check
from workers.objectives.train import TrainObjective

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.yaml"))


def study(**changes: Any) -> dict[str, Any]:
    return {
        "space": {
            "parameters": [
                {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
                {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
            ],
            "fidelity": {"name": "epochs", "low": 1, "high": 27},
        },
        "objective": {"type": "train", "family": "lenet", "dataset": "digits"},
        "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
        **changes,
    }


WIDTH = {"name": "width", "type": "int", "low": 16, "high": 64}
FIDELITY = {"name": "epochs", "low": 1, "high": 9}
LR = {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3}


@pytest.mark.parametrize(
    ("parameters", "paths"),
    [
        ([LR, WIDTH], [("space", "parameters", 1, "mutable")]),
        ([{**WIDTH, "mutable": True}, LR], [("space", "parameters", 0, "mutable")]),
        ([LR, {**WIDTH, "mutable": False}], []),
        ([LR, {"name": "width", "type": "constant", "value": 64}], []),
        (
            [{"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]}],
            [("space", "parameters", 0, "mutable")],
        ),
    ],
)
def test_what_cannot_change_in_a_training_must_be_fixed_where_the_algorithm_changes_it(
    parameters: list[Any], paths: list[Any]
) -> None:
    space = {"parameters": parameters, "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    found = check(study(space=space, algorithm={"name": "pbt"}))
    assert [problem.path for problem in found] == paths
    assert all("must be false: pbt changes configs" in problem.message for problem in found)
    assert not check(study(space=space, algorithm={"name": "hyperband"}))


def test_presets_are_fit_for_any_algorithm() -> None:
    for family in FAMILIES.values():
        if "epochs" not in family.axes:
            continue
        dataset = next(dataset for dataset in DATASETS.values() if family.fits(dataset))
        task = family.task_on(dataset)
        assert task is not None
        given = study(
            space={**family.space(dataset.inputs, "everything"), "fidelity": {"name": "epochs", "low": 1, "high": 9}},
            metrics=[{"name": task.default.name, "direction": task.default.direction}],
            algorithm={"name": "pbt"},
        )
        given["objective"] |= {"family": family.name, "dataset": dataset.name}
        assert not check(given), family.name


@pytest.mark.parametrize(("horizon", "algorithm", "wrong"), [("rung", "hyperband", 0), ("rung", "pbt", 1)])
def test_a_schedule_of_its_own_is_for_runs_that_begin_anew(horizon: str, algorithm: str, wrong: int) -> None:
    given = study(algorithm={"name": algorithm}, space={"parameters": [LR], "fidelity": FIDELITY})
    given["objective"]["schedule_horizon"] = horizon
    assert [problem.path for problem in check(given)] == [("objective", "schedule_horizon")] * wrong
    given["objective"]["schedule_horizon"] = "ring"
    assert ("objective", "schedule_horizon") in [problem.path for problem in check(given)]


@pytest.mark.parametrize("size", [{"direction": "minimize"}, {"at_most": 50_000}, {"at_least": 10, "at_most": 99}])
@pytest.mark.parametrize("name", ["parameters", "multiply_adds", "latency_ms"])
def test_what_a_network_costs_may_be_an_objective_or_a_constraint(name: str, size: dict[str, Any]) -> None:
    assert not check(study(metrics=[{"name": "val_accuracy", "direction": "maximize"}, {"name": name, **size}]))


def objective(**changes: Any) -> dict[str, Any]:
    fields = {"type": "train", "family": "lenet", "dataset": "digits", **changes}
    return study(objective={name: value for name, value in fields.items() if value is not None})


def parameters(*items: Any) -> dict[str, Any]:
    return study(space={"parameters": list(items)})


def fidelity(**changes: Any) -> dict[str, Any]:
    return study(space={"parameters": [], "fidelity": {"name": "epochs", "low": 1, "high": 9, **changes}})


def found(study: dict[str, Any]) -> dict[tuple[Any, ...], str]:
    problems = TrainObjective().check(study["objective"], study)
    return {problem.path: problem.message for problem in problems}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_well(path: Path) -> None:
    assert check(load_study(path)) == []


WIDTH = {"name": "width", "type": "int", "low": 16, "high": 256}


@pytest.mark.parametrize(
    ("study", "path", "words"),
    [
        (objective(family="lennet"), ("objective", "family"), ["lenet", "mlp"]),
        (objective(family=["lenet"]), ("objective", "family"), ["lenet"]),
        (objective(family=None), ("objective", "family"), ["required", "lenet", "mlp"]),
        (objective(dataset="digit"), ("objective", "dataset"), ["digits"]),
        (objective(dataset=None), ("objective", "dataset"), ["required", "digits"]),
        (objective(famly="mlp"), ("objective", "famly"), ["family"]),
        (objective(split_seed=-1), ("objective", "split_seed"), ["0"]),
        (objective(split_seed=True), ("objective", "split_seed"), ["integer"]),
        (objective(epochs=3), ("objective", "epochs"), ["fidelity"]),
        ({**objective(epochs="3"), "space": {"parameters": []}}, ("objective", "epochs"), ["integer"]),
        (parameters({**WIDTH, "name": "widht"}), ("space", "parameters", 0, "name"), ["width", "lr"]),
        (parameters(WIDTH, {**WIDTH, "name": "depth"}), ("space", "parameters", 1, "name"), ["lenet"]),
        (parameters({**WIDTH, "low": 0}), ("space", "parameters", 0, "low"), ["2"]),
        (parameters({**WIDTH, "type": "float"}), ("space", "parameters", 0, "type"), ["int"]),
        (
            parameters({"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamv"]}),
            ("space", "parameters", 0, "choices", 1),
            ["adamw"],
        ),
        (
            parameters({"name": "momentum", "type": "float", "low": 0.0, "high": 0.9}),
            ("space", "parameters", 0, "name"),
            ["optimizer", "sgd", "rmsprop"],
        ),
        (fidelity(name="epoch"), ("space", "fidelity", "name"), ["epochs"]),
        (fidelity(low=0.5), ("space", "fidelity", "low"), ["whole"]),
        (fidelity(type="float"), ("space", "fidelity", "type"), ["int"]),
        (study(metrics=[{"name": "val_acuracy"}]), ("metrics", 0, "name"), ["val_accuracy", "val_loss"]),
        (
            study(metrics=[{"name": "val_loss"}, {"name": "parameter", "at_most": 5}]),
            ("metrics", 1, "name"),
            ["parameters"],
        ),
    ],
)
def test_what_is_wrong_where_and_what_is_known(study: dict[str, Any], path: tuple[Any, ...], words: list[str]) -> None:
    problems = found(study)
    assert list(problems) == [path]
    assert all(word in problems[path] for word in words), problems[path]


def test_a_conditional_parent_may_make_a_hyperparameter_read() -> None:
    optimizer = {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]}
    momentum = {"name": "momentum", "type": "float", "low": 0.0, "high": 0.99}
    assert found(parameters(optimizer, momentum)) == {}


def test_everything_is_said_at_once() -> None:
    wrong = study(
        space={"parameters": [{**WIDTH, "name": "widht"}, {**WIDTH, "low": 0}], "fidelity": {"name": "steps"}},
        objective={"type": "train", "family": "lenet", "dataset": "digits", "colour": 1, "split_seed": "x"},
        metrics=[{"name": "val_accuracy"}, {"name": "f1"}],
    )
    assert set(found(wrong)) == {
        ("objective", "colour"),
        ("objective", "split_seed"),
        ("space", "parameters", 0, "name"),
        ("space", "parameters", 1, "low"),
        ("space", "fidelity", "name"),
        ("metrics", 1, "name"),
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"space": None},
        {"space": {"parameters": None, "fidelity": []}},
        {"space": {"parameters": [None, {}, {"name": 3}, {"name": "lr"}, {"name": "lr", "type": []}]}},
        {"space": {"parameters": [{"name": "momentum", "type": "float"}, {"name": "optimizer", "choices": 3}]}},
        {"metrics": None},
        {"metrics": [None, {"name": 3}, "val_loss"]},
    ],
)
def test_what_others_check_does_not_break_this_check(broken: dict[str, Any]) -> None:
    assert all(path[0] == "space" for path in found(study(**broken)))


@pytest.mark.parametrize(("dataset", "refused"), [("sunspots", True), ("digits", False)])
def test_a_series_is_not_dealt_over_folds(dataset: str, refused: bool) -> None:
    space = {"parameters": [WIDTH], "fidelity": {"name": "folds", "low": 1, "high": 5}}
    metric = [{"name": "val_loss", "direction": "minimize"}]
    found = check(study(objective={"type": "train", "family": "rnn", "dataset": dataset}, space=space, metrics=metric))
    assert [(problem.path, "later would be learnt from" in problem.message) for problem in found] == [
        (("space", "fidelity", "name"), True)
    ] * refused
