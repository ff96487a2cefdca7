"""Columns of points against the space's own way with one config at a time, and the features and maximiser on top."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cube import Cube
from search.features import ONE_HOT, Features
from search.maximizer import Effort, Proposals
from spaces import Space

SPACE = Space.from_json(
    {
        "parameters": [
            {"name": "inner", "type": "int", "low": 1, "high": 9, "log": True, "when": {"parameter": "mom", "gt": 0.5}},
            {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
            {"name": "opt", "type": "categorical", "choices": ["sgd", "adamw", "lion"]},
            {"name": "mom", "type": "float", "low": 0, "high": 1, "when": {"parameter": "opt", "equals": "sgd"}},
            {"name": "drop", "type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
            {"name": "rate", "type": "float", "low": 0.1, "high": 0.5, "step": 0.1, "log": True},
            {"name": "width", "type": "int", "low": 1, "high": 500},
            {"name": "batch", "type": "ordinal", "choices": [16, 32, 64]},
            {"name": "flag", "type": "bool"},
            {"name": "fixed", "type": "constant", "value": 1},
        ]
    }
)
CONSTRAINED = Space.from_json(
    {
        "parameters": [{"name": name, "type": "float", "low": 0, "high": 1} for name in "ab"],
        "constraints": [{"linear": {"a": 1, "b": 1}, "le": 0.5}],
    }
)
AXIS = {parameter.name: axis for axis, parameter in enumerate(SPACE.parameters)}


@given(st.integers(0, 2**32))
def test_settling_is_decoding_and_encoding(seed):
    points = np.random.default_rng(seed).random((50, len(SPACE)))
    settled = Cube(SPACE).settled(points)
    expected = np.array([SPACE.encode(SPACE.decode(point)) for point in points])
    assert settled == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert [SPACE.decode(point) for point in settled] == [SPACE.decode(point) for point in expected]
    assert Cube(SPACE).settled(np.nan_to_num(settled, nan=0.5)) == pytest.approx(settled, abs=1e-12, nan_ok=True)


@given(st.integers(0, 2**32))
def test_a_neighbour_differs_in_one_parameter_and_its_children(seed):
    rng = np.random.default_rng(seed)
    cube = Cube(SPACE)
    points = cube.uniform(4, rng)
    rows, around = cube.neighbours(points, 0.2, rng)
    assert set(rows.tolist()) == set(range(4))
    for row, point in zip(rows, around, strict=True):
        before, after = SPACE.decode(points[row]), SPACE.decode(point)
        SPACE.validate(after)
        assert before != after
        changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
        assert len(changed) == 1
        for name in before.keys() ^ after.keys():
            assert SPACE[name].when is not None


def test_all_choices_and_the_next_values_are_among_the_neighbours():
    rng = np.random.default_rng(0)
    start = {"lr": 0.01, "opt": "adamw", "drop": 0.2, "rate": 0.3, "width": 7, "batch": 32, "flag": True, "fixed": 1}
    _, around = Cube(SPACE).neighbours(SPACE.encode(start)[None], 0.001, rng)
    found = [SPACE.decode(point) for point in around]
    assert {"sgd", "lion"} <= {config["opt"] for config in found}
    assert {0.1, 0.3} <= {config["drop"] for config in found}
    assert {0.2, 0.4} <= {config["rate"] for config in found}
    assert {6, 8} <= {config["width"] for config in found}
    assert {16, 64} <= {config["batch"] for config in found}
    assert False in {config["flag"] for config in found}
    assert any("mom" in config for config in found)


def test_constraints_hold_everywhere():
    rng = np.random.default_rng(0)
    cube = Cube(CONSTRAINED)
    points = cube.uniform(20, rng)
    rows, around = cube.neighbours(points, 0.2, rng)
    assert len(rows) == len(around) > 20
    proposals = Proposals(CONSTRAINED, lambda x: x.sum(axis=1), points[:0], Effort(50, 3), polish=lambda x: x + 0.01)
    assert all(a + b <= 0.5 + 1e-9 for a, b in np.concatenate((points, around)))
    best = proposals(rng)
    assert 0.45 < best["a"] + best["b"] <= 0.5


def test_features_of_inactive_and_chosen_parameters():
    features = Features(SPACE)
    sgd = {
        "lr": 0.01,
        "opt": "sgd",
        "mom": 0.2,
        "drop": 0.2,
        "rate": 0.3,
        "width": 7,
        "batch": 32,
        "flag": True,
        "fixed": 1,
    }
    lion = {**{name: value for name, value in sgd.items() if name != "mom"}, "opt": "lion", "flag": False}
    x, y = features(np.array([SPACE.encode(sgd), SPACE.encode(lion)]))
    assert len(x) == features.width == 7 + 3 + 1 + 2
    assert not np.isnan([x, y]).any()
    assert x[:7] == pytest.approx([0.5, SPACE.encode(sgd)[1], 0.2, *SPACE.encode(sgd)[4:8]])
    assert y[2] == 0.5
    assert x[7:].tolist() == [ONE_HOT, 0, 0, 1, 0, 1]
    assert y[7:].tolist() == [0, 0, ONE_HOT, 0, 0, 0]
    assert np.linalg.norm(x[7:10] - y[7:10]) == pytest.approx(1)
    assert [SPACE.parameters[axis].name for axis in features.smooth] == ["lr", "mom", "width"]
    assert features.columns.tolist() == [1, 2, 5]


def test_the_maximum_is_found_on_every_kind_of_axis():
    target = {
        "lr": 0.02, "opt": "sgd", "mom": 0.8, "inner": 3, "drop": 0.4, "rate": 0.5, "width": 123, "batch": 64,
        "flag": True, "fixed": 1,
    }  # fmt: skip
    wanted = SPACE.encode(target)

    def score(points):
        return -(np.nan_to_num(points - wanted, nan=1.0) ** 2).sum(axis=1)

    proposals = Proposals(SPACE, score, np.empty((0, len(SPACE))), Effort(200, 5))
    rng = np.random.default_rng(1)
    first, second = proposals(rng), proposals(rng)
    assert {name: first[name] for name in ("opt", "inner", "drop", "rate", "batch", "flag")} == {
        name: target[name] for name in ("opt", "inner", "drop", "rate", "batch", "flag")
    }
    assert score(SPACE.encode(first)[None]) > -1e-3
    assert score(SPACE.encode(first)[None]) >= score(SPACE.encode(second)[None])


def test_used_up_proposals_are_uniform_draws():
    space = Space.from_json({"parameters": [{"name": "x", "type": "int", "low": 0, "high": 3}]})
    proposals = Proposals(space, lambda x: x[:, 0], np.empty((0, 1)), Effort(3, 1))
    rng = np.random.default_rng(0)
    assert proposals(rng) == {"x": 3}
    while not proposals.exhausted:
        assert proposals(rng)["x"] in range(4)
