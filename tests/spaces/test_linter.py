"""Advice on spaces that are legal but hardly meant."""

from typing import Any

import pytest

from spaces import Space, lint


def _float(name: str = "x", low: float = 0.0, high: float = 1.0, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "float", "low": low, "high": high, **fields}


def _int(name: str, low: int, high: int, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "int", "low": low, "high": high, **fields}


def _choice(*choices: object, name: str = "x") -> dict[str, Any]:
    return {"name": name, "type": "categorical", "choices": list(choices)}


def _advice(parameters: list[dict[str, Any]], *constraints: dict[str, Any]) -> dict[tuple[str | int, ...], str]:
    problems = lint(Space.from_json({"parameters": parameters, "constraints": list(constraints)}))
    return {problem.path: problem.message for problem in problems}


@pytest.mark.parametrize(
    "parameter",
    [
        _float(low=1e-4, high=0.05),
        _float(low=1e-4, high=0.3, log=True),
        _float(low=0, high=1e6),  # no log scale reaches 0
        _float(step=0.01),
        _int("n", 1, 999),
        _choice("a", "b", "c"),
        _choice(1, 8),
        _choice(8, 1, 4),
        _choice(1, 2, "auto"),
        {"name": "x", "type": "ordinal", "choices": [16, 32, 64]},
        {"name": "x", "type": "constant", "value": 3},
    ],
)
def test_nothing_to_say(parameter: dict[str, Any]) -> None:
    assert _advice([parameter]) == {}


@pytest.mark.parametrize(
    ("parameter", "field", "message"),
    [
        (_float(low=1e-4, high=0.1), "log", "linear over 3.0 decades, so 90 % of the draws lie in the last"),
        (_int("n", 1, 10_000), "log", "linear over 4.0 decades"),
        (_float(step=0.1), "step", "makes a grid of 11 values"),
        (_choice("sgd"), "choices", "a constant says so"),
        (_choice(0.1, 0.2, 0.5), "choices", "{type: float, low: 0.1, high: 0.5} searches between them"),
        (_choice(0.1, 0.01, 0.001), "choices", "{type: float, low: 0.001, high: 0.1, log: true}"),
        (_choice(16, 32, 64), "choices", "{type: int, low: 16, high: 64} searches between them, an ordinal"),
    ],
)
def test_advice_on_a_parameter(parameter: dict[str, Any], field: str, message: str) -> None:
    found = _advice([parameter])
    assert list(found) == [("parameters", 0, field)]
    assert message in found["parameters", 0, field]


def test_unreachable_and_idle_conditions() -> None:
    opt = _choice("sgd", "adam", name="opt")
    sgd, adam = ({"parameter": "opt", "equals": name} for name in ("sgd", "adam"))
    found = _advice(
        [
            opt,
            _float("mom", when=sgd),
            _float("never", when={"all": [sgd, adam]}),
            _float("always", when={"any": [sgd, adam]}),
            _float("grandchild", when={"all": [adam, {"parameter": "mom", "gt": 0.5}]}),
        ]
    )
    assert list(found) == [("parameters", index, "when") for index in (2, 3, 4)]
    assert found["parameters", 2, "when"] == 'never holds, so it is never searched: opt = "sgd" and opt = "adam"'
    assert found["parameters", 3, "when"] == 'always holds, leave it out: opt = "sgd" or opt = "adam"'
    assert "never holds" in found["parameters", 4, "when"]


def test_a_condition_that_constraints_make_unreachable() -> None:
    parameters = [_int("n", 1, 9), _float("x", when={"parameter": "n", "gt": 5})]
    assert _advice(parameters) == {}
    found = _advice(parameters, {"linear": {"n": 1}, "le": 4})
    assert "never holds" in found["parameters", 1, "when"]


def test_constraints_that_leave_little_or_rule_out_nothing() -> None:
    names = [f"p{index}" for index in range(5)]
    found = _advice(
        [_float(name) for name in names],
        {"linear": dict.fromkeys(names, 1), "le": 0.5},
        {"linear": {"p0": 1, "p1": -1}, "le": 1},
    )
    assert list(found) == [("constraints", 1), ("constraints",)]
    assert found["constraints", 1] == "rules nothing out, whatever the values: p0 - p1 <= 1"
    assert found["constraints",].startswith("leave 0.")
    assert "constraints[0] (p0 + p1 + p2 + p3 + p4 <= 0.5)" in found["constraints",]


def test_an_equation_is_no_reason_to_complain() -> None:
    assert _advice([_float("a"), _float("b")], {"linear": {"a": 1, "b": 1}, "eq": 1}) == {}


def test_advice_is_the_same_every_time() -> None:
    parameters = [_float(name) for name in "abcde"]
    constraint = {"linear": dict.fromkeys("abcde", 1), "ge": 4.5}
    assert _advice(parameters, constraint) == _advice(parameters, constraint) != {}
