"""pydantic's findings in words for people: what is wrong, what is expected, which names are known."""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from spaces.checks import unknown
from spaces.errors import Path, Problem
from spaces.values import show

MOST_PROBLEMS = 100
"""More than these are not listed: nobody reads them."""

_EXPECTED = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
}

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


def problems_of(errors: Iterable[ErrorDetails], model: type[BaseModel] | None = None, root: int = 0) -> list[Problem]:
    """One problem per finding, at most `MOST_PROBLEMS`.

    `root` is how many leading steps of pydantic's locations to drop ("body", "query", ...); `model` is what was
    validated, for the names that it knows.
    """
    listed: list[Problem] = []
    for error in errors:
        if len(listed) == MOST_PROBLEMS:
            break
        path = tuple(error["loc"])[root:]
        if error["type"] == "extra_forbidden" and model is not None:
            listed.append(Problem(path, unknown("field", path[-1], known_fields(model, path[:-1]))))
        else:
            listed.append(Problem(path, message(error)))
    return listed


def message(error: ErrorDetails) -> str:
    """What is wrong with one value, without its path."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(context["error"])
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, got {show(error['input'])}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"must be {words} {context[key]}, got {show(error['input'])}"
    if kind == "too_long":
        return f"takes at most {context['max_length']}, got {context['actual_length']}"
    if kind in ("literal_error", "enum"):
        return f"must be {context['expected']}, got {show(error['input'])}"
    return error["msg"]


def known_fields(model: type[BaseModel], path: Path) -> list[str]:
    """The names of the fields that the model has at `path`."""
    for step in path:
        if isinstance(step, int):
            continue  # an item of a list has the model that the list's annotation names
        field = model.model_fields.get(step)
        nested = _model_in(field.annotation) if field else None
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as `list[Model] | None` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, list):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None
