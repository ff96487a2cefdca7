"""A space as others use it: validate, sample, encode, decode, default, key."""

import json
import math
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from spaces import Bool, Categorical, Constant, Fidelity, Float, Integer, InvalidInput, Leaf, Ordinal, Space

DIGITS: dict[str, Any] = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1.0e-4, "high": 0.3, "log": True},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {
            "name": "momentum",
            "type": "float",
            "low": 0.0,
            "high": 0.99,
            "when": {"parameter": "optimizer", "equals": "sgd"},
        },
        {"name": "width", "type": "int", "low": 16, "high": 256, "log": True},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 27},
}


@pytest.fixture
def space() -> Space:
    return Space.from_json(DIGITS)


def test_reading(space: Space) -> None:
    assert space == Space(
        (
            Float("lr", 1e-4, 0.3, log=True),
            Categorical("optimizer", ("sgd", "adamw")),
            Float("momentum", 0, 0.99, when=Leaf("optimizer", "equals", "sgd")),
            Integer("width", 16, 256, log=True),
        ),
        Fidelity("epochs", 1, 27),
    )
    assert space["lr"] == Float("lr", 1e-4, 0.3, log=True)
    assert [parameter.name for parameter in space] == ["lr", "optimizer", "momentum", "width"]
    assert len(space) == 4
    assert "width" in space
    assert "epochs" not in space


@pytest.mark.parametrize(
    ("written", "kind", "low", "high"),
    [
        ({"low": 1, "high": 27}, "int", 1, 27),
        ({"low": 0.1, "high": 1}, "float", 0.1, 1.0),
        ({"low": 1, "high": 27, "type": "float"}, "float", 1.0, 27.0),
        ({"low": 1, "high": 27, "type": "int"}, "int", 1, 27),
    ],
)
def test_fidelity(written: dict[str, Any], kind: str, low: float, high: float) -> None:
    space = Space.from_json({"parameters": [{"name": "x", "type": "bool"}], "fidelity": {"name": "r", **written}})
    assert space.fidelity is not None
    assert (space.fidelity.type, space.fidelity.low, space.fidelity.high) == (kind, low, high)
    assert type(space.fidelity.low) is type(space.fidelity.high) is (int if kind == "int" else float)
    assert Space.from_json(space.to_json()) == space


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        ({"lr": 0.01, "optimizer": "adamw", "width": 32}, {}),
        ({"lr": 0.01, "optimizer": "sgd", "momentum": 0.9, "width": 32}, {}),
        ({"lr": 0.01, "optimizer": "sgd", "momentum": 0, "width": 32}, {}),
        ({"lr": 0.01, "optimizer": "sgd", "width": 32}, {"momentum": "is required"}),
        (
            {"lr": 0.01, "optimizer": "adamw", "momentum": 0.9, "width": 32},
            {"momentum": 'not active here, leave it out; it needs optimizer = "sgd"'},
        ),
        (
            {"lr": 0.01, "optimizer": "adamw", "momentum": None, "width": 32},
            {"momentum": "not active here"},
        ),
        # whether momentum is wanted cannot be told, but a value can still be wrong
        ({"lr": 0.01, "optimizer": "lion", "width": 32}, {"optimizer": 'one of "sgd", "adamw", got "lion"'}),
        (
            {"lr": 0.01, "optimizer": "lion", "momentum": 2, "width": 32},
            {"optimizer": "must be one of", "momentum": "must be between 0.0 and 0.99, got 2"},
        ),
        ({"momentum": 0.5}, {"lr": "is required", "optimizer": "is required", "width": "is required"}),
        (
            {"lr": "0.01", "optimizer": ["sgd"], "width": 32.0},
            {"lr": "must be a number, got a text", "optimizer": "got a list", "width": "must be an integer, got 32.0"},
        ),
        ({"lr": math.nan, "optimizer": "adamw", "width": True}, {"lr": "got NaN", "width": "must be an integer"}),
        (
            {"lr": 0.01, "optimizer": "adamw", "widht": 32, "width": 32},
            {"widht": 'unknown parameter "widht"; did you mean "width"?'},
        ),
        ({"lr": 0.01, "optimizer": "adamw", "width": 32, "epochs": 3}, {"epochs": "is the fidelity"}),
        ({"lr": 0.01, "optimizer": "adamw", "width": 32, 7: 3}, {"7": "unknown parameter 7"}),
    ],
)
def test_validate(space: Space, config: dict[Any, Any], problems: dict[str, str]) -> None:
    if not problems:
        space.validate(config)
        return
    with pytest.raises(InvalidInput) as caught:
        space.validate(config)
    found = {problem.path: problem.message for problem in caught.value.problems}
    for name, message in problems.items():
        assert message in found[name,]
    assert len(found) == len(problems)


@pytest.mark.parametrize("config", [None, [], "lr", 3])
def test_a_config_is_an_object(space: Space, config: object) -> None:
    with pytest.raises(InvalidInput, match="must be an object"):
        space.validate(config)


def test_encode(space: Space) -> None:
    point = space.encode({"lr": 0.3, "optimizer": "adamw", "width": 16})
    assert point[0] == pytest.approx(1)
    assert point[1] == 0.75
    assert np.isnan(point[2])
    assert point[3] == pytest.approx(math.log(16 / 15.5) / math.log(256.5 / 15.5))


