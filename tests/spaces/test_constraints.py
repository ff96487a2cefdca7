"""Constraints: what they rule out, which spaces they leave nothing of, and what is refused."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from spaces import AllOf, Float, Forbid, Integer, InvalidInput, Leaf, Linear, Relation, Space

Objects = SearchStrategy[dict[str, Any]]
law = settings(deadline=None, max_examples=40)


def _float(name: str, low: float = 0.0, high: float = 1.0, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "float", "low": low, "high": high, **fields}


def _int(name: str, low: int, high: int, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "int", "low": low, "high": high, **fields}


OPT = {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]}
SIZES = {"type": "ordinal", "choices": ["s", "m", "l"]}
MOMENTUM = _float("mom", when={"parameter": "opt", "equals": "sgd"})


def _space(parameters: list[dict[str, Any]], *constraints: dict[str, Any]) -> Space:
    return Space.from_json({"parameters": parameters, "constraints": list(constraints)})


def _problems(parameters: list[dict[str, Any]], *constraints: Any) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(InvalidInput) as caught:
        _space(parameters, *constraints)
    return {problem.path: problem.message for problem in caught.value.problems}


PARAMETERS = [
    OPT, MOMENTUM, _int("n", 1, 9), _int("m", 1, 9), _float("x"), {"name": "a", **SIZES}, {"name": "b", **SIZES}
]  # fmt: skip
SGD = {"opt": "sgd", "mom": 0.9, "n": 3, "m": 5, "x": 0.5, "a": "s", "b": "m"}
ADAM = {name: value for name, value in SGD.items() if name != "mom"} | {"opt": "adam"}


@pytest.mark.parametrize(
    ("constraint", "config", "allowed"),
    [
        ({"forbid": {"parameter": "n", "equals": 3}}, SGD, False),
        ({"forbid": {"parameter": "n", "equals": 4}}, SGD, True),
        ({"forbid": {"all": [{"parameter": "opt", "equals": "sgd"}, {"parameter": "n", "gt": 2}]}}, SGD, False),
        ({"forbid": {"all": [{"parameter": "opt", "equals": "sgd"}, {"parameter": "n", "gt": 2}]}}, ADAM, True),
        # a clause that touches an inactive parameter is not violated, whatever else it says
        ({"forbid": {"parameter": "mom", "gt": 0.5}}, SGD, False),
        ({"forbid": {"parameter": "mom", "gt": 0.5}}, ADAM, True),
        ({"forbid": {"not": {"parameter": "mom", "gt": 0.5}}}, ADAM, True),
        ({"forbid": {"any": [{"parameter": "mom", "gt": 0.5}, {"parameter": "n", "equals": 3}]}}, ADAM, True),
        ({"forbid": {"any": [{"parameter": "mom", "gt": 0.95}, {"parameter": "n", "equals": 3}]}}, SGD, False),
        # relations of two parameters
        ({"forbid": {"parameter": "n", "lt": {"parameter": "m"}}}, SGD, False),
        ({"forbid": {"parameter": "n", "gt": {"parameter": "m"}}}, SGD, True),
        ({"forbid": {"parameter": "n", "equals": {"parameter": "m"}}}, SGD | {"n": 5}, False),
        ({"forbid": {"parameter": "n", "ge": {"parameter": "m"}}}, SGD | {"n": 5}, False),
        ({"forbid": {"parameter": "x", "ge": {"parameter": "n"}}}, SGD | {"x": 1.0, "n": 1}, False),
        ({"forbid": {"parameter": "mom", "ge": {"parameter": "x"}}}, SGD, False),
        ({"forbid": {"parameter": "mom", "ge": {"parameter": "x"}}}, ADAM, True),
        ({"forbid": {"parameter": "a", "lt": {"parameter": "b"}}}, SGD, False),
        ({"forbid": {"parameter": "a", "equals": {"parameter": "b"}}}, SGD | {"a": "m"}, False),
        # sums
        ({"linear": {"n": 1, "m": 1}, "le": 8}, SGD, True),
        ({"linear": {"n": 1, "m": 1}, "le": 7}, SGD, False),
        ({"linear": {"n": 1, "m": -1}, "ge": -2}, SGD, True),
        ({"linear": {"n": 1, "m": -1}, "ge": -1}, SGD, False),
        ({"linear": {"n": 2, "x": 4}, "eq": 8}, SGD, True),
        ({"linear": {"n": 2, "x": 4}, "eq": 8.5}, SGD, False),
        ({"linear": {"x": 1, "mom": 1}, "eq": 1.4}, SGD, True),  # 0.5 + 0.9 is 1.4 but for rounding
        ({"linear": {"x": 1, "mom": 1}, "eq": 1}, ADAM, True),
    ],
)  # fmt: skip
def test_what_a_constraint_allows(constraint: dict[str, Any], config: dict[str, Any], allowed: bool) -> None:
    space = _space(PARAMETERS, constraint)
    assert space.allows(config) is allowed
    if allowed:
        space.validate(config)
    else:
        with pytest.raises(InvalidInput, match="is broken") as caught:
            space.validate(config)
        assert [problem.path for problem in caught.value.problems] == [("constraints", 0)]


def test_validate_names_every_broken_constraint_but_only_of_values_that_are_right() -> None:
    space = _space(
        PARAMETERS,
        {"linear": {"n": 1, "m": 1}, "le": 3},
        {"linear": {"n": 1}, "le": 9},
        {"linear": {"x": 1}, "ge": 0.6},
    )
    with pytest.raises(InvalidInput) as caught:
        space.validate(SGD)
    assert {p.path: p.message for p in caught.value.problems} == {
        ("constraints", 0): "is broken: n + m <= 3",
        ("constraints", 2): "is broken: x >= 0.6",
    }
    with pytest.raises(InvalidInput) as caught:
        space.validate(SGD | {"n": 0})
    assert [p.path for p in caught.value.problems] == [("n",)]


def test_constraints_are_written_in_python_too() -> None:
    space = Space(
        (Float("a", 0, 1), Float("b", 0, 1), Integer("n", 1, 5)),
        constraints=(
            Linear({"a": 1, "b": 1}, "le", 1),
            Forbid(AllOf((Leaf("n", "gt", 3), Relation("a", "gt", "b")))),
        ),
    )
    assert space.to_json()["constraints"] == [
        {"linear": {"a": 1.0, "b": 1.0}, "le": 1.0},
        {"forbid": {"all": [{"parameter": "n", "gt": 3}, {"parameter": "a", "gt": {"parameter": "b"}}]}},
    ]
    assert Space.from_json(space.to_json()) == space
    assert space.constraints[1].described == "not (n > 3 and a > b)"
    assert Linear({"a": -2, "b": 1}, "ge", 0).described == "-2 a + b >= 0"
    with pytest.raises(InvalidInput, match="must be a finite number"):
        Linear({"a": float("nan")}, "le", 1)


@law
@given(data=st.data())
def test_constraints_leave_what_they_allow_and_a_space_of_nothing_is_refused(
    data: DataObject, constrained_space_objects: Objects
) -> None:
    """The oracle is the whole list of the space without its constraints."""
    written = data.draw(constrained_space_objects)
    whole = Space.from_json({**written, "constraints": []})
    left = [config for config in whole.enumerate() if _keeps(written, config)]
    if not left:
        with pytest.raises(InvalidInput, match="no config can keep"):
            Space.from_json(written)
        return
    space = Space.from_json(written)
    assert left == [config for config in whole.enumerate() if space.allows(config)]
    assert left == list(space.enumerate())
    assert (space.size(), space.size_is_exact) == (len(left), True)
    assert Space.from_json(space.to_json()) == space
    assert space.allows(space.default())
    assert space.allows(space.prior_mode())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    keys = {space.key(config) for config in left}
    for config in (space.sample(rng), space.sample_prior(rng), space.repair(whole.sample(rng), rng)):
        assert space.key(config) in keys
        assert space.key(space.mutate(config, rng)) in keys
        assert {space.key(neighbour) for neighbour in space.neighbours(config, rng)} <= keys - {space.key(config)}


def _keeps(written: dict[str, Any], config: dict[str, Any]) -> bool:
    """The constraints read from their JSON, in the plainest way."""
    types = {parameter["name"]: parameter for parameter in written["parameters"]}

    def rank(name: str, value: Any) -> Any:
        choices = types[name].get("choices")
        if types[name]["type"] != "ordinal":
            return value
        return next(i for i, c in enumerate(choices) if c == value and isinstance(c, bool) == isinstance(value, bool))

    def same(one: Any, other: Any) -> bool:
        return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)

    def names(part: Any) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(names, part))
        if isinstance(part, dict):
            own = {part["parameter"]} if "parameter" in part else set()
            return own.union(*(names(value) for value in part.values()))
        return set()

    def fulfils(part: dict[str, Any]) -> bool:
        if "all" in part:
            return all(map(fulfils, part["all"]))
        if "any" in part:
            return any(map(fulfils, part["any"]))
        if "not" in part:
            return not fulfils(part["not"])
        name = part["parameter"]
        ((operator, operand),) = ((key, value) for key, value in part.items() if key != "parameter")
        value = config[name]
        if operator == "in":
            return any(same(value, one) for one in operand)
        if isinstance(operand, dict):
            operand = config[operand["parameter"]]
        if operator == "equals":
            return same(value, operand)
        one, other = rank(name, value), rank(name, operand)
        return bool({"gt": one > other, "ge": one >= other, "lt": one < other, "le": one <= other}[operator])

    for constraint in written["constraints"]:
        if "forbid" in constraint:
            if names(constraint["forbid"]) <= config.keys() and fulfils(constraint["forbid"]):
                return False
        elif constraint["linear"].keys() <= config.keys():
            total = sum(weight * config[name] for name, weight in constraint["linear"].items())
            ((operator, bound),) = ((key, value) for key, value in constraint.items() if key != "linear")
            if not {"le": total <= bound + 1e-9, "ge": total >= bound - 1e-9, "eq": abs(total - bound) <= 1e-9}[
                operator
            ]:
                return False
    return True


@pytest.mark.parametrize(
    ("parameters", "constraints", "path", "message"),
    [
        (
            [_float("z"), _float("a", 0.6), _float("b", 0.5)],
            [{"linear": {"z": 1}, "le": 0.5}, {"linear": {"a": 1, "b": 1}, "le": 1}],
            ("constraints", 1),
            "no config can keep constraints[1] (a + b <= 1) together with a >= 0.6, b >= 0.5: loosen one of these",
        ),
        (
            [_float("a"), _float("b"), _float("c")],
            [
                {"linear": {"a": 1, "b": -1}, "ge": 0.5},
                {"linear": {"c": 1, "b": -1}, "le": 0.1},
                {"linear": {"c": 1}, "ge": 0.9},
            ],
            ("constraints",),
            "constraints[0] (a - b >= 0.5) and constraints[1] (c - b <= 0.1) and constraints[2] (c >= 0.9)"
            " together with a <= 1.0",
        ),
        (
            [OPT, _int("n", 1, 3)],
            [
                {"forbid": {"parameter": "n", "equals": 2}},
                {"forbid": {"parameter": "opt", "equals": "sgd"}},
                {"forbid": {"all": [{"parameter": "opt", "equals": "adam"}, {"parameter": "n", "ge": 1}]}},
            ],
            ("constraints",),
            "constraints[1] (not (opt = \"sgd\")) and constraints[2] (not (opt = \"adam\" and n >= 1))",
        ),
        # what cannot hold may hold where its parameter is inactive
        (
            [_int("n", 1, 3), _int("m", 1, 3)],
            [{"forbid": {"parameter": "n", "ge": {"parameter": "m"}}}, {"forbid": {"parameter": "m", "gt": 1}}],
            ("constraints",),
            "constraints[0] (not (n >= m)) and constraints[1] (not (m > 1))",
        ),
        # continuous values that could be met on an edge only
        (
            [_float("a"), _float("b")],
            [
                {"forbid": {"parameter": "a", "ge": {"parameter": "b"}}},
                {"forbid": {"parameter": "b", "ge": {"parameter": "a"}}},
            ],
            ("constraints",),
            "constraints[0] (not (a >= b)) and constraints[1] (not (b >= a))",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_with_what_contradicts(
    parameters: list[dict[str, Any]], constraints: list[dict[str, Any]], path: tuple[str | int, ...], message: str
) -> None:
    found = _problems(parameters, *constraints)
    assert list(found) == [path]
    assert message in found[path]


def test_a_constraint_that_cannot_hold_is_fine_where_its_parameter_is_inactive() -> None:
    space = _space([OPT, _int("n", 1, 3, when={"parameter": "opt", "equals": "sgd"})], {"linear": {"n": 1}, "ge": 4})
    assert list(space.enumerate()) == [{"opt": "adam"}]
    assert space.sample(np.random.default_rng(0)) == {"opt": "adam"}
    assert space.default() == {"opt": "adam"}


@pytest.mark.parametrize(
    ("constraint", "path", "message"),
    [
        (3, ("constraints", 0), "must be an object, got an integer"),
        ({}, ("constraints", 0), 'must be {"forbid": <condition>} or {"linear"'),
        ({"forbids": {}}, ("constraints", 0, "forbids"), 'did you mean "forbid"?'),
        ({"forbid": []}, ("constraints", 0, "forbid"), "got a list"),
        ({"forbid": {"parameter": "y", "gt": 1}}, ("constraints", 0, "forbid", "parameter"), 'unknown parameter "y"'),
        ({"forbid": {"parameter": "n", "gt": 9}}, ("constraints", 0, "forbid", "gt"), "no value of"),
        (
            {"forbid": {"parameter": "n", "gt": {"parameter": "y"}}},
            ("constraints", 0, "forbid", "gt", "parameter"),
            'unknown parameter "y"',
        ),
        ({"forbid": {"parameter": "n", "gt": {"p": "m"}}}, ("constraints", 0, "forbid", "gt", "p"), "unknown field"),
        ({"forbid": {"parameter": "n", "in": {"parameter": "m"}}}, ("constraints", 0, "forbid", "in"), "be a list"),
        (
            {"forbid": {"parameter": "n", "gt": {"parameter": "n"}}},
            ("constraints", 0, "forbid", "gt", "parameter"),
            "with itself",
        ),
        (
            {"forbid": {"parameter": "n", "gt": {"parameter": "opt"}}},
            ("constraints", 0, "forbid", "gt", "parameter"),
            "numbers with choices",
        ),
        (
            {"forbid": {"parameter": "a", "gt": {"parameter": "opt"}}},
            ("constraints", 0, "forbid", "gt", "parameter"),
            "two ordinals that have the same choices",
        ),
        (
            {"forbid": {"parameter": "a", "equals": {"parameter": "opt"}}},
            ("constraints", 0, "forbid", "equals", "parameter"),
            "no value in common",
        ),
        ({"linear": {}, "le": 1}, ("constraints", 0, "linear"), "at least one parameter"),
        ({"linear": [1], "le": 1}, ("constraints", 0, "linear"), "must be an object of coefficients"),
        ({"linear": {"n": 1}}, ("constraints", 0, "linear"), 'needs one of "le", "ge", "eq" beside it, got none'),
        ({"linear": {"n": 1}, "le": 1, "ge": 0}, ("constraints", 0, "linear"), 'got "le", "ge"'),
        ({"linear": {"n": 1}, "le": None}, ("constraints", 0, "le"), "must be a number, got null"),
        ({"linear": {"n": 1}, "le": "1"}, ("constraints", 0, "le"), "must be a number, got a text"),
        ({"linear": {"n": 0}, "le": 1}, ("constraints", 0, "linear", "n"), "must not be 0"),
        ({"linear": {"n": "1"}, "le": 1}, ("constraints", 0, "linear", "n"), "must be a number, got a text"),
        ({"linear": {"n": 1e200}, "le": 1}, ("constraints", 0, "linear", "n"), "must lie within"),
        ({"linear": {"y": 1}, "le": 1}, ("constraints", 0, "linear", "y"), 'unknown parameter "y"'),
        ({"linear": {"opt": 1}, "le": 1}, ("constraints", 0, "linear", "opt"), "is no number"),
        ({"linear": {"n": 1}, "le": 5, "lt": 3}, ("constraints", 0, "lt"), "unknown field"),
    ],
)  # fmt: skip
def test_constraints_that_are_refused(constraint: Any, path: tuple[str | int, ...], message: str) -> None:
    found = _problems(PARAMETERS, constraint)
    assert message in found[path]


def test_what_else_is_refused() -> None:
    with pytest.raises(InvalidInput, match="constraints: must be a list"):
        Space.from_json({"parameters": PARAMETERS, "constraints": {}})
    with pytest.raises(InvalidInput, match="at most 1000 constraints"):
        Space.from_json({"parameters": PARAMETERS, "constraints": [{"linear": {"n": 1}, "le": 9}] * 1001})
    # only constraints compare parameters
    child = _int("c", 1, 2, when={"parameter": "n", "gt": {"parameter": "m"}})
    found = _problems([*PARAMETERS, child])
    assert found["parameters", 7, "when", "gt"] == "must be a value: only constraints compare parameters"


def test_defaults_and_modes_must_keep_the_constraints() -> None:
    total = {"linear": {"n": 1, "m": 1}, "le": 5}
    found = _problems([_int("n", 1, 9, default=3), _int("m", 1, 9, default=3)], total)
    assert found == {("constraints", 0): "n + m <= 5 is broken by the defaults: n = 3, m = 3"}
    found = _problems([_int("n", 1, 9, prior={"mode": 4}), _int("m", 1, 9, prior={"mode": 2})], total)
    assert found == {("constraints", 0): "n + m <= 5 is broken by the modes of the priors: n = 4, m = 2"}
    # those that nobody declared give way
    space = _space([_int("n", 1, 9, default=3), _int("m", 1, 9)], total)
    assert space.default() == {"n": 3, "m": 2}
    space = _space([_int("n", 1, 9, prior={"mode": 4}), _int("m", 1, 9)], total)
    assert space.prior_mode() == {"n": 4, "m": 1}
    thirds = _space([_float(name) for name in "abc"], {"linear": {"a": 1, "b": 1, "c": 1}, "eq": 1})
    assert thirds.default() == {name: pytest.approx(1 / 3) for name in "abc"}


def test_counting_walks_only_what_hangs_on_a_constraint() -> None:
    rest = [_int(f"p{index}", 1, 10) for index in range(50)]
    space = _space([_int("n", 1, 9), *rest, _int("m", 1, 9)], {"forbid": {"parameter": "n", "gt": {"parameter": "m"}}})
    assert (space.size(), space.size_is_exact) == (45 * 10**50, True)


def test_sums_are_counted_without_walking_all_that_break_them() -> None:
    space = _space(
        [_int(f"p{index}", 0, 20) for index in range(8)], {"linear": {f"p{i}": 1 for i in range(8)}, "eq": 4}
    )
    assert (space.size(), space.size_is_exact) == (330, True)  # 4 units into 8 places: choose(11, 4)
    assert sum(1 for _ in space.enumerate()) == 330


def test_beyond_the_limit_the_size_is_a_bound() -> None:
    space = _space([_int("n", 1, 10**4), _int("m", 1, 10**4)], {"linear": {"n": 1, "m": 1}, "ge": 3})
    assert (space.size(), space.size_is_exact) == (10**8, False)
    assert next(iter(space.enumerate())) == {"n": 1, "m": 2}


def test_floats_stay_infinite() -> None:
    space = _space([_float("x"), _int("n", 1, 3)], {"forbid": {"parameter": "n", "equals": 2}})
    assert (space.size(), space.size_is_exact) == (None, True)


def test_enumeration_keeps_its_order() -> None:
    space = _space([_int("n", 1, 3), _int("m", 1, 3)], {"forbid": {"parameter": "n", "equals": {"parameter": "m"}}})
    pairs = [(config["n"], config["m"]) for config in space.enumerate()]
    assert pairs == [pair for pair in itertools.product((1, 2, 3), repeat=2) if pair[0] != pair[1]]
