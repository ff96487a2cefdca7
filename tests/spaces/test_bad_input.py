"""Everything that is refused, each with the path of the culprit and a message that says what to do."""

import math
from typing import Any

import pytest

from spaces import Categorical, Fidelity, Float, InvalidInput, Leaf, Space


def _problems(written: object) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(InvalidInput) as caught:
        Space.from_json(written)
    return {problem.path: problem.message for problem in caught.value.problems}


def _float(**fields: object) -> dict[str, object]:
    return {"name": "x", "type": "float", "low": 0.0, "high": 1.0, **fields}


def _int(**fields: object) -> dict[str, object]:
    return {"name": "x", "type": "int", "low": 1, "high": 10, **fields}


def _choice(**fields: object) -> dict[str, object]:
    return {"name": "x", "type": "categorical", "choices": ["a", "b"], **fields}


@pytest.mark.parametrize(
    ("parameter", "path", "message"),
    [
        # shape
        (["x"], (), "must be an object, got a list"),
        ("x", (), "must be an object, got a text"),
        (None, (), "must be an object, got null"),
        ({"name": "x"}, ("type",), "is required"),
        (_float(type="flot"), ("type",), 'did you mean "float"? (known: "float", "int", "categorical", "bool"'),
        (_float(type=["float"]), ("type",), "unknown type a list"),
        (_float(lowest=1), ("lowest",), 'unknown field "lowest"; did you mean "low"?'),
        ({"name": "x", "type": "bool", "log": True}, ("log",), 'unknown field "log"'),
        ({"name": "x", "type": "float", "low": 0}, ("high",), "is required"),
        ({"name": "x", "type": "categorical"}, ("choices",), "is required"),
        ({"name": "x", "type": "constant"}, ("value",), "is required"),
        # names
        ({"type": "bool"}, ("name",), "is required"),
        ({"name": 1, "type": "bool"}, ("name",), "must be a text, got an integer"),
        ({"name": "", "type": "bool"}, ("name",), "1 to 100 printable characters"),
        ({"name": " x", "type": "bool"}, ("name",), "1 to 100 printable characters"),
        ({"name": "x\n", "type": "bool"}, ("name",), "1 to 100 printable characters"),
        ({"name": "\ud800", "type": "bool"}, ("name",), "1 to 100 printable characters"),
        ({"name": "x" * 101, "type": "bool"}, ("name",), "1 to 100 printable characters"),
        # float
        (_float(low="0"), ("low",), "must be a number, got a text"),
        (_float(low=True), ("low",), "must be a number, got true or false"),
        (_float(high=None), ("high",), "must be a number, got null"),
        (_float(high=math.inf), ("high",), "must be a finite number, got Infinity"),
        (_float(low=math.nan), ("low",), "must be a finite number, got NaN"),
        (_float(high=10**400), ("high",), "must be a finite number, got a very large integer"),
        (_float(low=1.0), ("low",), "must be less than high (1.0), got 1.0"),
        (_float(low=2.0), ("low",), "must be less than high (1.0), got 2.0"),
        (_float(low=-1e308, high=1e308), ("high",), "too far from low"),
        (_float(log=True), ("low",), "must be greater than 0 on a log scale"),
        (_float(log="yes"), ("log",), "must be true or false, got a text"),
        (_float(log=None), ("log",), "must be true or false, got null"),
        (_float(log=True, low=1e300, high=math.nextafter(1e300, 2e300)), ("low",), "too close to high"),
        (_float(step=0), ("step",), "must be greater than 0"),
        (_float(step=-0.1), ("step",), "must be greater than 0"),
        (_float(step=0.3), ("step",), "high could be 0.9 or 1.2"),
        (_float(step=2), ("step",), "does not fit"),
        (_float(step=1e-18), ("step",), "too small"),
        (_float(step=1e-13), ("step",), "2**40"),
        (_float(step="0.1"), ("step",), "must be a number, got a text"),
        (_float(low=0.1, high=1.1, step=0.2, log=True), ("step",), "must be less than twice low"),
        (_float(default=1.5), ("default",), "must be between 0.0 and 1.0, got 1.5"),
        (_float(default=0.15, step=0.1), ("default",), "0.0 plus a multiple of 0.1"),
        (_float(default="low"), ("default",), "must be a number, got a text"),
        # int
        (_int(low=1.5), ("low",), "must be an integer, got 1.5"),
        (_int(low=1.0), ("low",), "must be an integer, got 1.0"),
        (_int(high=2**53 + 1), ("high",), "must lie within ±2**53"),
        (_int(high=2**50), ("high",), "2**40"),
        (_int(low=10), ("low",), "must be less than high (10), got 10"),
        (_int(low=0, log=True), ("low",), "must be greater than 0 on a log scale, got 0"),
        (_int(step=2), ("step",), "high could be 9 or 11"),
        (_int(step=10), ("step",), "does not fit"),
        (_int(step=0.5), ("step",), "must be an integer, got 0.5"),
        (_int(low=1, high=10, step=3, log=True), ("step",), "must be less than twice low (2)"),
        (_int(default=11), ("default",), "must be between 1 and 10, got 11"),
        (_int(default=3, step=3), ("default",), "must be 1 plus a multiple of 3, got 3"),
        (_int(default=3.5), ("default",), "must be an integer, got 3.5"),
        # choices
        (_choice(choices="ab"), ("choices",), "must be a list, got a text"),
        (_choice(choices=[]), ("choices",), "needs at least one choice"),
        (_choice(choices=list(range(10_001))), ("choices",), "at most 10000 choices"),
        (_choice(choices=["a", "b", "a"]), ("choices", 2), 'repeats choice 0, "a"'),
        (_choice(choices=[1, 1.0]), ("choices", 1), "repeats choice 0"),
        (_choice(choices=["a", None]), ("choices", 1), '"none" can stand for it'),
        (_choice(choices=["a", ["b"]]), ("choices", 1), "got a list"),
        (_choice(choices=["a", {}]), ("choices", 1), "got an object"),
        (_choice(choices=[math.nan]), ("choices", 0), "must be finite, got NaN"),
        (_choice(choices=[2**53 + 1]), ("choices", 0), "must lie within ±2**53"),
        (_choice(choices=["a\0"]), ("choices", 0), "without NUL"),
        (_choice(choices=["\ud800"]), ("choices", 0), "surrogates"),
        (_choice(choices=["a" * 1001]), ("choices", 0), "at most 1000 characters"),
        (_choice(default="c"), ("default",), 'must be one of "a", "b", got "c"'),
        (_choice(choices=[1, 2], default=True), ("default",), "must be one of 1, 2, got true"),
        (_choice(type="ordinal", choices=["a", "a"]), ("choices", 1), "repeats choice 0"),
        (_choice(type="ordinal", default=["a"]), ("default",), "got a list"),
        ({"name": "x", "type": "bool", "default": 1}, ("default",), "must be true or false, got an integer"),
        ({"name": "x", "type": "constant", "value": None}, ("value",), "got null"),
        ({"name": "x", "type": "constant", "value": [1]}, ("value",), "got a list"),
        ({"name": "x", "type": "constant", "value": 1, "default": 1}, ("default",), 'unknown field "default"'),
    ],
)
def test_a_parameter_that_is_wrong(parameter: object, path: tuple[str | int, ...], message: str) -> None:
    problems = _problems({"parameters": [{"name": "first", "type": "bool"}, parameter]})
    assert list(problems) == [("parameters", 1, *path)]
    assert message in problems["parameters", 1, *path]