def test_decode_ignores_inactive_axes_and_fills_gaps_with_defaults(space: Space) -> None:
    assert space.decode([0, 1, 0.5, 0]) == {"lr": 1e-4, "optimizer": "adamw", "width": 16}
    assert space.decode([-3, 0, 2, math.inf]) == {"lr": 1e-4, "optimizer": "sgd", "momentum": 0.99, "width": 256}
    assert space.decode([math.nan] * 4) == space.default()


@pytest.mark.parametrize("point", [[], [0.5] * 3, [[0.5] * 4]])
def test_a_point_has_one_coordinate_per_parameter(space: Space, point: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        space.decode(point)


@pytest.mark.parametrize(
    ("parameter", "default"),
    [
        (Float("x", 1e-4, 1e-2, log=True), pytest.approx(1e-3)),
        (Float("x", 0, 2), 1.0),
        (Float("x", 0, 2, default=0), 0.0),
        (Float("x", 0, 0.5, step=0.1), 0.3),
        (Integer("x", 1, 9), 5),
        (Integer("x", 1, 9, default=2), 2),
        (Categorical("x", ("a", "b", "c")), "a"),
        (Categorical("x", ("a", "b", "c"), default="c"), "c"),
        (Categorical("x", (1, True), default=True), True),
        (Ordinal("x", ("s", "m", "l")), "m"),
        (Ordinal("x", ("s", "m", "l"), default="s"), "s"),
        (Bool("x"), False),
        (Bool("x", default=True), True),
        (Constant("x", "fixed"), "fixed"),
    ],
)
def test_default(parameter: Any, default: Any) -> None:
    space = Space((parameter,))
    assert space.default() == {"x": default}
    assert type(space.default()["x"]) is type(parameter.default_value)
    space.validate(space.default())


def test_sampling_frequencies_of_integers() -> None:
    space = Space((Integer("n", 1, 4),))
    rng = np.random.default_rng(0)
    counts = Counter(space.sample(rng)["n"] for _ in range(20_000))
    assert sorted(counts) == [1, 2, 3, 4]
    assert all(abs(count / 20_000 - 0.25) < 0.012 for count in counts.values())


def test_sampling_is_uniform_on_the_scale(space: Space) -> None:
    rng = np.random.default_rng(1)
    configs = [space.sample(rng) for _ in range(2_000)]
    points = np.sort([space.encode(config)[0] for config in configs])
    assert np.max(np.abs(points - (np.arange(2_000) + 0.5) / 2_000)) < 0.04  # Kolmogorov-Smirnov, p > 1e-3
    assert 0.45 < sum("momentum" in config for config in configs) / 2_000 < 0.55


def test_a_sample_takes_the_same_number_of_draws_whatever_is_active(space: Space) -> None:
    rng, reference = np.random.default_rng(2), np.random.default_rng(2)
    for _ in range(20):
        space.sample(rng)
        reference.random(4)
    assert rng.random() == reference.random()


def test_configs_are_in_declared_order_even_when_children_come_first() -> None:
    space = Space((Bool("child", when=Leaf("parent", "equals", True)), Bool("parent", default=True)))
    assert list(space.default()) == ["child", "parent"]
    assert list(space.decode([0.1, 0.9])) == ["child", "parent"]
    assert list(space.decode([0.1, 0.1])) == ["parent"]


def test_key_tells_apart_what_json_tells_apart() -> None:
    space = Space((Categorical("c", (1, True, "1", 0, False)), Float("x", -1, 1), Integer("n", 0, 9)))
    keys = {space.key({"c": choice, "x": 0.5, "n": 1}) for choice in (1, True, "1", 0, False)}
    assert len(keys) == 5
    assert space.key({"c": 1, "x": 1, "n": 1}) == space.key({"n": 1, "x": 1.0, "c": 1}) == '{"c":1,"n":1,"x":1.0}'
    assert space.key({"c": 1, "x": -0.0, "n": 1}) == space.key({"c": 1, "x": 0, "n": 1})
    grid = Space((Float("x", 0, 0.5, step=0.1),))
    assert grid.key({"x": 0.1 + 0.2}) == grid.key({"x": 0.3}) == '{"x":0.3}'


def test_key_and_sample_are_the_same_in_another_process(space: Space) -> None:
    program = (
        "import json, sys, numpy; from spaces import Space; space = Space.from_json(json.loads(sys.argv[1]));"
        "print(space.key(space.sample(numpy.random.default_rng(7))), end='')"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program, json.dumps(DIGITS)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert answers == {space.key(space.sample(np.random.default_rng(7)))}


def test_spaces_that_differ_only_in_true_and_one_differ() -> None:
    assert Space((Categorical("c", (0, 1)),)) != Space((Categorical("c", (False, True)),))
    assert Space((Constant("c", 1),)) != Space((Constant("c", True),))
    assert Space((Float("x", 0, 1),)) == Space((Float("x", 0.0, 1.0),))
    assert Fidelity("r", 1, 9) != Fidelity("r", 1.0, 9.0)
