"""The JSON Schema accepts what the reader accepts."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from spaces import InvalidInput, Space, json_schema
from spaces.parameters import TYPES

jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with a reader that is not ours")

Objects = SearchStrategy[dict[str, Any]]
law = settings(deadline=None, max_examples=40)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@law
@given(data=st.data())
def test_good_spaces_pass(data: DataObject, validator: Any, space_objects: Objects) -> None:
    written = data.draw(space_objects)
    validator.validate(written)
    validator.validate(Space.from_json(written).to_json())


@law
@given(data=st.data())
def test_constrained_spaces_pass(data: DataObject, validator: Any, constrained_space_objects: Objects) -> None:
    validator.validate(data.draw(constrained_space_objects))


@pytest.mark.parametrize(
    "written",
    [
        [],
        {},
        {"parameters": []},
        {"parameters": [{"name": "x", "type": "flot", "low": 0, "high": 1}]},
        {"parameters": [{"name": "x", "type": "float", "low": 0}]},
        {"parameters": [{"name": "x", "type": "float", "low": 0, "high": "1"}]},
        {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1, "lowest": 0}]},
        {"parameters": [{"name": "x", "type": "int", "low": 0.5, "high": 1}]},
        {"parameters": [{"name": "x", "type": "categorical", "choices": []}]},
        {"parameters": [{"name": "x", "type": "categorical", "choices": [None]}]},
        {"parameters": [{"name": "x", "type": "constant", "value": 1, "prior": {"mode": 1}}]},
        {"parameters": [{"name": "x", "type": "bool", "prior": {"mode": True, "confidence": "none"}}]},
        {"parameters": [{"name": "x", "type": "bool", "when": {"parameter": "y"}}]},
        {"parameters": [{"name": "x", "type": "bool", "when": {"all": []}}]},
        {"parameters": [{"name": "x", "type": "bool"}], "fidelity": {"name": "r", "low": 0, "high": 1}},
        {"parameters": [{"name": "x", "type": "bool"}], "constraints": [{}]},
        {"parameters": [{"name": "x", "type": "bool"}], "constraints": [{"linear": {"x": 1}}]},
        {"parameters": [{"name": "x", "type": "bool"}], "constraints": [{"linear": {"x": 1}, "le": 1, "ge": 0}]},
    ],
)
def test_both_refuse(written: Any, validator: Any) -> None:
    assert not validator.is_valid(written)
    with pytest.raises(InvalidInput):
        Space.from_json(written)


def test_relations_belong_to_constraints_only(validator: Any) -> None:
    relation = {"parameter": "a", "gt": {"parameter": "b"}}
    numbers = [{"name": name, "type": "int", "low": 1, "high": 3} for name in "ab"]
    assert validator.is_valid({"parameters": numbers, "constraints": [{"forbid": {"not": relation}}]})
    assert not validator.is_valid({"parameters": [*numbers, {"name": "c", "type": "bool", "when": relation}]})


def test_every_type_and_field_is_described() -> None:
    definitions = json_schema()["$defs"]
    for name, cls in TYPES.items():
        assert definitions[name]["description"] == (cls.__doc__ or "").strip()
        assert set(definitions[name]["properties"]) == {"type", *cls.__dataclass_fields__}
