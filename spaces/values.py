"""The values a config may hold: texts, numbers, true and false; exactly what JSON can carry without loss.

Python says `True == 1`, JSON does not. Wherever values are looked up or compared here, they go through `token`, which
keeps the two apart and still lets `1` and `1.0` be the same number, as they are on the wire.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeGuard

Value = float | int | bool | str
Config = Mapping[str, Value]

MAX_INTEGER = 2**53  # beyond it, not every integer survives a JSON reader that uses doubles
MAX_TEXT = 1_000
MAX_LISTED = 20

_PLAIN = {bool: "true or false", int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}


def token(value: object) -> tuple[bool, Hashable]:
    """What identifies a value: `True` differs from `1`, `1` does not differ from `1.0`. The value must be hashable."""
    return value.__class__ is bool, value


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def scalar_objection(value: object) -> str | None:
    """Why this cannot be a value of a config, or None when it can."""
    match value:
        case bool():
            return None
        case int():
            return None if abs(value) <= MAX_INTEGER else f"must lie within ±2**53, got {show(value)}"
        case float():
            return None if math.isfinite(value) else f"must be finite, got {show(value)}"
        case str():
            if len(value) > MAX_TEXT:
                return f"must have at most {MAX_TEXT} characters, got {len(value)}"
            # neither survives the way to the database and back
            if "\0" in value or (not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)):
                return "must be a text without NUL characters and lone surrogates"
            return None
        case None:
            return 'must be a text, a number, true or false, got null (a text such as "none" can stand for it)'
        case _:
            return f"must be a text, a number, true or false, got {kind(value)}"


def kind(value: object) -> str:
    """What a value is, in words: `an integer`, `a list`, `null`."""
    return "null" if value is None else _PLAIN.get(type(value), f"a Python {type(value).__name__}")


def show(value: object) -> str:
    """A value as it is written in JSON, shortened for a message."""
    if not isinstance(value, bool | int | float | str):
        return kind(value)
    if isinstance(value, int) and abs(value) > 10**40:  # very long integers are costly to print, or refuse to be
        return "a very large integer"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listing(values: Iterable[object]) -> str:
    """Values for a message: `"sgd", "adamw"`; long lists are cut."""
    known = list(values)
    shown = ", ".join(show(value) for value in known[:MAX_LISTED])
    return f"{shown}, ... ({len(known)} in all)" if len(known) > MAX_LISTED else shown


class ByJson(ABC):
    """Two of these are equal when their JSON is: so `true` and `1` differ, in choices and in conditions."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The object as it stands on the wire."""

    @cached_property
    def _text(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
