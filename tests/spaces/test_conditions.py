"""When a parameter is active."""

from typing import Any

import pytest

from spaces import AllOf, AnyOf, Categorical, Float, Leaf, Not, Space
from spaces.conditions import described

PARENTS: list[dict[str, Any]] = [
    {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", "none"]},
    {"name": "depth", "type": "int", "low": 1, "high": 9},
    {"name": "mom", "type": "float", "low": 0, "high": 1, "when": {"parameter": "opt", "equals": "sgd"}},
    {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
    {"name": "flag", "type": "bool"},
    {"name": "mixed", "type": "categorical", "choices": [1, True, "1"]},
    {"name": "drop", "type": "float", "low": 0, "high": 0.5, "step": 0.1},
]
SGD = {"opt": "sgd", "depth": 3, "mom": 0.9, "size": "m", "flag": True, "mixed": 1, "drop": 0.3}
ADAM = {name: value for name, value in SGD.items() if name != "mom"} | {"opt": "adam"}


def _leaf(parameter: str, **operator: object) -> dict[str, object]:
    return {"parameter": parameter, **{name.rstrip("_"): value for name, value in operator.items()}}


@pytest.mark.parametrize(
    ("when", "config", "active"),
    [
        (_leaf("opt", equals="sgd"), SGD, True),
        (_leaf("opt", equals="sgd"), ADAM, False),
        (_leaf("opt", in_=["adam", "none"]), ADAM, True),
        (_leaf("opt", in_=["adam", "none"]), SGD, False),
        (_leaf("depth", gt=3), SGD, False),
        (_leaf("depth", ge=3), SGD, True),
        (_leaf("depth", lt=3), SGD, False),
        (_leaf("depth", le=3), SGD, True),
        (_leaf("depth", gt=2.5), SGD, True),
        (_leaf("depth", equals=3), SGD, True),
        (_leaf("depth", in_=[1, 2]), SGD, False),
        (_leaf("size", gt="s"), SGD, True),
        (_leaf("size", ge="l"), SGD, False),
        (_leaf("size", lt="l"), SGD, True),
        (_leaf("flag", equals=True), SGD, True),
        (_leaf("flag", equals=False), SGD, False),
        (_leaf("mixed", equals=1), SGD, True),
        (_leaf("mixed", equals=True), SGD, False),
        (_leaf("mixed", in_=[True, "1"]), SGD, False),
        (_leaf("mixed", in_=[True, "1"]), SGD | {"mixed": True}, True),
        (_leaf("drop", equals=0.3), SGD | {"drop": 0.1 + 0.2}, True),
        (_leaf("mom", gt=0.5), SGD, True),
        (_leaf("mom", gt=0.5), ADAM, False),
        # a leaf on an inactive parent is false, even if a value is given; `not` is plain logic over that
        (_leaf("mom", gt=0.5), ADAM | {"mom": 0.9}, False),
        ({"not": _leaf("mom", gt=0.5)}, ADAM, True),
        (_leaf("mom", le=0.5), ADAM, False),
        ({"not": {"not": _leaf("opt", equals="sgd")}}, SGD, True),
        ({"all": [_leaf("opt", equals="sgd"), _leaf("depth", ge=5)]}, SGD, False),
        ({"all": [_leaf("opt", equals="sgd"), _leaf("depth", ge=2)]}, SGD, True),
        ({"any": [_leaf("opt", equals="sgd"), _leaf("depth", ge=5)]}, SGD, True),
        ({"any": [_leaf("opt", equals="adam"), _leaf("depth", ge=5)]}, SGD, False),
        ({"any": [{"all": [_leaf("flag", equals=True), _leaf("size", equals="m")]}, _leaf("depth", gt=8)]}, SGD, True),
    ],
)
def test_activity(when: dict[str, Any], config: dict[str, Any], active: bool) -> None:
    child = {"name": "child", "type": "bool", "when": when}
    space = Space.from_json({"parameters": [child, *PARENTS]})
    assert ("child" in space.active(config | {"child": True})) is active


def test_an_inactive_grandparent_deactivates_the_whole_line() -> None:
    space = Space.from_json(
        {
            "parameters": [
                {"name": "c", "type": "bool", "when": _leaf("b", equals=True)},
                {"name": "b", "type": "bool", "when": _leaf("a", equals=True)},
                {"name": "a", "type": "bool"},
            ]
        }
    )
    assert space.active({"a": False, "b": True, "c": True}) == {"a"}
    assert space.active({"a": True, "b": False}) == {"a", "b"}
    assert space.active({"a": True, "b": True, "c": False}) == {"a", "b", "c"}
    assert [list(config) for config in space.enumerate()] == [["a"], ["b", "a"], *[["c", "b", "a"]] * 2]


def test_conditions_are_written_in_python_too() -> None:
    when = AllOf((Leaf("opt", "in", ("sgd", "adam")), Not(AnyOf((Leaf("lr", "gt", 0.5), Leaf("lr", "lt", 0.1))))))
    space = Space((Categorical("opt", ("sgd", "adam", "none")), Float("lr", 0, 1), Float("x", 0, 1, when=when)))
    assert space.to_json()["parameters"][2]["when"] == {
        "all": [
            {"parameter": "opt", "in": ["sgd", "adam"]},
            {"not": {"any": [{"parameter": "lr", "gt": 0.5}, {"parameter": "lr", "lt": 0.1}]}},
        ]
    }
    assert Space.from_json(space.to_json()) == space
    assert described(when) == 'opt in ["sgd", "adam"] and not (lr > 0.5 or lr < 0.1)'


def test_conditions_on_true_and_on_one_differ() -> None:
    assert Leaf("a", "equals", True) != Leaf("a", "equals", 1)
    assert Leaf("a", "equals", True) == Leaf("a", "equals", True)
