"""The parameters: what a user writes about one of them, and the domain that follows from it.

Every class checks itself, whether it was written in JSON or in Python: `check` reads the raw fields and notes all that
is wrong with them; `domain` says which values there are and how they map to the unit interval.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from spaces import priors
from spaces.checks import Fields
from spaces.conditions import Condition
from spaces.domain import MAX_CELLS, Choices, Domain, FloatGrid, IntegerGrid, Interval, steps_between
from spaces.priors import Prior
from spaces.values import ByJson, Value, kind, scalar_objection, show, token

MAX_CHOICES = 10_000


@dataclass(frozen=True, eq=False)
class Parameter(ByJson):
    """What all parameters have. The fields of a subclass are its fields on the wire.

    `mutable`: whether its value, and whether it is active, may change in the middle of a training. That of a learning
    rate may, that of a width may not: the network would be another one.

    Raises InvalidInput, with paths such as ("low",), when a field is wrong.
    """

    name: str
    when: Condition | None = field(default=None, kw_only=True)
    mutable: bool = field(default=True, kw_only=True)

    type: ClassVar[str]

    def __post_init__(self) -> None:
        read = Fields(vars(self))
        self.check(read)
        read.require()
        for name, value in self._normalised().items():
            object.__setattr__(self, name, value)

    @classmethod
    def check(cls, read: Fields) -> None:
        """Notes what is wrong with these raw fields, `when` aside: that is a matter of the whole space."""
        read.name()
        read.flag("mutable")
        cls._check_values(read)

    @classmethod
    @abstractmethod
    def _check_values(cls, read: Fields) -> None:
        """Notes what is wrong with the fields that declare the values."""

    def _normalised(self) -> dict[str, object]:
        """The fields that may be written in several ways, in the one form in which they are kept."""
        return {}

    @property
    def prior(self) -> Prior | None:
        """What is expected of its value, if anything."""
        return None

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """The values and their unit map."""

    @property
    @abstractmethod
    def default_value(self) -> Value:
        """The declared default, or else the middle of the unit interval (of a choice without order: the first)."""

    def to_json(self) -> dict[str, Any]:
        """The parameter on the wire; fields that say nothing are left out."""
        written: dict[str, Any] = {"name": self.name, "type": self.type}
        for declared in fields(self):
            value = getattr(self, declared.name)
            if declared.name not in ("name", "when", "prior", "mutable") and value is not declared.default:
                written[declared.name] = list(value) if isinstance(value, tuple) else value
        if self.prior is not None:
            written["prior"] = self.prior.to_json()
        if self.when is not None:
            written["when"] = self.when.to_json()
        if not self.mutable:
            written["mutable"] = False
        return written


@dataclass(frozen=True, eq=False)
class Searched(Parameter):
    """A parameter that the search sets, and that people may have a prior about."""

    prior: Prior | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        read = Fields(vars(self))
        priors.check(read, self.domain)
        read.require()
        object.__setattr__(self, "prior", priors.normalised(self.prior, self.domain))


@dataclass(frozen=True, eq=False)
class Float(Searched):
    """A real number in [low, high]; with a step, one of low, low + step, ..., high."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None

    type: ClassVar[str] = "float"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        low, high, log = read.number("low"), read.number("high"), read.flag("log")
        step, default = read.number("step", optional=True), read.number("default", optional=True)
        if low is None or high is None:
            return
        _check_range(read, low, high, log)
        if log and 0 < low < high and math.log(low) == math.log(high):
            read.wrong("low", f"is too close to high ({high}) for a log scale, got {low}")
        if math.isinf(high - low):
            read.wrong("high", f"is too far from low ({low}), got {high}")
        elif step is not None and low < high:
            _check_step(read, low, high, step, log)
            if 0 < step < 4 * math.ulp(max(abs(low), abs(high))):
                read.wrong("step", f"is too small beside low and high for doubles to hold the steps, got {step}")
        if default is not None and low < high:
            sound = read.sound("low", "high", "log", "step")
            _check_default(read, cls._domain(low, high, log, step) if sound else Interval(low, high), default)

    def _normalised(self) -> dict[str, object]:
        # 0 and 0.0 are the same bound, -0.0 too; a default is moved onto its grid point
        step = None if self.step is None else float(self.step)
        low, high = float(self.low) + 0.0, float(self.high) + 0.0
        default = None if self.default is None else self._domain(low, high, self.log, step).canonical(self.default)
        return {"low": low, "high": high, "step": step, "default": default}

    @staticmethod
    def _domain(low: float, high: float, log: bool, step: float | None) -> Interval | FloatGrid:
        return Interval(low, high, log) if step is None else FloatGrid(low, high, step, log)

    @cached_property
    def domain(self) -> Interval | FloatGrid:
        return self._domain(self.low, self.high, self.log, self.step)

    @property
    def default_value(self) -> float:
        return self.domain.from_unit(0.5) if self.default is None else self.default


