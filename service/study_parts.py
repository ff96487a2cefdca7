"""The parts of a study, as types that say what they are in OpenAPI.

What a part means is checked by those who carry it out (`spaces`, `search`, the objective): here it is an object, and
the tables that check it describe it too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from search import ALGORITHMS, Option
from search.spec import BUDGET, METRIC

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MAX_WORKER = 1024
"""CPUs or GPUs of one run."""


def _described(options: Sequence[Option]) -> dict[str, Any]:
    """The JSON Schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": {option.name: _option_schema(option) for option in options},
        "required": [option.name for option in options if option.required],
        "additionalProperties": False,
    }


def _option_schema(option: Option) -> dict[str, Any]:
    types = {"int": "integer", "float": "number", "text": "string"}
    schema: dict[str, Any] = {"type": types[option.type], "description": option.doc}
    if option.choices:
        schema["enum"] = list(option.choices)
    if option.at_least is not None:
        schema["minimum"] = option.at_least
    if option.above is not None:
        schema["exclusiveMinimum"] = option.above
    if option.default is not None:
        schema["default"] = option.default
    return schema


def _algorithm_schema() -> dict[str, Any]:
    variants = []
    for algorithm in ALGORITHMS.values():
        variant = _described(algorithm.options)
        variant["title"] = algorithm.name
        variant["description"] = algorithm.summary
        variant["properties"] = {"name": {"const": algorithm.name}, **variant["properties"]}
        variant["required"] = ["name", *variant["required"]]
        variants.append(variant)
    return {"oneOf": variants, "description": "A name of /algorithms with its options."}


def _check_name(name: str) -> str:
    if re.fullmatch(NAME_PATTERN, name):
        return name
    raise ValueError("must be 1 to 128 letters, digits, dots, underscores and hyphens, the first a letter or a digit")


def plain_number(number: float) -> int | float:
    """A whole float as an integer: people count epochs and CPUs in whole numbers, the database in floats."""
    return int(number) if number.is_integer() else number


def _check_quantity(quantity: float) -> float:
    if quantity > 1 and not quantity.is_integer():
        raise ValueError(f"must be a fraction below 1 or a whole number, got {quantity:g}")
    return quantity


Name = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
Number = int | float
Quantity = Annotated[float, AfterValidator(_check_quantity), PlainSerializer(plain_number, return_type=Number)]
Values = dict[str, Any]
Metrics = dict[str, Number | None]
"""Metrics by name; a number that is not finite is null."""

Space = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "The search space.",
            "properties": {
                "parameters": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "type": {"enum": ["float", "int", "categorical", "bool", "ordinal", "constant"]},
                        },
                        "required": ["name", "type"],
                    },
                },
                "fidelity": {"type": "object", "description": "The resource that runs use: name, low, high, type."},
            },
            "required": ["parameters"],
        }
    ),
]
Objective = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "What a run executes.",
            "properties": {"type": {"type": "string"}},
            "required": ["type"],
        }
    ),
]
MetricSpecs = Annotated[
    list[dict[str, Any]],
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": _described(METRIC),
            "description": "What the objective reports; the first metric ranks the trials.",
        }
    ),
]
Algorithm = Annotated[dict[str, Any], WithJsonSchema(_algorithm_schema())]
Budget = Annotated[
    dict[str, Any],
    WithJsonSchema({**_described(BUDGET), "description": "When the study ends: at the first limit that it reaches."}),
]


class Resources(BaseModel):
    """What one run may use. Below 1 it is a share, above 1 it is whole."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    cpus: Quantity = Field(1.0, gt=0, le=MAX_WORKER)
    gpus: Quantity = Field(0.0, ge=0, le=MAX_WORKER)
