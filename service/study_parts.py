"""The parts of a study, as types that say what they are in OpenAPI.

What a part means is checked by those who carry it out (`spaces`, `search`, the objective): here it is an object, and
the tables that check it describe it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from search import ALGORITHMS, STOPPING_RULES, Option
from search.auto import NAME as AUTO
from search.replicates import REPLICATES
from search.spec import BUDGET, METRIC
from service.retries import BACKOFF_SECONDS, MOST_BACKOFF
from service.retries import DEFAULTS as RETRIES
from workers.training.hyperparameters import PRESETS

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MOST_SECONDS = 10**8
MOST_ATTEMPTS = 1000
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
    """A field that may be left out may be null too."""
    type_ = {"bool": "boolean", "int": "integer", "float": "number", "text": "string"}[option.type]
    schema: dict[str, Any] = {"type": type_ if option.required else [type_, "null"], "description": option.doc}
    if option.choices:
        schema["enum"] = [*option.choices, *([] if option.required else [None])]
    if option.at_least is not None:
        schema["minimum"] = option.at_least
    if option.above is not None:
        schema["exclusiveMinimum"] = option.above
    if option.at_most is not None:
        schema["maximum"] = option.at_most
    if option.default is not None:
        schema["default"] = option.default
    return schema


def _one_of(key: str, rows: Iterable[tuple[str, str, Sequence[Option]]]) -> dict[str, Any]:
    """The JSON Schema of an object whose `key` is the name of a row (name, summary, options), beside its options.

    The variants say nothing of fields that are not theirs: what is around them does, by `unevaluatedProperties`.
    """
    variants = []
    for name, summary, options in rows:
        variant = _described(options)
        del variant["additionalProperties"]
        variant |= {"title": name, "description": summary, "required": [key, *variant["required"]]}
        variant["properties"] = {key: {"const": name}, **variant["properties"]}
        variants.append(variant)
    return {"type": "object", "oneOf": variants, "unevaluatedProperties": False}


def _algorithm_schema() -> dict[str, Any]:
    stop = _one_of("rule", ((row.name, row.summary, row.options) for row in STOPPING_RULES.values()))
    rows = [(row.name, row.summary, row.options) for row in ALGORITHMS.values()]
    because = {"type": ["string", "null"], "description": "In answers: why auto chose it."}
    return {
        **_one_of("name", [(AUTO, "Chooses an algorithm for the study.", ()), *rows]),
        "properties": {
            "stop": {"anyOf": [stop, {"type": "null"}], "description": "A name of /stopping-rules with its options."},
            "chosen_because": because,
        },
        "description": "A name of /algorithms with its options; auto if not given. `stop` may be added to each.",
    }


def _metric_schema() -> dict[str, Any]:
    directed = [{"required": [key]} for key in ("direction", "at_most", "at_least")]
    return {**_described(METRIC), "anyOf": directed}


def scalar(option: Option) -> Any:
    """The option as the field of a model."""
    return Field(option.default, ge=option.at_least, le=option.at_most, description=option.doc)


def _check_name(name: str) -> str:
    if re.fullmatch(NAME_PATTERN, name):
        return name
    raise ValueError("must be 1 to 128 letters, digits, dots, underscores and hyphens, the first a letter or a digit")


def plain_number(number: float) -> int | float:
    """A whole float as an integer: people count epochs and CPUs in whole numbers, the database in floats."""
    return int(number) if float(number).is_integer() else number  # an integer too, until it was in the database


def _whole(value: object) -> object:
    """JSON knows no integers: 4.0 is the number 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_quantity(quantity: float) -> float:
    if quantity > 1 and not quantity.is_integer():
        raise ValueError(f"must be a fraction below 1 or a whole number, got {quantity:g}")
    return quantity


Name = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
Number = int | float
WHOLE = BeforeValidator(_whole)
"""Behind an integer's bounds, which would not be described otherwise."""
Quantity = Annotated[float, AfterValidator(_check_quantity), PlainSerializer(plain_number, return_type=Number)]
Values = dict[str, Any]
Metrics = dict[str, Number | None]
"""Metrics by name; a number that is not finite is null."""

_FIDELITY = {
    "type": ["object", "null"],
    "description": "The resource that runs use: name, low, high, type.",
}