@dataclass(frozen=True, eq=False)
class Integer(Searched):
    """An integer in [low, high]; with a step, one of low, low + step, ..., high."""

    low: int
    high: int
    log: bool = False
    step: int | None = None
    default: int | None = None

    type: ClassVar[str] = "int"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        low, high, log = read.integer("low"), read.integer("high"), read.flag("log")
        step, default = read.integer("step", optional=True), read.integer("default", optional=True)
        if low is None or high is None:
            return
        _check_range(read, low, high, log)
        if step is not None and low < high:
            _check_step(read, low, high, step, log)
        elif high - low >= MAX_CELLS:
            read.wrong("high", _too_many(high - low))
        if default is not None and low < high:
            sound = read.sound("low", "high", "log", "step")
            _check_default(read, IntegerGrid(low, high, step if sound and step else 1), default)

    @cached_property
    def domain(self) -> IntegerGrid:
        return IntegerGrid(self.low, self.high, 1 if self.step is None else self.step, self.log)

    @property
    def default_value(self) -> int:
        return self.domain.value(self.domain.cells.from_unit(0.5)) if self.default is None else self.default


@dataclass(frozen=True, eq=False)
class Categorical(Searched):
    """One of a few values without an order."""

    choices: tuple[Value, ...]
    default: Value | None = None

    type: ClassVar[str] = "categorical"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        _check_choices(read)

    def _normalised(self) -> dict[str, object]:
        return _normalised_choices(self.choices, self.default)

    @cached_property
    def domain(self) -> Choices:
        return Choices(self.choices)

    @property
    def default_value(self) -> Value:
        return self.choices[0] if self.default is None else self.default


@dataclass(frozen=True, eq=False)
class Ordinal(Searched):
    """One of a few values, given from the least to the greatest."""

    choices: tuple[Value, ...]
    default: Value | None = None

    type: ClassVar[str] = "ordinal"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        _check_choices(read)

    def _normalised(self) -> dict[str, object]:
        return _normalised_choices(self.choices, self.default)

    @cached_property
    def domain(self) -> Choices:
        return Choices(self.choices, ordered=True)

    @property
    def default_value(self) -> Value:
        return self.domain.from_unit(0.5) if self.default is None else self.default


@dataclass(frozen=True, eq=False)
class Bool(Searched):
    """False or true; a categorical of these two."""

    default: bool | None = None

    type: ClassVar[str] = "bool"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        if not read.absent("default", optional=True):
            read.flag("default")

    @cached_property
    def domain(self) -> Choices:
        return Choices((False, True))

    @property
    def default_value(self) -> bool:
        return bool(self.default)


@dataclass(frozen=True, eq=False)
class Constant(Parameter):
    """Always this value: it reaches the objective and takes no part in the search."""

    value: Value

    type: ClassVar[str] = "constant"

    @classmethod
    def _check_values(cls, read: Fields) -> None:
        if not read.absent("value") and (objection := scalar_objection(read.raw("value"))) is not None:
            read.wrong("value", objection)

    @cached_property
    def domain(self) -> Choices:
        return Choices((self.value,))

    @property
    def default_value(self) -> Value:
        return self.value


TYPES: dict[str, type[Parameter]] = {kind.type: kind for kind in (Float, Integer, Categorical, Bool, Ordinal, Constant)}


def _check_range(read: Fields, low: float, high: float, log: bool) -> None:
    if low >= high:
        read.wrong("low", f"must be less than high ({high}), got {low}")
    if log and low <= 0:
        read.wrong("low", f"must be greater than 0 on a log scale, got {low}")


def _check_step(read: Fields, low: float, high: float, step: float, log: bool) -> None:
    """For low < high; integers are checked as integers."""
    if step <= 0:
        read.wrong("step", f"must be greater than 0, got {step}")
        return
    steps = steps_between(low, high, step)
    if steps is None:
        read.wrong("step", _does_not_fit(low, high, step))
    elif steps >= MAX_CELLS:
        read.wrong("step", _too_many(steps))
    if log and 0 < 2 * low <= step:
        read.wrong("step", f"must be less than twice low ({2 * low}) on a log scale, got {step}")


def _does_not_fit(low: float, high: float, step: float) -> str:
    text = f"does not fit: a whole number of steps of {step} must lead from low ({low}) to high ({high})"
    if step > high - low:
        return text
    nearest = [low + steps * step for steps in (int((high - low) // step), int((high - low) // step) + 1)]
    return f"{text}; high could be {nearest[0]:.12g} or {nearest[1]:.12g}"


def _too_many(steps: int) -> str:
    return f"gives {steps + 1} values, at most {MAX_CELLS} (2**40) can be told apart: use a float or a larger step"


def _check_default(read: Fields, domain: Domain, default: object) -> None:
    if (objection := domain.objection(default)) is not None:
        read.wrong("default", objection)


def _check_choices(read: Fields) -> None:
    if read.absent("choices"):
        return
    choices = read.raw("choices")
    if not isinstance(choices, list | tuple):
        read.wrong("choices", f"must be a list, got {kind(choices)}")
        return
    if not choices:
        read.wrong("choices", "needs at least one choice")
    if len(choices) > MAX_CHOICES:
        read.wrong("choices", f"must have at most {MAX_CHOICES} choices, got {len(choices)}")
        return
    seen: dict[object, int] = {}
    for index, choice in enumerate(choices):
        if (objection := scalar_objection(choice)) is not None:
            read.wrong("choices", objection, index)
        elif (first := seen.setdefault(token(choice), index)) != index:
            read.wrong("choices", f"repeats choice {first}, {show(choice)}", index)
    if seen and not read.absent("default", optional=True):
        _check_default(read, Choices(tuple(choices[index] for index in seen.values())), read.raw("default"))


def _normalised_choices(choices: tuple[Value, ...], default: Value | None) -> dict[str, object]:
    domain = Choices(tuple(choices))
    return {"choices": domain.values, "default": None if default is None else domain.canonical(default)}
