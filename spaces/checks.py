"""Reading an object that somebody else wrote: every field is looked at, every problem is kept with its path."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable, Mapping

from spaces.errors import InvalidInput, Problem
from spaces.values import MAX_INTEGER, is_number, kind, listing, show

MAX_NAME = 100
MAX_NUMBER = sys.float_info.max
MAX_SUGGESTIONS_AMONG = 200  # comparing names is quadratic; among more of them it is no help either


def unknown(noun: str, name: object, known: Collection[str]) -> str:
    """The message for a name that nobody knows: the near name if there is one, then the known ones."""
    near: Iterable[str] = ()
    if isinstance(name, str) and len(known) <= MAX_SUGGESTIONS_AMONG:
        near = difflib.get_close_matches(name[:MAX_NAME], known, n=1, cutoff=0.6)
    hint = "".join(f"; did you mean {show(match)}?" for match in near)
    return f"unknown {noun} {show(name)}{hint} (known: {listing(known)})"


class Fields:
    """The fields of one object. Each reader answers the value, or None after noting why there is none to use."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def wrong(self, field: str, message: str, *within: str | int) -> None:
        """Notes a problem of this field, or of what lies `within` it."""
        self.problems.append(Problem((field, *within), message))

    def sound(self, *fields: str) -> bool:
        """Whether nothing is known to be wrong with these fields."""
        return not any(problem.path[0] in fields for problem in self.problems)

    def require(self) -> None:
        """Raises InvalidInput when anything was wrong."""
        if self.problems:
            raise InvalidInput(self.problems)

    def only(self, known: Collection[str]) -> None:
        """Notes every field that is not among the known ones."""
        for field in self._values:
            if field not in known:
                self.wrong(str(field), unknown("field", field, known))

    def raw(self, field: str) -> object | None:
        """The value as it stands, None when absent; nothing is noted."""
        return self._values.get(field)

    def absent(self, field: str, *, optional: bool = False) -> bool:
        """Whether there is nothing to read. An optional field may be absent or null; a required one is then noted."""
        if optional:
            return self._values.get(field) is None
        if field not in self._values:
            self.wrong(field, "is required")
            return True
        return False

    def name(self, field: str = "name") -> str | None:
        if self.absent(field):
            return None
        value = self._values[field]
        if not isinstance(value, str):
            self.wrong(field, f"must be a text, got {kind(value)}")
        elif not value or value != value.strip() or not value.isprintable() or len(value) > MAX_NAME:
            self.wrong(field, f"must be 1 to {MAX_NAME} printable characters without spaces around them")
        else:
            return value
        return None

    def flag(self, field: str) -> bool:
        """An optional true or false; false when absent."""
        value = self._values.get(field, False)
        if not isinstance(value, bool):
            self.wrong(field, f"must be true or false, got {kind(value)}")
            return False
        return value

    def integer(self, field: str, *, optional: bool = False) -> int | None:
        if self.absent(field, optional=optional):
            return None
        value = self._values[field]
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong(field, f"must be an integer, got {show(value) if is_number(value) else kind(value)}")
        elif abs(value) > MAX_INTEGER:
            self.wrong(field, f"must lie within ±2**53, got {show(value)}")
        else:
            return value
        return None

    def number(self, field: str, *, optional: bool = False) -> float | None:
        if self.absent(field, optional=optional):
            return None
        value = self._values[field]
        if not is_number(value):
            self.wrong(field, f"must be a number, got {kind(value)}")
        elif not abs(value) <= MAX_NUMBER:  # NaN, the infinities, an integer beyond the doubles
            self.wrong(field, f"must be a finite number, got {show(value)}")
        else:
            return float(value) + 0.0  # -0.0 becomes 0.0
        return None