def _space(*more_types: str, **more: Any) -> dict[str, Any]:
    types = ["float", "int", "categorical", "bool", "ordinal", "constant", *more_types]
    parameter = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "type": {"enum": types}},
        "required": ["name", "type"],
    }
    return {
        "type": "object",
        "description": "The search space.",
        "properties": {"parameters": {"type": "array", "items": parameter}, "fidelity": _FIDELITY, **more},
        "required": ["parameters"],
    }


Space = Annotated[dict[str, Any], WithJsonSchema(_space())]
_PRESET = {"enum": [*PRESETS], "description": "The parameters of the family's preset; those listed change it."}
_CHANGE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "remove": {"type": "boolean"}},
    "required": ["name"],
}
_ARCHITECTURE_FROM = {
    "type": "object",
    "description": "The architecture of another study's trial (its best, if no trial is named), as constants.",
    "properties": {"study": {"type": "string"}, "trial": {"type": "integer", "minimum": 0}},
    "required": ["study"],
    "additionalProperties": False,
}
SpaceGiven = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "description": "The search space, as parameters (cells are written out) or as a preset with changes.",
            "oneOf": [
                _space("cell", architecture_from=_ARCHITECTURE_FROM),
                {
                    "type": "object",
                    "properties": {
                        "preset": _PRESET,
                        "parameters": {"type": "array", "items": _CHANGE},
                        "fidelity": _FIDELITY,
                        "architecture_from": _ARCHITECTURE_FROM,
                    },
                    "required": ["preset"],
                },
            ],
        }
    ),
]
"""As a client writes it; what is stored names every parameter."""
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
            "items": _metric_schema(),
            "description": "What the objective reports. The first metric ranks the trials; one with a bound is a"
            " constraint, and others without are further objectives.",
        }
    ),
]
Algorithm = Annotated[dict[str, Any], WithJsonSchema(_algorithm_schema())]
Budget = Annotated[
    dict[str, Any],
    WithJsonSchema({**_described(BUDGET), "description": "When the study ends: at the first limit that it reaches."}),
]


Replicates = Annotated[
    dict[str, Any],
    WithJsonSchema({**_described(REPLICATES), "description": "The best trials are run again before one is the best."}),
]


class Resources(BaseModel):
    """What one run may use. Below 1 it is a share, above 1 it is whole. A `preemptible` one gives way, at its next
    report, to a study of higher priority that finds no room."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    cpus: Quantity = Field(1.0, gt=0, le=MAX_WORKER)
    gpus: Quantity = Field(0.0, ge=0, le=MAX_WORKER)
    preemptible: bool = False


class Limits(BaseModel):
    """What one attempt at a run may take. Beyond `seconds` it has timed out, beyond `memory_mb` it is out of memory."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    seconds: float | None = Field(None, gt=0, le=MOST_SECONDS)
    memory_mb: float | None = Field(None, ge=16, le=2**24, description="Of the worker's process and its children.")


class Checks(BaseModel):
    """What is looked into before the first run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    baseline: bool = Field(True, description="The scores of the cheap standard model of the task.")
    overfit: bool = Field(
        True, description="Whether the default config learns 64 examples by heart; if not, it pauses."
    )
    lr_range: bool = Field(True, description="Which learning rates are worth searching.")
    pause: bool = Field(False, description="Pauses when they have ended, for somebody to look at them first.")


Further = Annotated[int | None, Field(ge=0, le=MOST_ATTEMPTS), WHOLE]


class Retry(BaseModel):
    """How many further attempts a run gets, by how the last one ended; null is no limit. What diverged or is infeasible
    is never tried again."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    error: Further = RETRIES["error"]
    oom: Further = RETRIES["oom"]
    timeout: Further = RETRIES["timeout"]
    lost: Further = Field(RETRIES["lost"], description="The worker vanished.")
    preempted: Further = Field(RETRIES["preempted"], description="The worker had to give the run back.")
    backoff_seconds: float = Field(
        BACKOFF_SECONDS,
        ge=0,
        le=MOST_BACKOFF,
        description="How long to wait after an error, lack of memory or time; each time twice as long.",
    )


Priority = Annotated[
    int, Field(ge=-4, le=4, description="Each step up gives the study twice the share of the workers."), WHOLE
]