PARENTS: list[dict[str, Any]] = [
    {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
    {"name": "depth", "type": "int", "low": 1, "high": 9, "step": 2},
    {"name": "lr", "type": "float", "low": 0, "high": 1},
    {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
    {"name": "flag", "type": "bool"},
]


def _deep(depth: int) -> dict[str, Any]:
    return {"not": _deep(depth - 1)} if depth else {"parameter": "flag", "equals": True}


@pytest.mark.parametrize(
    ("when", "path", "message"),
    [
        # shape
        ([], (), 'got a list; join several conditions with {"all": [...]}'),
        ("opt == sgd", (), "must be an object, got a text"),
        ({}, ("parameter",), "is required"),
        ({"parameter": "opt"}, (), 'needs one of "equals", "in", "gt"'),
        ({"parameter": "opt", "equal": "sgd"}, ("equal",), 'did you mean "equals"?'),
        ({"parameter": "depth", "gt": 1, "lt": 5}, ("lt",), 'join them with {"all": [...]}'),
        ({"parameter": 3, "equals": "sgd"}, ("parameter",), "must be a text, got an integer"),
        ({"parameter": "opt", "in": "sgd"}, ("in",), "must be a list, got a text"),
        ({"parameter": "opt", "in": ["sgd", []]}, ("in", 1), "got a list"),
        ({"parameter": "opt", "equals": None}, ("equals",), "got null"),
        ({"all": {}}, ("all",), "must be a list of conditions, got an object"),
        ({"any": []}, ("any",), "needs at least one condition"),
        ({"all": [], "any": []}, (), 'must hold "all" alone, got "any" beside it'),
        ({"not": []}, ("not",), "must be an object, got a list"),
        (_deep(40), ("not",) * 33, "nested more than 32 deep"),
        # meaning
        ({"parameter": "optt", "equals": 1}, ("parameter",), 'unknown parameter "optt"; did you mean "opt"?'),
        ({"all": [{"not": {"parameter": "o", "equals": 1}}]}, ("all", 0, "not", "parameter"), "unknown parameter"),
        ({"parameter": "epochs", "gt": 1}, ("parameter",), "is the fidelity"),
        ({"parameter": "opt", "equals": "lion"}, ("equals",), 'must be one of "sgd", "adam", got "lion"'),
        ({"parameter": "opt", "in": []}, ("in",), "needs at least one value"),
        ({"parameter": "opt", "in": ["sgd", "lion"]}, ("in", 1), "can never take this value"),
        ({"parameter": "opt", "in": ["sgd", "sgd"]}, ("in",), "names a value twice"),
        ({"parameter": "opt", "gt": "adam"}, ("gt",), "have no order: use equals or in"),
        ({"parameter": "flag", "equals": 1}, ("equals",), "must be one of false, true, got 1"),
        ({"parameter": "flag", "ge": True}, ("ge",), "have no order"),
        ({"parameter": "depth", "equals": 2}, ("equals",), "1 plus a multiple of 2"),
        ({"parameter": "depth", "equals": 99}, ("equals",), "must be between 1 and 9"),
        ({"parameter": "depth", "gt": 9}, ("gt",), 'no value of "depth" is > 9'),
        ({"parameter": "depth", "le": 0}, ("le",), 'no value of "depth" is <= 0'),
        ({"parameter": "depth", "gt": "3"}, ("gt",), "must be a number"),
        ({"parameter": "depth", "gt": True}, ("gt",), "must be a number"),
        ({"parameter": "lr", "lt": 0}, ("lt",), 'no value of "lr" is < 0'),
        ({"parameter": "lr", "ge": 1.5}, ("ge",), 'no value of "lr" is >= 1.5'),
        ({"parameter": "lr", "gt": math.nan}, ("gt",), "must be finite"),
        ({"parameter": "size", "gt": "l"}, ("gt",), 'no value of "size" is > "l"'),
        ({"parameter": "size", "gt": "xl"}, ("gt",), 'must be one of "s", "m", "l"'),
        ({"any": [{"parameter": "flag", "equals": True}] * 1001}, (), "at most 1000 times"),
        ({"parameter": "child", "equals": True}, (), 'is part of a cycle, each looks at the next: "child" -> "child"'),
    ],
)
def test_a_condition_that_is_wrong(when: object, path: tuple[str | int, ...], message: str) -> None:
    parameters = [*PARENTS, {"name": "child", "type": "bool", "when": when}]
    problems = _problems({"parameters": parameters, "fidelity": {"name": "epochs", "low": 1, "high": 9}})
    assert ("parameters", 5, "when", *path) in problems
    assert message in problems["parameters", 5, "when", *path]


@pytest.mark.parametrize(
    ("fidelity", "path", "message"),
    [
        ([], (), "must be an object, got a list"),
        ({}, ("low",), "is required"),
        ({"name": "r", "low": 0, "high": 9}, ("low",), "must be greater than 0, got 0"),
        ({"name": "r", "low": -0.5, "high": 9}, ("low",), "must be greater than 0, got -0.5"),
        ({"name": "r", "low": 9, "high": 9}, ("low",), "must be less than high (9), got 9"),
        ({"name": "r", "low": 1, "high": math.inf}, ("high",), "must be a finite number"),
        ({"name": "r", "low": 1, "high": 2**60}, ("high",), "must lie within ±2**53"),
        ({"name": "r", "low": 1, "high": "9"}, ("high",), "must be a number, got a text"),
        ({"name": "r", "low": True, "high": 9}, ("low",), "must be an integer, got true or false"),
        ({"name": "r", "low": 0.5, "high": 9, "type": "int"}, ("low",), "must be an integer, got 0.5"),
        ({"name": "r", "low": 1, "high": 9, "type": "integer"}, ("type",), 'known: "int", "float"'),
        ({"name": "r", "low": 1, "high": 9, "log": True}, ("log",), "unknown field"),
        ({"name": "", "low": 1, "high": 9}, ("name",), "printable characters"),
    ],
)
def test_a_fidelity_that_is_wrong(fidelity: object, path: tuple[str | int, ...], message: str) -> None:
    problems = _problems({"parameters": [{"name": "x", "type": "bool"}], "fidelity": fidelity})
    assert message in problems["fidelity", *path]


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        (None, (), "must be an object"),
        ([], (), "must be an object"),
        ("parameters", (), "must be an object"),
        ({}, ("parameters",), "is required"),
        ({"parameters": None}, ("parameters",), "must be a list, got null"),
        ({"parameters": {"x": {}}}, ("parameters",), "must be a list, got an object"),
        ({"parameters": []}, ("parameters",), "needs at least one parameter"),
        ({"parameters": [{}] * 1001}, ("parameters",), "at most 1000 parameters, got 1001"),
        ({"parameter": [], "parameters": [_float()]}, ("parameter",), 'did you mean "parameters"?'),
        ({1: 2, "parameters": [_float()]}, ("1",), "unknown field 1"),
        ({"parameters": [_float(), _int()]}, ("parameters", 1, "name"), 'repeats the name of parameters[0], "x"'),
        (
            {"parameters": [_float()], "fidelity": {"name": "x", "low": 1, "high": 9}},
            ("parameters", 0, "name"),
            "is the name of the fidelity",
        ),
    ],
)
def test_a_space_that_is_wrong(written: object, path: tuple[str | int, ...], message: str) -> None:
    assert message in _problems(written)[path]


