"""Hypothesis strategies for spaces, as JSON: every type, scale, step, default and prior, conditions of any shape.

Fixtures because test folders are no packages. Use: `def test_x(space_objects): ... given(space_objects)` or
`data.draw(space_objects)` with `@given(data=st.data())`.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, -1.25, 1e-9]), st.text("abé ", max_size=3))


def _distinct(value: object) -> tuple[bool, object]:
    return isinstance(value, bool), value


@st.composite
def _domains(draw: DrawFn, finite: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "int", "categorical", "bool", "ordinal", "constant"]))
    match kind:
        case "bool":
            return {"type": kind}
        case "constant":
            return {"type": kind, "value": draw(SCALARS)}
        case "categorical" | "ordinal":
            choices = draw(st.lists(SCALARS, min_size=1, max_size=4, unique_by=_distinct))
            return {"type": kind, "choices": choices}
    log = draw(st.booleans())
    step: Any = draw(st.integers(1, 3) if kind == "int" else st.sampled_from([0.1, 0.25, 1.0, 1e-3]))
    steps = draw(st.integers(1, 4))
    start = draw(st.integers(1, 5) if log else st.integers(-5, 5)) * step
    low = start if kind == "int" else round(start, 6)
    high = low + steps * step if kind == "int" else round(low + steps * step, 6)
    written = {"type": kind, "low": low, "high": high, "log": log}
    if kind == "int" or finite or draw(st.booleans()):
        written["step"] = step
    return written


def _values(parameter: dict[str, Any]) -> list[Any]:
    """Some values that the parameter can take, in order where it has one."""
    match parameter["type"]:
        case "bool":
            return [False, True]
        case "constant":
            return [parameter["value"]]
        case "categorical" | "ordinal":
            return list(parameter["choices"])
        case _:
            return [parameter["low"], parameter["high"]]


@st.composite
def _leaves(draw: DrawFn, parents: list[dict[str, Any]]) -> dict[str, Any]:
    parent = draw(st.sampled_from(parents))
    values = _values(parent)
    ordered = parent["type"] in ("int", "float", "ordinal")
    operator = draw(st.sampled_from(["equals", "in", "gt", "ge", "lt", "le"] if ordered else ["equals", "in"]))
    operand: Any
    match operator:
        case "in":
            operand = draw(st.lists(st.sampled_from(values), min_size=1, unique_by=_distinct))
        case "gt":
            operand = values[0]
        case "lt":
            operand = values[-1]
        case _:
            operand = draw(st.sampled_from(values))
    if operator in ("gt", "lt") and len(values) == 1:
        operator = "ge"
    return {"parameter": parent["name"], operator: operand}


def _conditions(parents: list[dict[str, Any]]) -> SearchStrategy[dict[str, Any]]:
    return st.recursive(
        _leaves(parents),
        lambda parts: st.one_of(
            st.builds(lambda inner: {"all": inner}, st.lists(parts, min_size=1, max_size=3)),
            st.builds(lambda inner: {"any": inner}, st.lists(parts, min_size=1, max_size=3)),
            st.builds(lambda inner: {"not": inner}, parts),
        ),
        max_leaves=4,
    )


@st.composite
def _priors(draw: DrawFn, parameter: dict[str, Any]) -> dict[str, Any]:
    values = _values(parameter)
    if parameter["type"] in ("categorical", "ordinal", "bool") and draw(st.booleans()):
        weight = st.sampled_from([0.25, 1, 2, 9.5])
        return {"weights": draw(st.lists(weight, min_size=len(values), max_size=len(values)))}
    prior = {"mode": draw(st.sampled_from(values))}
    if parameter["type"] in ("int", "float", "ordinal") and draw(st.booleans()):
        return {**prior, "sigma": draw(st.sampled_from([0.01, 0.1, 1, 50]))}
    confidence = draw(st.sampled_from([None, "low", "medium", "high"]))
    return prior if confidence is None else {**prior, "confidence": confidence}


@st.composite
def _constraints(draw: DrawFn, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = [parameter for parameter in parameters if parameter["type"] in ("int", "float")]
    if numbers and draw(st.booleans()):
        terms = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3, unique_by=lambda p: p["name"]))
        coefficients = {term["name"]: draw(st.sampled_from([-2, -1, 0.5, 1])) for term in terms}
        at = {term["name"]: draw(st.sampled_from([term["low"], term["high"]])) for term in terms}
        bound = sum(coefficients[name] * at[name] for name in coefficients)
        return {"linear": coefficients, draw(st.sampled_from(["le", "ge", "eq"])): bound}
    if len(numbers) > 1 and draw(st.booleans()):
        one, other = draw(st.permutations(numbers))[:2]
        operator = draw(st.sampled_from(["equals", "gt", "ge", "lt", "le"]))
        relation = {"parameter": one["name"], operator: {"parameter": other["name"]}}
        return {"forbid": draw(st.sampled_from([relation, {"not": relation}]))}
    return {"forbid": draw(_conditions(parameters))}


@st.composite
def _constrained_spaces(draw: DrawFn) -> dict[str, Any]:
    """Finite ones without defaults and priors; perhaps no config keeps the constraints."""
    written = draw(_spaces(finite=True))
    for parameter in written["parameters"]:
        parameter.pop("default", None)
        parameter.pop("prior", None)
    constraints = draw(st.lists(_constraints(written["parameters"]), min_size=1, max_size=3))
    return {**written, "constraints": constraints}


@st.composite
def _spaces(draw: DrawFn, finite: bool) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 5))):
        parameter = {"name": f"p{index}", **draw(_domains(finite))}
        if parameter["type"] != "constant" and draw(st.booleans()):
            parameter["default"] = draw(st.sampled_from(_values(parameter)))
        if parameter["type"] != "constant" and draw(st.booleans()):
            parameter["prior"] = draw(_priors(parameter))
        if draw(st.integers(0, 4)) == 0:
            parameter["mutable"] = draw(st.booleans())
        if parameters and draw(st.booleans()):
            parameter["when"] = draw(_conditions(parameters))
        parameters.append(parameter)
    written: dict[str, Any] = {"parameters": draw(st.permutations(parameters))}
    if draw(st.booleans()):
        written["fidelity"] = draw(
            st.sampled_from([{"name": "r", "low": 1, "high": 9}, {"name": "r", "low": 0.1, "high": 1}])
        )
    return written


@pytest.fixture(scope="session")
def space_objects() -> SearchStrategy[dict[str, Any]]:
    """Any space, as JSON."""
    return _spaces(finite=False)


@pytest.fixture(scope="session")
def finite_space_objects() -> SearchStrategy[dict[str, Any]]:
    """Any space with finitely many configs, as JSON."""
    return _spaces(finite=True)


@pytest.fixture(scope="session")
def constrained_space_objects() -> SearchStrategy[dict[str, Any]]:
    """Any finite space with constraints, as JSON; perhaps no config keeps them."""
    return _constrained_spaces()
