"""Changing a space, and what becomes of the configs that were tried in it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from spaces import (
    Add,
    AddChoice,
    Change,
    Constant,
    Drop,
    Float,
    Freeze,
    Integer,
    InvalidInput,
    Leaf,
    Narrow,
    Prior,
    Space,
    Widen,
    carry,
    read_changes,
    revise,
)

Objects = SearchStrategy[dict[str, Any]]
SGD = {"parameter": "opt", "equals": "sgd"}
WRITTEN: dict[str, Any] = {
    "parameters": [
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"], "prior": {"weights": [1, 3]}},
        {"name": "lr", "type": "float", "low": 1e-4, "high": 0.1, "log": True},
        {"name": "mom", "type": "float", "low": 0, "high": 1, "when": SGD},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "mom", "gt": 0.5}},
        {"name": "n", "type": "int", "low": 2, "high": 8, "step": 2},
        {"name": "m", "type": "int", "low": 1, "high": 9},
        {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
    ],
    "constraints": [
        {"forbid": {"parameter": "n", "gt": {"parameter": "m"}}},
        {"linear": {"n": 1, "m": 1}, "le": 15},
        {"forbid": {"all": [{"parameter": "size", "equals": "l"}, {"parameter": "mom", "gt": 0.9}]}},
    ],
}
SPACE = Space.from_json(WRITTEN)
ADAM = {"opt": "adam", "lr": 0.01, "n": 4, "m": 5, "size": "s"}
WITH_SGD = {"opt": "sgd", "lr": 0.01, "mom": 0.9, "nesterov": True, "n": 4, "m": 5, "size": "s"}


def test_adding_a_choice_keeps_all() -> None:
    changes = [AddChoice("opt", "lion"), AddChoice("size", "xs", at=0)]
    space = revise(SPACE, changes)
    assert space["opt"].domain.values == ("sgd", "adam", "lion")
    assert space["size"].domain.values == ("xs", "s", "m", "l")
    assert space["opt"].prior is not None
    assert space["opt"].prior.weights == (1, 3, 3)
    for config in (ADAM, WITH_SGD):
        assert carry(config, changes, space) == config


def test_widening_keeps_all() -> None:
    changes = [Widen("lr", high=1.0), Widen("n", low=0, high=10)]
    space = revise(SPACE, changes)
    assert (space["lr"], space["n"]) == (Float("lr", 1e-4, 1.0, log=True), Integer("n", 0, 10, step=2))
    for config in (ADAM, WITH_SGD):
        assert carry(config, changes, space) == config


def test_narrowing_keeps_what_is_inside() -> None:
    changes: list[Change] = [Narrow("lr", low=0.02, high=0.05), Narrow("n", high=6)]
    space = revise(SPACE, changes)
    assert (space["lr"], space["n"]) == (Float("lr", 0.02, 0.05, log=True), Integer("n", 2, 6, step=2))
    assert carry(ADAM | {"lr": 0.03}, changes, space) == ADAM | {"lr": 0.03}
    assert carry(ADAM, changes, space) is None
    assert carry(ADAM | {"lr": 0.03, "n": 8}, changes, space) is None


@given(st.data())
def test_a_narrowed_range_has_its_default_and_its_prior_inside(data: DataObject) -> None:
    inside = st.floats(1e-4, 0.1)
    low, high = sorted((data.draw(inside), data.draw(inside)))
    if high < 1.01 * low:
        high = 2 * low
    present = Float("lr", 1e-4, 0.2, log=True, default=data.draw(inside), prior=Prior(data.draw(inside), "high"))
    narrowed = revise(Space((present,)), [Narrow("lr", low, high)])["lr"]
    assert isinstance(narrowed, Float)
    assert (narrowed.low, narrowed.high) == (low, high)
    assert narrowed.default == min(max(present.default or 0, low), high)
    assert narrowed.prior is not None
    assert narrowed.prior.confidence == "high"
    assert isinstance(narrowed.prior.mode, float)
    assert low <= narrowed.prior.mode <= high


def test_freezing_keeps_what_has_the_value() -> None:
    changes = [Freeze("n", 4)]
    space = revise(SPACE, changes)
    assert space["n"] == Constant("n", 4)
    assert [c.to_json() for c in space.constraints[:2]] == [
        {"forbid": {"parameter": "m", "lt": 4}},
        {"linear": {"n": 1, "m": 1}, "le": 15},
    ]
    assert carry(ADAM, changes, space) == ADAM
    assert carry(ADAM | {"n": 2}, changes, space) is None


def test_freezing_a_parent_settles_what_hangs_on_it() -> None:
    changes = [Freeze("opt", "adam")]
    space = revise(SPACE, changes)
    assert [parameter.name for parameter in space] == ["opt", "lr", "n", "m", "size"]  # never active: gone
    assert len(space.constraints) == 2
    assert carry(ADAM, changes, space) == ADAM
    assert carry(WITH_SGD, changes, space) is None
    space = revise(SPACE, [Freeze("opt", "sgd")])
    assert space["mom"].when is None
    assert space["nesterov"].when == Leaf("mom", "gt", 0.5)


def test_freezing_a_conditional_parameter_keeps_its_condition() -> None:
    changes = [Freeze("mom", 0.95)]
    space = revise(SPACE, changes)
    assert space["mom"] == Constant("mom", 0.95, when=Leaf("opt", "equals", "sgd"))
    assert space["nesterov"].when == Leaf("mom", "equals", 0.95)
    assert carry(ADAM, changes, space) == ADAM
    assert carry(WITH_SGD, changes, space) is None
    assert not space.allows(WITH_SGD | {"mom": 0.95, "size": "l"})
    assert space.allows(ADAM | {"size": "l"})
    # where a clause can no longer be fulfilled, it goes
    assert len(revise(SPACE, [Freeze("mom", 0.8)]).constraints) == 2


def test_dropping_keeps_what_had_the_assumed_value() -> None:
    changes = [Drop("n", 4)]
    space = revise(SPACE, changes)
    assert "n" not in space
    assert [c.to_json() for c in space.constraints[:2]] == [
        {"forbid": {"parameter": "m", "lt": 4}},
        {"linear": {"m": 1}, "le": 11},
    ]
    assert carry(ADAM, changes, space) == {name: value for name, value in ADAM.items() if name != "n"}
    assert carry(ADAM | {"n": 2}, changes, space) is None


def test_adding_a_parameter_takes_a_backfill() -> None:
    dropout = Float("dropout", 0, 0.5)
    warm = Integer("warm", 0, 3, when=Leaf("opt", "equals", "sgd"))
    changes: list[Change] = [Add(dropout, backfill=0.0), Add(warm)]
    space = revise(SPACE, changes)
    assert [parameter.name for parameter in space][-2:] == ["dropout", "warm"]
    assert carry(ADAM, changes, space) == ADAM | {"dropout": 0.0}
    assert carry(WITH_SGD, changes, space) is None  # active, and nobody knows what it was
    with_backfill = [Add(dropout, 0.0), Add(warm, 1)]
    assert carry(WITH_SGD, with_backfill, space) == WITH_SGD | {"dropout": 0.0, "warm": 1}
    assert carry(ADAM, with_backfill, space) == ADAM | {"dropout": 0.0}


def test_changes_build_on_each_other() -> None:
    changes: list[Change] = [AddChoice("opt", "lion"), Freeze("opt", "lion"), Drop("size", "s"), Widen("m", high=20)]
    space = revise(SPACE, changes)
    assert space["opt"] == Constant("opt", "lion")
    assert carry(ADAM, changes, space) is None


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (AddChoice("optt", "x"), ("add_choice",), 'did you mean "opt"?'),
        (AddChoice("lr", "x"), ("add_choice",), "is float: it has no choices"),
        (AddChoice("opt", "adam"), ("choices", 2), "repeats choice 1"),
        (Widen("opt", high=3), ("widen",), "is categorical: it has no range"),
        (Widen("lr", low=1e-3), ("low",), "must be at most the present low"),
        (Widen("lr", high=0.01), ("high",), "must be at least the present high"),
        (Widen("lr", low=-1), ("low",), "must be greater than 0 on a log scale"),
        (Widen("n", low=1), ("step",), "does not fit"),
        (Widen("n", low=1, high=9), ("low",), "in whole steps"),
        (Narrow("opt", high=3), ("narrow",), "is categorical: it has no range"),
        (Narrow("lr", low=1e-5), ("low",), "must be at least the present low"),
        (Narrow("lr", high=1), ("high",), "must be at most the present high"),
        (Narrow("lr", low=0.05, high=0.05), ("low",), "must be less than high"),
        (Narrow("n", low=3), ("step",), "does not fit"),
        (Narrow("n", low=3, high=7), ("low",), "must be one of the present values"),
        (Freeze("n", 3), ("value",), "must be 2 plus a multiple of 2"),
        (Freeze("m", 1), ("value",), "breaks a constraint by itself"),
        (Drop("mom", 0.5), ("drop",), "freeze it instead"),
        (Add(Float("lr", 0, 1)), ("parameters", 7, "name"), "repeats the name"),
        (Add(Float("x", 0, 1), backfill=2), ("backfill",), "must be between 0.0 and 1.0"),
    ],
)
def test_changes_that_are_refused(change: Change, path: tuple[str | int, ...], message: str) -> None:
    parameters = [p for p in WRITTEN["parameters"] if p["name"] != "n"]
    space = SPACE
    if change == Freeze("m", 1):
        space = Space.from_json({"parameters": parameters, "constraints": [{"forbid": {"parameter": "m", "lt": 3}}]})
    with pytest.raises(InvalidInput) as caught:
        revise(space, [AddChoice("opt", "lion"), change] if change != AddChoice("opt", "adam") else [change])
    problem = caught.value.problems[0]
    assert problem.path[1:] == path
    assert message in problem.message


CHANGES: list[Change] = [
    AddChoice("opt", "lion"),
    AddChoice("size", "xs", 0),
    Widen("lr", high=1.0),
    Narrow("m", low=2),
    Freeze("n", 4),
    Drop("size", "s"),
    Add(Float("dropout", 0, 0.5, when=Leaf("opt", "equals", "sgd")), 0.0),
]


def test_changes_on_the_wire() -> None:
    assert read_changes([change.to_json() for change in CHANGES]) == CHANGES
    assert [change.to_json() for change in CHANGES][:3] == [
        {"add_choice": "opt", "choice": "lion"},
        {"add_choice": "size", "choice": "xs", "at": 0},
        {"widen": "lr", "high": 1.0},
    ]


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ({}, (), "must be a list of changes"),
        ([3], (0,), "must be an object, got an integer"),
        ([{}], (0,), "got nothing"),
        ([{"freeze": "n", "drop": "m"}], (0,), "must hold one of"),
        ([{"freeze": "n"}], (0, "value"), "is required"),
        ([{"freeze": "n", "value": None}], (0, "value"), "got null"),
        ([{"freeze": 3, "value": 1}], (0, "freeze"), "must be a text"),
        ([{"widen": "n", "hihg": 1}], (0, "hihg"), 'did you mean "high"?'),
        ([{"widen": "n", "high": "1"}], (0, "high"), "must be a number"),
        ([{"add_choice": "n", "choice": "a", "at": 1.5}], (0, "at"), "must be an integer"),
        ([{"add": {"name": "x", "type": "float", "low": 0}}], (0, "add", "high"), "is required"),
        ([{"add": {"name": "x", "type": "bool", "when": []}}], (0, "add", "when"), "got a list"),
        ([{"add": 3}], (0, "add"), "must be an object"),
    ],
)
def test_changes_that_cannot_be_read(written: Any, path: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_changes(written)
    found = {problem.path: problem.message for problem in caught.value.problems}
    assert message in found[path]


@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_what_is_carried_is_valid_and_says_the_same(data: DataObject, seed: int, space_objects: Objects) -> None:
    """Freezing or dropping a parameter at the value it has in a config: the config stays, up to what is known now."""
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(np.random.default_rng(seed))
    name = data.draw(st.sampled_from(sorted(config)))
    kind = data.draw(st.sampled_from([Freeze, Drop]))
    changes: list[Change] = [kind(name, config[name])]
    try:
        revised = revise(space, changes)
    except InvalidInput as error:
        if kind is Freeze or not any(text in str(error) for text in ("freeze it instead", "at least one parameter")):
            raise
        return  # not every parameter can be dropped
    carried = carry(config, changes, revised)
    assert carried is not None
    revised.validate(carried)
    assert carried == {one: value for one, value in config.items() if kind is Freeze or one != name}