def test_each_cycle_is_reported_once() -> None:
    def looks_at(name: str, parent: str) -> dict[str, Any]:
        return {"name": name, "type": "bool", "when": {"parameter": parent, "equals": True}}

    problems = _problems({"parameters": [looks_at(*pair) for pair in ("xa", "ab", "bc", "ca", "yc", "de", "ed")]})
    assert problems == {
        ("parameters", 1, "when"): 'is part of a cycle, each looks at the next: "a" -> "b" -> "c" -> "a"',
        ("parameters", 5, "when"): 'is part of a cycle, each looks at the next: "d" -> "e" -> "d"',
    }


def test_all_problems_are_reported_at_once() -> None:
    problems = _problems(
        {
            "parameters": [
                {"name": "lr", "type": "float", "low": 0.3, "high": 1e-4, "log": "yes", "stop": 1},
                {"name": "opt", "type": "categorical", "choices": ["sgd", "sgd"], "default": "adam"},
                {"name": "size", "type": "ordinal", "choices": ["s", "m"], "default": "xl"},
                {"type": "int", "low": 0, "high": 10, "step": 3, "default": 11},
                {"name": "mom", "type": "flot", "when": {"parameter": "lr", "gt": 1}},
                {
                    "name": "lr",
                    "type": "bool",
                    "when": {"any": [{"parameter": "opt"}, {"parameter": "o", "equals": 1}]},
                },
                {"name": "last", "type": "bool", "when": {"parameter": "size", "equals": "xl"}},
            ],
            "fidelity": {"name": "lr", "low": 0, "high": "9"},
            "prior": {},
        }
    )
    assert set(problems) == {
        ("prior",),
        ("fidelity", "low"),
        ("fidelity", "high"),
        ("parameters", 0, "low"),
        ("parameters", 0, "log"),
        ("parameters", 0, "stop"),
        ("parameters", 0, "name"),
        ("parameters", 1, "choices", 1),
        ("parameters", 1, "default"),
        ("parameters", 2, "default"),
        ("parameters", 3, "name"),
        ("parameters", 3, "step"),
        ("parameters", 3, "default"),
        ("parameters", 4, "type"),
        ("parameters", 5, "name"),
        ("parameters", 5, "when", "any", 0),
        ("parameters", 6, "when", "equals"),
    }


def test_python_declarations_are_checked_alike() -> None:
    with pytest.raises(InvalidInput) as caught:
        Float("lr", 0.3, 0.1, log=True, default=2)
    assert [problem.path for problem in caught.value.problems] == [("low",)]
    with pytest.raises(InvalidInput) as caught:
        Categorical("opt", ("sgd", "sgd"))
    assert [problem.path for problem in caught.value.problems] == [("choices", 1)]
    with pytest.raises(InvalidInput) as caught:
        Fidelity("epochs", 0, 27)
    assert [problem.path for problem in caught.value.problems] == [("low",)]
    with pytest.raises(InvalidInput) as caught:
        Space((Float("lr", 0.1, 0.3, when=Leaf("opt", "equals", "sgd")),))
    assert [problem.path for problem in caught.value.problems] == [("parameters", 0, "when", "parameter")]
