"""What a preset lets a user choose of its form: how many nodes, which operations.

Each reads its field of `{"name": "cell", "type": "cell", "preset": "darts", "nodes": 3, "ops": [...]}`, and tells from
the names and values of plain parameters what was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spaces.checks import Fields, unknown
from spaces.values import Value, kind, listing, show, token


@dataclass(frozen=True)
class Count:
    """A whole number within bounds. `about` says what is counted."""

    default: int
    low: int
    high: int
    about: str

    def read(self, read: Fields, field: str) -> int:
        """The number; the default when it is absent, or wrong, which is noted."""
        value = read.integer(field, optional=True)
        if value is None:
            return self.default
        if not self.low <= value <= self.high:
            read.wrong(field, f"must be {self.low} to {self.high} ({self.about}), got {value}")
            return self.default
        return value


@dataclass(frozen=True)
class Subset:
    """Some of the values that are known, in the order in which they are known. `of` matches the names of the parameters
    that have them as choices; `default`: all of them where it is not given."""

    known: tuple[Value, ...]
    about: str
    of: str
    usual: tuple[Value, ...] = ()

    @property
    def default(self) -> tuple[Value, ...]:
        return self.usual or self.known

    def read(self, read: Fields, field: str) -> tuple[Value, ...]:
        """The values; the default when they are absent, or wrong, which is noted."""
        if read.absent(field, optional=True):
            return self.default
        given = read.raw(field)
        if not isinstance(given, list | tuple):
            read.wrong(field, f"must be a list of texts or numbers such as [{show(self.known[0])}], got {kind(given)}")
            return self.default
        if not given:
            read.wrong(field, f"needs at least one {self.about}")
            return self.default
        sound = chosen(given, self.known, read, field, noun=self.about)
        return self.default if sound is None else sound

    def seen(self, possible: Mapping[str, Sequence[Value]]) -> tuple[Value, ...]:
        """The known values that parameters of these names can take."""
        found = {token(value) for name, values in possible.items() if re.fullmatch(self.of, name) for value in values}
        return tuple(value for value in self.known if token(value) in found)


def chosen(
    given: Sequence[object], known: Sequence[Value], read: Fields, *path: str, noun: str
) -> tuple[Value, ...] | None:
    """These values in the order in which they are known; None after noting what is wrong with them."""
    tokens = {token(value) for value in known}
    first: dict[object, int] = {}
    sound = True
    for index, value in enumerate(given):
        message = None
        if not isinstance(value, bool | int | float | str) or token(value) not in tokens:
            texts = [each for each in known if isinstance(each, str)]
            numbers = f"must be one of {listing(known)}, got {show(value)}"
            message = unknown(noun, value, texts) if len(texts) == len(known) else numbers
        elif first.setdefault(token(value), index) != index:
            message = f"repeats {first[token(value)]}, {show(value)}"
        if message is not None:
            read.wrong(path[0], message, *path[1:], index)
            sound = False
    return tuple(value for value in known if token(value) in first) if sound else None
