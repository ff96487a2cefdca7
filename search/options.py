"""Options as data: what may be written in a JSON object, with types, ranges, defaults and one line of explanation.

The same table reads a study's fields, checks an algorithm's options and fills the catalogue that users see.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spaces.checks import MAX_NAME, unknown
from spaces.errors import Path, Problem
from spaces.values import is_number, listing, show

OptionValue = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a JSON object.

    A field that is not `required` may be left out (or null) and is then its `default`. Numbers are `at_least`,
    `above` (exclusive) and `at_most` the given bounds; a text with `choices` is one of them.
    """

    name: str
    type: Literal["bool", "int", "float", "text"]
    doc: str
    default: OptionValue = None
    required: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: object) -> OptionValue:
        """The value, checked; a whole float is taken for an integer. Raises ValueError with what is expected."""
        match self.type:
            case "bool" if isinstance(value, bool):
                return value
            case "text" if self.choices and isinstance(value, str):
                if value in self.choices:
                    return value
                raise ValueError(unknown("value", value, self.choices))
            case "text" if isinstance(value, str) and 0 < len(value.strip()) == len(value) <= MAX_NAME:
                return value
            case "int" if is_number(value) and (isinstance(value, int) or value.is_integer()) and self._in_range(value):
                return int(value)
            case "float" if is_number(value) and abs(value) <= sys.float_info.max and self._in_range(value):
                return value
        raise ValueError(f"must be {self.expected}, got {show(value)}")

    @property
    def expected(self) -> str:
        """What a legal value is, in words."""
        if self.type == "bool":
            return "true or false"
        if self.type == "text":
            plain = f"a text of 1 to {MAX_NAME} characters without spaces around them"
            return f"one of {listing(self.choices)}" if self.choices else plain
        noun = "a whole number" if self.type == "int" else "a finite number"
        bounds = [
            f"{word} {_plain(bound)}"
            for word, bound in (("of at least", self.at_least), ("above", self.above), ("at most", self.at_most))
            if bound is not None
        ]
        return f"{noun} {' and '.join(bounds)}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """The catalogue's row; bounds and choices only where there are any."""
        row: dict[str, Any] = {"name": self.name, "type": self.type, "doc": self.doc, "default": self.default}
        limits = {
            "at_least": self.at_least,
            "above": self.above,
            "at_most": self.at_most,
            "choices": list(self.choices) or None,
        }
        return row | {key: value for key, value in limits.items() if value is not None}

    def _in_range(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def read_options(
    given: Mapping[str, object], options: Sequence[Option], path: Path, problems: list[Problem]
) -> dict[str, Any]:
    """All options by name, given or default. What is wrong is added to `problems`; such an option has its default."""
    problems += unknown_fields(given, [option.name for option in options], path)
    values: dict[str, Any] = {}
    for option in options:
        values[option.name] = option.default
        value = given.get(option.name)
        if value is None:
            if option.required:
                problems.append(Problem((*path, option.name), f"is required: {option.expected}"))
            continue
        try:
            values[option.name] = option.read(value)
        except ValueError as error:
            problems.append(Problem((*path, option.name), str(error)))
    return values


def unknown_fields(given: Iterable[object], known: Collection[str], path: Path) -> list[Problem]:
    """One problem per name that is not known."""
    return [Problem((*path, str(name)), unknown("field", name, known)) for name in given if name not in known]
