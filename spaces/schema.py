"""The JSON Schema (2020-12) of the format of spaces, for editors and for clients in other languages.

Generated from the classes that read it: their fields, types and docstrings. It describes shapes; what a space *means*
(that low is below high, that a parent exists, that constraints can hold) only `Space.from_json` can tell, so a document
that the schema accepts may still be refused, and never the other way round.
"""

from __future__ import annotations

import sys
import types
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spaces.architectures.base import Architecture
from spaces.architectures.expansion import ARCHITECTURES
from spaces.architectures.expansion import MAX_NAME as MAX_CELL_NAME
from spaces.architectures.expansion import TYPE as CELL
from spaces.architectures.options import Count, Subset
from spaces.checks import MAX_NAME
from spaces.conditions import OPERATORS, Condition
from spaces.constraints import BOUNDS
from spaces.fidelity import TYPES as FIDELITY_TYPES
from spaces.parameters import MAX_CHOICES, TYPES, Parameter
from spaces.priors import MAX_SIGMA, MAX_WEIGHT, MIN_SIGMA, MIN_WEIGHT, Prior
from spaces.structure import MAX_CONSTRAINTS, MAX_PARAMETERS
from spaces.values import MAX_INTEGER, MAX_TEXT, Value

Schema = dict[str, Any]

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
_SCALAR: Schema = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_TEXT},
        {"type": "boolean"},
        {"type": "number", "minimum": -1.8e308, "maximum": 1.8e308},
    ]
}


def json_schema() -> Schema:
    """The schema of the object that `Space.from_json` reads."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Search space",
        **_object(
            {
                "parameters": {"type": "array", "items": _ref("parameter"), "minItems": 1, "maxItems": MAX_PARAMETERS},
                "fidelity": _or_null(_ref("fidelity")),
                "constraints": _or_null(
                    {"type": "array", "items": _ref("constraint"), "maxItems": MAX_CONSTRAINTS},
                ),
            },
            required=["parameters"],
        ),
        "$defs": {
            "scalar": _SCALAR,
            "parameter": {"oneOf": [_ref(name) for name in (*TYPES, CELL)]},
            **{name: _parameter(cls) for name, cls in TYPES.items()},
            CELL: {"oneOf": [_cell(cls) for cls in ARCHITECTURES.values()]},
            "fidelity": _fidelity(),
            "prior": _prior(),
            "condition": _condition(relations=False),
            "clause": _condition(relations=True),
            "constraint": _constraint(),
        },
    }


def _parameter(cls: type[Parameter]) -> Schema:
    hints = get_type_hints(cls)
    properties: Schema = {"name": _NAME, "type": {"const": cls.type}}
    required = ["name", "type"]
    for declared in fields(cls):
        if declared.name == "name":
            continue
        properties[declared.name] = _type(hints[declared.name])
        if _is_required(declared):
            required.append(declared.name)
    if "choices" in properties:
        properties["choices"] |= {"minItems": 1, "maxItems": MAX_CHOICES}
    return {"description": (cls.__doc__ or "").strip(), **_object(properties, required)}


def _cell(cls: type[Architecture]) -> Schema:
    """An entry of type `cell` with this preset."""
    choices = {"type": "array", "items": _ref("scalar"), "minItems": 1}
    properties: Schema = {
        "name": {**_NAME, "maxLength": MAX_CELL_NAME},
        "type": {"const": CELL},
        "preset": {"const": cls.preset},
        **{option: _or_null(_option(rule)) for option, rule in cls.options.items()},
        "choices": _or_null({"type": "object", "additionalProperties": choices}),
    }
    described = (sys.modules[cls.__module__].__doc__ or "").strip()
    return {"description": described, **_object(properties, ["name", "type", "preset"])}


def _option(rule: Count | Subset) -> Schema:
    if isinstance(rule, Count):
        return {"type": "integer", "minimum": rule.low, "maximum": rule.high, "description": rule.about}
    return {"type": "array", "items": {"enum": list(rule.known)}, "minItems": 1, "uniqueItems": True}


def _is_required(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


def _type(hint: Any) -> Schema:
    """The schema of an annotation."""
    optional = None in get_args(hint) or types.NoneType in get_args(hint)
    parts = [part for part in get_args(hint) if part is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType) and optional:
        inner = parts[0] if len(parts) == 1 else Union[tuple(parts)]  # noqa: UP007  # made at run time
        return _or_null(_type(inner))
    if hint == Condition:
        return _ref("condition")
    if hint == Value:
        return _ref("scalar")
    if hint is Prior:
        return _ref("prior")
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(parts[0])}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    plain: dict[type, Schema] = {
        float: {"type": "number"},
        int: {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        bool: {"type": "boolean"},
        str: {"type": "string"},
    }
    return plain[hint]


def _fidelity() -> Schema:
    positive = {"type": "number", "exclusiveMinimum": 0}
    properties = {"name": _NAME, "type": _or_null({"enum": list(FIDELITY_TYPES)}), "low": positive, "high": positive}
    return _object(properties, ["name", "low", "high"])


def _prior() -> Schema:
    hints = get_type_hints(Prior)
    properties = {declared.name: _type(hints[declared.name]) for declared in fields(Prior)}
    properties["sigma"] = _or_null({"type": "number", "minimum": MIN_SIGMA, "maximum": MAX_SIGMA})
    weight = {"type": "number", "minimum": MIN_WEIGHT, "maximum": MAX_WEIGHT}
    properties["weights"] = _or_null({"type": "array", "items": weight, "minItems": 1})
    return {"description": (Prior.__doc__ or "").strip(), **_object(properties, [])}


def _condition(*, relations: bool) -> Schema:
    """A leaf or a join; in a clause, a leaf may compare with another parameter."""
    own = _ref("clause" if relations else "condition")
    several = {"type": "array", "items": own, "minItems": 1}
    other = _object({"parameter": _NAME}, ["parameter"])
    leaves = []
    for operator in OPERATORS:
        operand: Schema = {"type": "array", "items": _ref("scalar"), "minItems": 1}
        if operator != "in":
            operand = {"anyOf": [_ref("scalar"), other]} if relations else _ref("scalar")
        leaves.append(_object({"parameter": _NAME, operator: operand}, ["parameter", operator]))
    joins = [_object({join: own if join == "not" else several}, [join]) for join in ("all", "any", "not")]
    return {"oneOf": [*leaves, *joins]}


def _constraint() -> Schema:
    coefficients = {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 1}
    sums = [_object({"linear": coefficients, bound: {"type": "number"}}, ["linear", bound]) for bound in BOUNDS]
    return {"oneOf": [_object({"forbid": _ref("clause")}, ["forbid"]), *sums]}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
