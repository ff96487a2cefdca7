"""The algorithm hypergradient: one run that finds a path, and trainings of places of it."""

from __future__ import annotations

from typing import Any

import pytest

from search import ALGORITHMS, Done, Outcome, RunState, StudySpec, ask
from search.history import Found, Run
from search.simulation import simulate
from spaces import InvalidInput

DECAY = {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 1e-4}
NOISE = {"name": "input_noise", "type": "float", "low": 0, "high": 0.3}
LOSS = [{"name": "val_loss", "direction": "minimize"}]


def study(parameters: list[dict[str, Any]], **given: Any) -> StudySpec:
    algorithm = {"name": "hypergradient", **given.pop("options", {})}
    space = {"parameters": parameters, "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    return StudySpec.from_json({"space": space, "metrics": LOSS, "algorithm": algorithm, **given})


def outcome(run: Run) -> Outcome:
    path = tuple(Found({"weight_decay": 10.0 ** -(5 - place)}, 1 - place / 4) for place in range(4))
    if run.kind == "supernet":
        return Outcome(RunState.SUCCEEDED, found=path[: ALGORITHMS["hypergradient"].options[-1].default])
    return Outcome(RunState.SUCCEEDED, (run.config["weight_decay"],))


@pytest.mark.parametrize("workers", [1, 4])
def test_the_path_comes_first_and_then_its_places(workers: int) -> None:
    spec = study([DECAY, NOISE])
    history = simulate(spec, outcome, workers).history
    first, *others = history.runs
    assert (first.kind, first.fidelity, first.config) == ("supernet", 9, {"weight_decay": 1e-4, "input_noise": 0.15})
    assert [run.origin["rank"] for run in others] == [1, 2, 3]
    assert [run.config["weight_decay"] for run in others] == pytest.approx([1e-5, 1e-4, 1e-3])
    assert all(run.config["input_noise"] == 0.15 for run in others)
    assert isinstance(ask(spec, history), Done)


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        ({"name": "c", "type": "categorical", "choices": ["a", "b"]}, (1,), '"type": "constant", "value": "a"'),
        ({"name": "n", "type": "int", "low": 1, "high": 4}, (1,), "varies floats without a step alone, and n is none"),
        ({"name": "s", "type": "float", "low": 0, "high": 1, "step": 0.1}, (1,), "and s is none"),
        ({"name": "b", "type": "bool"}, (1,), "and b is none"),
        ({"name": "cell", "type": "cell", "preset": "nas-bench-201"}, None, "and cell.0-1 is none"),
        (
            {"name": "x", "type": "float", "low": 0, "high": 1, "when": {"parameter": "weight_decay", "gt": 1e-3}},
            (1, "when"),
            "needs parameters without conditions",
        ),
    ],
)
def test_what_it_cannot_vary_is_refused_with_advice(wrong: dict[str, Any], path: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        study([DECAY, wrong])
    problem = refused.value.problems[0]
    if path is not None:
        assert problem.path == ("space", "parameters", *path)
    assert message in problem.message
    assert '"tpe"' in problem.message


def test_a_space_without_a_float_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        study([{"name": "depth", "type": "constant", "value": 2}])
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert "needs a float without a step to vary" in problem.message


def test_constants_may_stand_beside() -> None:
    assert study([DECAY, {"name": "decay", "type": "constant", "value": "l2"}]).advice == ()


def test_it_is_not_advised_where_it_cannot_serve() -> None:
    with pytest.raises(InvalidInput) as refused:
        StudySpec.from_json(
            {
                "space": {"parameters": [{"name": "c", "type": "categorical", "choices": ["a", "b"]}]},
                "metrics": LOSS,
                "algorithm": {"name": "bohb"},
            }
        )
    assert all("hypergradient" not in problem.message for problem in refused.value.problems)


@pytest.mark.parametrize(
    "options", [{"method": "unrolled"}, {"hyper_lr": 0}, {"warmup": 1}, {"points": 0}, {"solver": "exact"}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        study([DECAY], options=options)
    assert refused.value.problems[0].path == ("algorithm", *options)


def test_options_that_are_not_read_are_told() -> None:
    spec = study([DECAY], options={"solver": "cg"})
    assert [(problem.path, problem.message) for problem in spec.advice] == [
        (("algorithm", "solver"), "is read by method implicit alone")
    ]
    assert study([DECAY], options={"solver": "cg", "method": "implicit"}).advice == ()
