"""The exact size, along the conditions."""

from typing import Any

import pytest

from spaces import InvalidInput, Space


def _space(*parameters: dict[str, Any]) -> Space:
    return Space.from_json({"parameters": list(parameters)})


def _int(name: str, count: int, when: object = None) -> dict[str, Any]:
    return {"name": name, "type": "int", "low": 1, "high": count, "when": when}


def _bool(name: str, when: object = None) -> dict[str, Any]:
    return {"name": name, "type": "bool", "when": when}


def _is(parameter: str, value: object = True) -> dict[str, Any]:
    return {"parameter": parameter, "equals": value}


def _free_float(when: object) -> dict[str, Any]:
    return {"name": "x", "type": "float", "low": 0, "high": 1, "when": when}


OPT = {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]}


def test_a_tree_counts_the_children_of_each_value() -> None:
    space = _space(OPT, _int("mom", 3, _is("opt", "sgd")), _int("beta", 2, _is("opt", "adam")), _int("bs", 4))
    assert space.size() == 4 * (3 + 2)  # the plain product would be 48


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ([_int("a", 7)], 7),
        ([{"name": "c", "type": "constant", "value": 1}], 1),
        ([{"name": "x", "type": "float", "low": 0, "high": 1, "step": 0.25}], 5),
        ([{"name": "x", "type": "float", "low": 0, "high": 1}], None),
        # thresholds on a large range are classes, not values
        ([_int("n", 10**12), _int("a", 5, {"parameter": "n", "le": 10})], 10 * 5 + (10**12 - 10)),
        # a free float that can be active, however rarely
        ([_int("n", 10**12), _free_float(_is("n", 77))], None),
        # and one that never can
        ([OPT, _free_float({"all": [_is("opt", "sgd"), _is("opt", "adam")]})], 2),
        ([_bool("a"), _int("b", 3, {"not": _is("a")})], 4),
        # `not` of a leaf on an inactive parent holds
        ([_bool("a"), _bool("b", _is("a")), _int("c", 3, {"not": _is("b")})], 1 * 3 + 1 + 3),
        # two parents
        ([_bool("a"), _bool("b"), _int("c", 5, {"all": [_is("a"), _is("b")]})], 3 + 5),
        ([_bool("a"), _bool("b"), _int("c", 5, {"any": [_is("a"), _is("b")]})], 1 + 3 * 5),
        # a diamond
        ([_bool("a"), _bool("b", _is("a")), _bool("c", _is("a")), _int("d", 2, {"any": [_is("b"), _is("c")]})], 8),
    ],
)
def test_size(parameters: list[dict[str, Any]], size: int | None) -> None:
    space = _space(*parameters)
    assert space.size() == size
    if size is not None and size < 1000:
        assert len(list(space.enumerate())) == size


def test_independent_components_multiply_exactly() -> None:
    assert _space(*(_int(f"p{index}", 10) for index in range(100))).size() == 10**100


def test_a_long_chain() -> None:
    """p0 <- p1 <- ... : 2 ** k ways to stop after k of n, each parameter active when its parent is above 2."""
    depth = 1000
    chain = [_int(f"p{i}", 4, {"parameter": f"p{i - 1}", "ge": 3} if i else None) for i in range(depth)]
    assert _space(*chain).size() == 2 * sum(2**k for k in range(depth - 1)) + 4 * 2 ** (depth - 1)


def test_one_child_of_many_parents() -> None:
    parents = [_bool(f"p{index}") for index in range(100)]
    child = _int("c", 5, {"any": [_is(parent["name"]) for parent in parents]})
    assert _space(child, *parents).size() == 1 + (2**100 - 1) * 5


def test_a_chain_of_shared_parents() -> None:
    """Each child hangs on two neighbours: 100 overlapping conditions, no tree, and still no product to walk."""
    number = 100
    parents = [_bool(f"p{index}") for index in range(number)]
    children = [_int(f"c{index}", 3, {"all": [_is(f"p{index}"), _is(f"p{index + 1}")]}) for index in range(number - 1)]
    off, on = 1, 1  # configs of the first parents, by the value of the last
    for _ in range(number - 1):
        off, on = off + on, off + 3 * on
    assert _space(*parents, *children).size() == off + on


def test_what_cannot_be_counted_is_refused() -> None:
    """Every child looks at a scattered handful of 60 parents: no order of deciding keeps the parts small."""
    parents = [_bool(f"p{index}") for index in range(60)]
    triples = [[(i * step + shift) % 60 for step in (1, 7, 11)] for i in range(60) for shift in (0, 17, 29)]
    children = [
        _int(f"c{number}", 2, {"any": [_is(f"p{parent}") for parent in triple]})
        for number, triple in enumerate(triples)
    ]
    with pytest.raises(InvalidInput, match="entangle") as caught:
        _space(*parents, *children)
    assert caught.value.problems[0].path == ("parameters",)


def test_an_infinite_space_is_not_enumerated() -> None:
    with pytest.raises(ValueError, match="infinite"):
        _space({"name": "x", "type": "float", "low": 0, "high": 1}).enumerate()


def test_enumeration_is_lazy_and_in_order() -> None:
    configs = _space(_int("a", 10**9), OPT).enumerate()
    assert [next(configs) for _ in range(3)] == [
        {"a": 1, "opt": "sgd"},
        {"a": 1, "opt": "adam"},
        {"a": 2, "opt": "sgd"},
    ]
