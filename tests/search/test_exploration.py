"""How configs change in the middle of a training."""

from collections import Counter

import numpy as np
import pytest

from search.exploration import explored
from spaces import Space
from spaces.values import token


def space(*parameters, **more):
    return Space.from_json({"parameters": list(parameters), **more})


def outcomes(where, config, resample=0.0, draws=400):
    """How often each config came out, as the values of its parameters."""
    rng, found = np.random.default_rng(0), Counter()
    for _ in range(draws):
        changed, _ = explored(where, config, rng, resample)
        where.validate(changed)
        found[tuple(changed.values())] += 1
    return found


LR = {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0}


@pytest.mark.parametrize("log", [False, True])
def test_a_learning_rate_of_a_thousandth_goes_to_twelve_or_eight_ten_thousandths(log):
    found = outcomes(space({**LR, "log": log}), {"lr": 0.001})
    assert sorted(found) == [(pytest.approx(0.0008),), (pytest.approx(0.0012),)]
    assert min(found.values()) > 160


def test_a_quarter_is_drawn():
    found = outcomes(space(LR), {"lr": 0.001}, resample=0.25)
    stepped = sum(count for (lr,), count in found.items() if lr in (0.001 * 1.2, 0.001 * 0.8))
    assert 0.7 < stepped / 400 < 0.8
    assert len(found) == 400 - stepped + 2


def test_numbers_stay_in_their_range():
    assert set(outcomes(space(LR), {"lr": 0.9})) == {(1.0,), (0.9 * 0.8,)}
    assert set(outcomes(space({**LR, "low": -1.0}), {"lr": -0.9})) == {(-1.0,), (-0.9 * 0.8,)}


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ({"type": "int", "low": 1, "high": 100}, 50, {60, 40}),
        ({"type": "int", "low": 1, "high": 100}, 2, {3, 1}),
        ({"type": "int", "low": 1, "high": 100}, 1, {2, 1}),
        ({"type": "int", "low": 0, "high": 100}, 0, {1, 0}),
        ({"type": "int", "low": -10, "high": 10}, 0, {1, -1}),
        ({"type": "int", "low": -10, "high": 10}, -2, {-3, -1}),
        ({"type": "int", "low": 16, "high": 64, "log": True}, 32, {38, 26}),
        ({"type": "int", "low": 16, "high": 64, "step": 16}, 32, {48, 16}),
        ({"type": "float", "low": 0.0, "high": 0.5, "step": 0.1}, 0.3, {0.4, 0.2}),
        ({"type": "float", "low": 0.0, "high": 0.5, "step": 0.1}, 0.5, {0.5, 0.4}),
        ({"type": "ordinal", "choices": [16, 32, 64, 128]}, 32, {16, 64}),
        ({"type": "ordinal", "choices": ["s", "m", "l"]}, "l", {"l", "m"}),
        ({"type": "bool"}, True, {True, False}),
        ({"type": "categorical", "choices": ["a", "b", "c"]}, "a", {"a", "b", "c"}),
        ({"type": "constant", "value": 3}, 3, {3}),
    ],
)
def test_a_step_of_each_type(parameter, value, expected):
    found = outcomes(space({"name": "p", **parameter}), {"p": value})
    assert {token(changed) for (changed,) in found} == {token(each) for each in expected}
    assert min(found.values()) > 400 / len(expected) * 0.75


def test_the_changes_are_told():
    where = space(LR, {"name": "kind", "type": "categorical", "choices": ["a", "b"]}, {"name": "n", "type": "bool"})
    config = {"lr": 0.001, "kind": "a", "n": True}
    told = Counter()
    for seed in range(200):
        changed, changes = explored(where, config, np.random.default_rng(seed), 0.25)
        assert set(changes) == {name for name in config if changed[name] != config[name]}
        told.update(changes.items())
    words = {("lr", "x1.2"), ("lr", "x0.8"), ("lr", "drawn"), ("kind", "drawn"), ("n", "drawn")}
    assert set(told) == words


def test_what_is_not_mutable_stays_and_so_does_whether_it_is_active():
    where = space(
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {**LR, "mutable": False},
        {
            "name": "width",
            "type": "int",
            "low": 1,
            "high": 9,
            "mutable": False,
            "when": {"parameter": "optimizer", "equals": "sgd"},
        },
        {"name": "decay", "type": "float", "low": 0.1, "high": 1},
    )
    for config in (
        {"optimizer": "sgd", "lr": 0.1, "width": 4, "decay": 0.5},
        {"optimizer": "adamw", "lr": 0.1, "decay": 0.5},
    ):
        for changed in outcomes(where, config, resample=0.25):
            assert changed[: len(config) - 1] == tuple(config.values())[:-1]


def test_children_come_and_go():
    where = space(
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {
            "name": "momentum",
            "type": "float",
            "low": 0.0,
            "high": 1.0,
            "when": {"parameter": "optimizer", "equals": "sgd"},
        },
    )
    assert {values[0] for values in outcomes(where, {"optimizer": "adamw"})} == {"sgd", "adamw"}
    found = outcomes(where, {"optimizer": "sgd", "momentum": 0.5})
    assert {len(values) for values in found} == {1, 2}
    assert {values[1] for values in found if len(values) == 2} == {0.6, 0.4}


def test_constraints_are_kept():
    a, b = ({"name": name, "type": "float", "low": 0.0, "high": 1.0} for name in "ab")
    found = outcomes(space(a, b, constraints=[{"linear": {"a": 1, "b": 1}, "le": 1.0}]), {"a": 0.5, "b": 0.5})
    assert all(one + other <= 1 + 1e-9 for one, other in found)
    assert len(found) == 3, "all but both up"
    tied = space(a, b, constraints=[{"linear": {"a": 1, "b": 1}, "eq": 1.0}])
    found = outcomes(tied, {"a": 0.4, "b": 0.6}, draws=20)
    assert len(found) > 1
    assert all(one + other == pytest.approx(1) for one, other in found)


def test_where_nothing_can_change_the_config_stays():
    a, b = ({"name": name, "type": "bool"} for name in "ab")
    same = space(
        a, {**b, "mutable": False}, constraints=[{"forbid": {"not": {"parameter": "a", "equals": {"parameter": "b"}}}}]
    )
    for config in ({"a": True, "b": True}, {"a": False, "b": False}):
        assert set(outcomes(same, config, draws=20)) == {tuple(config.values())}


def test_draws_follow_the_prior():
    where = space({**LR, "prior": {"mode": 0.5, "sigma": 0.01}})
    drawn = [lr for (lr,) in outcomes(where, {"lr": 0.5}, resample=1.0)]
    assert np.std(drawn) == pytest.approx(0.01, rel=0.15)
