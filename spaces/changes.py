"""The changes of a revision as data: what may be changed about a space, in Python and on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar

from spaces.checks import Fields
from spaces.conditions import Condition
from spaces.errors import InvalidInput, Path, Problem
from spaces.parameters import Parameter
from spaces.parsing import read_condition
from spaces.space import Space
from spaces.values import ByJson, Value, kind, listing, scalar_objection


@dataclass(frozen=True, eq=False)
class AddChoice(ByJson):
    """One more choice of a categorical or an ordinal, at the end or before the choice at index `at`.

    Every old config stays.
    """

    parameter: str
    choice: Value
    at: int | None = None

    word: ClassVar[str] = "add_choice"

    def to_json(self) -> dict[str, Any]:
        return _written(self)


@dataclass(frozen=True, eq=False)
class Widen(ByJson):
    """A range that holds the old one; with a step, the old values stay on the grid. Every old config stays."""

    parameter: str
    low: float | None = None
    high: float | None = None

    word: ClassVar[str] = "widen"

    def to_json(self) -> dict[str, Any]:
        return _written(self)


@dataclass(frozen=True, eq=False)
class Narrow(ByJson):
    """A range within the old one; a default or the mode of a prior outside moves to the nearer end. Old configs stay
    whose value is inside."""

    parameter: str
    low: float | None = None
    high: float | None = None

    word: ClassVar[str] = "narrow"

    def to_json(self) -> dict[str, Any]:
        return _written(self)


@dataclass(frozen=True, eq=False)
class Freeze(ByJson):
    """From now on always this value. Old configs stay that have it, or in which the parameter is inactive."""

    parameter: str
    value: Value

    word: ClassVar[str] = "freeze"

    def to_json(self) -> dict[str, Any]:
        return _written(self)


@dataclass(frozen=True, eq=False)
class Drop(ByJson):
    """The parameter leaves the space; `value` is what the objective assumes without it.

    Old configs stay, without the parameter, that had this value, or in which it was inactive.
    """

    parameter: str
    value: Value

    word: ClassVar[str] = "drop"

    def to_json(self) -> dict[str, Any]:
        return _written(self)


@dataclass(frozen=True, eq=False)
class Add(ByJson):
    """A new parameter, declared last; `backfill` is the value that the objective assumed before it was there.

    Old configs take this value where the parameter is active; without a backfill they stay only where it is not.
    """

    added: Parameter
    backfill: Value | None = None

    word: ClassVar[str] = "add"

    @property
    def parameter(self) -> str:
        return self.added.name

    def to_json(self) -> dict[str, Any]:
        written: dict[str, Any] = {"add": self.added.to_json()}
        return written if self.backfill is None else {**written, "backfill": self.backfill}


Change = AddChoice | Widen | Narrow | Freeze | Drop | Add
_CHANGES: dict[str, type[AddChoice] | type[Widen] | type[Narrow] | type[Freeze] | type[Drop]] = {
    change.word: change for change in (AddChoice, Widen, Narrow, Freeze, Drop)
}


def read_changes(obj: object) -> list[Change]:
    """Reads `[{"add_choice": "optimizer", "choice": "lion"}, {"widen": "lr", "high": 1.0}, {"narrow": "lr", "low":
    0.1}, {"freeze": "width", "value": 64}, {"drop": "dropout", "value": 0.0}, {"add": {...a parameter...}, "backfill":
    0}]`; raises InvalidInput."""
    if not isinstance(obj, list | tuple):
        raise InvalidInput.at((), f"must be a list of changes, got {kind(obj)}")
    problems: list[Problem] = []
    changes = [change for index, item in enumerate(obj) if (change := _read_change(item, (index,), problems))]
    if problems:
        raise InvalidInput(problems)
    return changes


def _read_change(obj: object, path: Path, problems: list[Problem]) -> Change | None:
    words = [*_CHANGES, Add.word]
    if not isinstance(obj, Mapping):
        problems.append(Problem(path, f"must be an object, got {kind(obj)}"))
        return None
    given = [word for word in words if word in obj]
    if len(given) != 1:
        got = listing(given) if given else listing(obj)
        problems.append(Problem(path, f"must hold one of {listing(words)}, got {got or 'nothing'}"))
        return None
    read = Fields(obj)
    word = given[0]
    if word == Add.word:
        read.only(("add", "backfill"))
        added: Parameter | None = None
        try:
            # the parameter alone would miss its parents, so they are looked at when the space is revised
            added, *more = Space.from_json({"parameters": [_without_when(obj["add"])]}).parameters
            if more:
                message = "must be that of a plain parameter: add those of a cell one by one"
                raise InvalidInput.at(("parameters", 0, "type"), message)
        except InvalidInput as error:
            problems += [Problem((*path, "add", *problem.path[2:]), problem.message) for problem in error.problems]
        problems += [problem.under(*path) for problem in read.problems]
        if added is None or read.problems:
            return None
        when = _read_when(obj["add"], (*path, "add"), problems)
        return Add(added if when is None else replace(added, when=when), obj.get("backfill"))
    cls = _CHANGES[word]
    names = [declared for declared in fields(cls) if declared.name != "parameter"]
    read.only((word, *(declared.name for declared in names)))
    parameter = read.name(word)
    for declared in names:
        if declared.default is MISSING and not read.absent(declared.name):
            if (objection := scalar_objection(obj[declared.name])) is not None:
                read.wrong(declared.name, objection)
        elif declared.name in ("low", "high"):
            read.number(declared.name, optional=True)
        elif declared.name == "at":
            read.integer(declared.name, optional=True)
    problems += [problem.under(*path) for problem in read.problems]
    if read.problems or parameter is None:
        return None
    return cls(parameter, **{declared.name: obj[declared.name] for declared in names if declared.name in obj})


def _without_when(obj: object) -> object:
    return {key: value for key, value in obj.items() if key != "when"} if isinstance(obj, Mapping) else obj


def _read_when(obj: Mapping[str, Any], path: Path, problems: list[Problem]) -> Condition | None:
    return None if obj.get("when") is None else read_condition(obj["when"], (*path, "when"), problems)


def _written(change: AddChoice | Widen | Narrow | Freeze | Drop) -> dict[str, Any]:
    written: dict[str, Any] = {change.word: change.parameter}
    for declared in fields(change):
        value = getattr(change, declared.name)
        if declared.name != "parameter" and value is not None:
            written[declared.name] = value
    return written
