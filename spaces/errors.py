"""What is wrong with an input, and where.

ValueError
└── InvalidInput          one or more problems, each with the path of the culprit
    └── Inexpressible     right as it is, but another library has no words for it
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


def spelled(path: Path) -> str:
    """A path as people write it: `space.parameters[1].low`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `path` leads from the payload's root to the culprit, `message` says what to do."""

    path: Path
    message: str

    def under(self, *prefix: str | int) -> Problem:
        """The same problem, seen from a payload that holds this one at `prefix`."""
        return Problem((*prefix, *self.path), self.message)

    @property
    def location(self) -> str:
        """The path as people write it."""
        return spelled(self.path)

    @property
    def pointer(self) -> str:
        """The path as a JSON Pointer (RFC 6901): `/space/parameters/1/low`."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.path else self.message


class InvalidInput(ValueError):
    """Something a user wrote is wrong. Carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "an InvalidInput names at least one problem"
        super().__init__("; ".join(str(problem) for problem in self.problems))

    @classmethod
    def at(cls, path: Path, message: str) -> InvalidInput:
        return cls([Problem(path, message)])

    def under(self, *prefix: str | int) -> InvalidInput:
        return InvalidInput(problem.under(*prefix) for problem in self.problems)


class Inexpressible(InvalidInput):
    """What a conversion would lose; the paths lead from the root of what was to be converted."""
