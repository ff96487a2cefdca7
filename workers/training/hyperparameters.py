"""What a family lets a study choose: names, preset ranges, defaults, conditions and hard limits.

    Hyperparameter = Real | Integer | Choice | Flag

The preset range is where searching usually pays off; a study may leave it, up to the limits beyond which the value has
no meaning. Torch-free: the service reads these tables and checks studies against them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from spaces.checks import unknown
from spaces.errors import Path, Problem
from spaces.values import Value, is_number, scalar_objection, show, token

Preset = Literal["minimal", "standard", "everything"]
PRESETS: tuple[Preset, ...] = ("minimal", "standard", "everything")
Condition = Mapping[str, Any]  # {parameter, equals | in | gt | lt}: the conditions of `spaces` that these tables use


@dataclass(frozen=True, kw_only=True)
class Hyperparameter(ABC):
    """`help` is one line for the reference. Where the condition `when` does not hold, the value is never read; `off` is
    then in its place, if something must be, and also in families that do not have this hyperparameter.

    `preset` is the smallest preset of the training recipe with this hyperparameter. `mutable`: whether a training can
    go on with another value. It cannot where the weights or the optimizer's state would no longer fit, or where the
    value is only read in the beginning. `optional`: where a config does not name it, it has no value, not even the
    default, which is then for the presets alone. `differentiable`: whether the training loss, its penalties included,
    has a derivative by the value, so that it may be tuned by gradients in the middle of a training.
    """

    name: str
    default: Any
    help: str
    when: Condition | None = None
    preset: Preset = "minimal"
    mutable: bool = True
    off: Any = None
    optional: bool = False
    differentiable: bool = False

    type: ClassVar[str]
    refused: ClassVar[tuple[str, ...]]  # types of a study's parameter that cannot give values of this kind

    @abstractmethod
    def domain(self) -> dict[str, Any]:
        """The preset range, in the fields of a space's parameter."""

    @abstractmethod
    def objection(self, value: object) -> str | None:
        """Why this hyperparameter cannot take the value, or None when it can."""

    @abstractmethod
    def read(self, value: Any) -> Value:
        """A config's value in this hyperparameter's own type: 16.0 becomes 16 where an integer is wanted."""

    def to_json(self) -> dict[str, Any]:
        """The parameter as a space writes it."""
        written = {"name": self.name, "type": self.type, **self.domain(), "default": self.default}
        if self.when is not None:
            written["when"] = dict(self.when)
        if not self.mutable:
            written["mutable"] = False
        return written

    def problems(self, parameter: Mapping[str, Any]) -> Iterator[Problem]:
        """Which values of a study's parameter (as written on the wire) cannot be taken. Paths start at the parameter.

        What makes the parameter itself invalid is left to `spaces`.
        """
        if parameter.get("type") in self.refused:
            yield Problem(("type",), f"{self.name} needs type {self.type}, not {parameter['type']}")
            return
        for path, value in _extremes(parameter):
            objection = self.objection(value)
            if objection:
                yield Problem(path, objection)

    def within(self, preset: Preset) -> bool:
        """Whether the preset has this hyperparameter: each has all that the smaller ones have."""
        return PRESETS.index(self.preset) <= PRESETS.index(preset)

    def at(self, preset: Preset) -> Self:
        """The same, with the choices that the preset has."""
        return self

    def for_inputs(self, inputs: str) -> Self:
        """The same, with the choices that such inputs have (`workers.rows.Inputs`)."""
        return self

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether the condition holds, among values of all others."""
        return self.when is None or met(self.when, settings[self.when["parameter"]])

    def fixed(self) -> Self:
        """The same, for what a training cannot change."""
        return replace(self, mutable=False)

    def readable(self, space: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Value]) -> bool:
        """Whether some config of a space (its parameters as written on the wire, by name) makes `when` hold.

        A parent that the space does not name, or not always, has its default.
        """
        if self.when is None:
            return True
        parent = self.when["parameter"]
        values = [defaults[parent]] if "when" in space.get(parent, {"when": {}}) else []
        if space.get(parent, {}).get("type") == "bool":
            values += [False, True]
        values += [value for _, value in _extremes(space.get(parent, {}))]
        return any(met(self.when, value) for value in values)


@dataclass(frozen=True, kw_only=True)
class Number(Hyperparameter):
    """`low`, `high` and `log` are the preset range; `limits` are the numbers that have a meaning, ends included."""

    low: float
    high: float
    limits: tuple[float, float]
    log: bool = False

    def domain(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}

    def objection(self, value: object) -> str | None:
        low, high = self.limits
        if is_number(value) and low <= value <= high:
            return None
        return f"{self.name} must be a number between {low:.12g} and {high:.12g}, got {show(value)}"


@dataclass(frozen=True, kw_only=True)
class Real(Number):
    type: ClassVar[str] = "float"
    refused: ClassVar[tuple[str, ...]] = ("bool",)

    def read(self, value: Any) -> Value:
        return float(value)


@dataclass(frozen=True, kw_only=True)
class Complement(Real):
    """1 - x of another hyperparameter `of`, which it is short for: the presets search that one, on a log scale, since
    between 0.9 and 0.99 lies as much as between 0.99 and 0.999. A space may name one of the two."""

    of: str

    def within(self, preset: Preset) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Integer(Number):
    type: ClassVar[str] = "int"
    refused: ClassVar[tuple[str, ...]] = ("bool", "float")

    def objection(self, value: object) -> str | None:
        if isinstance(value, float) and not value.is_integer():
            return f"{self.name} must be an integer, got {show(value)}"
        return super().objection(value)

    def read(self, value: Any) -> Value:
        return int(value)


@dataclass(frozen=True, kw_only=True)
class Choice(Hyperparameter):
    """`rare` are those of the choices that only the preset `everything` has, `of_images` those that are for images."""

    choices: tuple[Value, ...]
    rare: tuple[Value, ...] = ()
    of_images: tuple[Value, ...] = ()

    type: ClassVar[str] = "categorical"
    refused: ClassVar[tuple[str, ...]] = ("bool", "float", "int")

    def domain(self) -> dict[str, Any]:
        return {"choices": list(self.choices)}

    def at(self, preset: Preset) -> Self:
        if preset == "everything":
            return self
        return replace(self, choices=tuple(choice for choice in self.choices if choice not in self.rare))

    def for_inputs(self, inputs: str) -> Self:
        if inputs == "image" or not self.of_images:
            return self
        return replace(self, choices=tuple(choice for choice in self.choices if choice not in self.of_images))

    def objection(self, value: object) -> str | None:
        return None if self._find(value) else unknown(self.name, value, [str(choice) for choice in self.choices])

    def read(self, value: Any) -> Value:
        return self._find(value)[0]

    def _find(self, value: object) -> tuple[Value, ...]:
        return tuple(choice for choice in self.choices if token(choice) == token(value))


@dataclass(frozen=True, kw_only=True)
class Flag(Hyperparameter):
    type: ClassVar[str] = "bool"
    refused: ClassVar[tuple[str, ...]] = ("float", "int")

    def domain(self) -> dict[str, Any]:
        return {}

    def objection(self, value: object) -> str | None:
        return None if isinstance(value, bool) else f"{self.name} must be true or false, got {show(value)}"

    def read(self, value: Any) -> Value:
        return bool(value)


def _extremes(parameter: Mapping[str, Any]) -> Iterator[tuple[Path, Value]]:
    """The values that tell whether all can be taken, each with its place: the ends of a range, the listed values.

    What no config may hold is passed over: `spaces` says what is wrong with it.
    """
    match parameter:
        case {"type": "float" | "int"}:
            yield from (((end,), parameter[end]) for end in ("low", "high") if is_number(parameter.get(end)))
        case {"type": "categorical" | "ordinal", "choices": [*choices]}:
            yield from ((("choices", i), value) for i, value in enumerate(choices) if scalar_objection(value) is None)
        case {"type": "constant", "value": value} if scalar_objection(value) is None:
            yield ("value",), value


def met(when: Condition, value: Value) -> bool:
    """Whether a value of the condition's parameter fulfils it."""
    match when:
        case {"equals": operand}:
            return token(value) == token(operand)
        case {"in": operands}:
            return token(value) in {token(operand) for operand in operands}
        case {"gt": operand}:
            return is_number(value) and value > operand
        case {"lt": operand}:
            return is_number(value) and value < operand
        case _:
            raise AssertionError(f"a condition that these tables do not use: {when}")
