"""A space: which configs there are, and how each of them lies in the unit cube.

A config assigns a value to every active parameter; an inactive one is absent. The cube has one axis per parameter, in
declared order, active or not: `decode` maps every point of it to a config (axes of inactive parameters are ignored), so
uniform sampling is the decoding of a uniform point.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spaces import cardinality, structure
from spaces.checks import unknown
from spaces.conditions import Predicate, compiled, described
from spaces.domain import Discrete, Domain
from spaces.errors import InvalidInput, Problem
from spaces.fidelity import Fidelity
from spaces.parameters import Parameter
from spaces.parsing import read_space
from spaces.structure import Declaration
from spaces.values import Config, Value, kind

_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class _Step(NamedTuple):
    """One parameter on the way through a config: parents come before their children."""

    axis: int
    name: str
    domain: Domain
    from_unit: Callable[[float], Value]
    is_active: Predicate | None  # None: always
    default: Value


@dataclass(frozen=True)
class Space:
    """Parameters in declared order, and the fidelity if there is one.

    Raises InvalidInput when the parameters do not fit together. Configs that are handed in must be valid (see
    `validate`) wherever nothing else is said; those handed out are, with values of plain Python types.
    """

    parameters: tuple[Parameter, ...]
    fidelity: Fidelity | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        problems = structure.problems(self._declarations, self.fidelity.name if self.fidelity else None)
        if problems:
            raise InvalidInput(problems)

    @classmethod
    def from_json(cls, obj: object) -> Space:
        """Reads a space; raises InvalidInput with all problems, their paths relative to `obj`."""
        space = cls(*read_space(obj))
        space.size()  # a space that cannot be counted is refused here, not when a search asks for its size
        return space

    def to_json(self) -> dict[str, Any]:
        """The space on the wire; from_json(to_json()) equals the space."""
        written: dict[str, Any] = {"parameters": [parameter.to_json() for parameter in self.parameters]}
        if self.fidelity is not None:
            written["fidelity"] = self.fidelity.to_json()
        return written

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        """The number of parameters: the dimensions of the unit cube."""
        return len(self.parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.parameters, self.fidelity)  # what is derived from them does not travel

    def active(self, config: Config) -> set[str]:
        """The names of the active parameters, given the values. Values of inactive parameters are ignored."""
        seen: dict[str, Value] = {}
        active = set()
        for step in self._steps:
            if step.is_active is None or step.is_active(seen):
                active.add(step.name)
                if step.name in config:
                    seen[step.name] = step.domain.canonical(config[step.name])
        return active

    def validate(self, config: object) -> None:
        """Raises InvalidInput unless this is a config of the space; a path is the name of a parameter."""
        if not isinstance(config, Mapping):
            raise InvalidInput.at((), f"must be an object with a value per parameter, got {kind(config)}")
        problems = [self._unknown(name) for name in config if name not in self._by_name]
        problems += self._value_problems(config)
        if problems:
            raise InvalidInput(problems)

    def default(self) -> dict[str, Value]:
        """The declared defaults, or else the middle of each axis (of a choice without order: the first)."""
        return self.decode(np.full(len(self.parameters), np.nan))

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config decoded from a uniform point: log-uniform where the scale is, each choice as likely as the others.

        Takes as many doubles from `rng` as there are parameters, whichever of them turn out active.
        """
        return self._decode(rng.random(len(self.parameters)).tolist())

    def encode(self, config: Config) -> NDArray[np.float64]:
        """The point of the unit cube, shape [parameters]; NaN where a parameter is inactive."""
        return np.array([to_unit(config[name]) if name in config else math.nan for name, to_unit in self._encoders])

    def decode(self, point: ArrayLike) -> dict[str, Value]:
        """The config at a point, shape [parameters]. Any number is accepted: what lies outside [0, 1] is clipped, an
        active parameter that has NaN takes its default, and the axes of inactive parameters are ignored."""
        coordinates = np.asarray(point, dtype=np.float64)
        if coordinates.shape != (len(self.parameters),):
            raise ValueError(f"a point has shape ({len(self.parameters)},), got {coordinates.shape}")
        return self._decode(coordinates.tolist())

    def key(self, config: Config) -> str:
        """The config as canonical JSON: the same text for equal configs, in every process."""
        return _write({name: canonical(config[name]) for name, canonical in self._writers if name in config})

    def size(self) -> int | None:
        """The number of configs; None when it is infinite: when a float without a step can be active."""
        return self._size

    def enumerate(self) -> Iterator[dict[str, Value]]:
        """All configs of a finite space, each once; the last declared parameter changes fastest where nothing depends
        on it. Raises ValueError for an infinite space."""
        if self.size() is None:
            raise ValueError("an infinite space cannot be enumerated: a float without a step can be active")
        return self._enumerate()

    def _enumerate(self) -> Iterator[dict[str, Value]]:
        steps = self._steps
        cells: list[int | None] = []  # of the first steps; None where inactive
        config: dict[str, Value] = {}
        while True:
            for step in steps[len(cells) :]:
                is_active = step.is_active is None or step.is_active(config)
                cells.append(0 if is_active else None)
                if is_active:
                    config[step.name] = _discrete(step).value(0)
            yield self._in_declared_order(config)
            while cells:  # back to the last parameter that has another value
                cell = cells.pop()
                step = steps[len(cells)]
                if cell is not None:
                    del config[step.name]
                    if cell + 1 < _discrete(step).count:
                        cells.append(cell + 1)
                        config[step.name] = _discrete(step).value(cell + 1)
                        break
            else:
                return

    def _decode(self, coordinates: Sequence[float]) -> dict[str, Value]:
        config: dict[str, Value] = {}
        for axis, name, _, from_unit, is_active, default in self._steps:
            if is_active is None or is_active(config):
                u = coordinates[axis]
                if 0.0 <= u <= 1.0:
                    config[name] = from_unit(u)
                else:
                    config[name] = default if math.isnan(u) else from_unit(min(max(u, 0.0), 1.0))
        return config if self._declared_in_order else self._in_declared_order(config)

    def _in_declared_order(self, config: Config) -> dict[str, Value]:
        return {name: config[name] for name in self._by_name if name in config}

    def _unknown(self, name: object) -> Problem:
        if self.fidelity is not None and name == self.fidelity.name:
            return Problem((self.fidelity.name,), "is the fidelity: the algorithm sets it, it is no part of a config")
        return Problem((str(name),), unknown("parameter", name, self._by_name))

    def _value_problems(self, config: Mapping[Any, Any]) -> Iterator[Problem]:
        seen: dict[str, Value] = {}
        doubtful: set[str] = set()  # whether it is active, or what its value is, cannot be told
        for step in self._steps:
            name = step.name
            when = self._by_name[name].when
            objection = step.domain.objection(config[name]) if name in config else None
            if objection is not None:
                yield Problem((name,), objection)
            if when is not None and not doubtful.isdisjoint(when.mentions):
                doubtful.add(name)
            elif when is not None and step.is_active is not None and not step.is_active(seen):
                if name in config:
                    yield Problem((name,), f"is not active here, leave it out; it needs {described(when)}")
            elif name not in config:
                yield Problem((name,), "is required: the parameter is active here")
                doubtful.add(name)
            elif objection is not None:
                doubtful.add(name)
            else:
                seen[name] = step.domain.canonical(config[name])

    @property
    def _declarations(self) -> list[Declaration]:
        return [Declaration(parameter.name, parameter.domain, parameter.when) for parameter in self.parameters]

    @cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def _order(self) -> list[int]:
        return structure.topological_order(self._declarations)

    @cached_property
    def _declared_in_order(self) -> bool:
        return self._order == sorted(self._order)

    @cached_property
    def _steps(self) -> list[_Step]:
        domains = {parameter.name: parameter.domain for parameter in self.parameters}
        return [
            _Step(
                axis=index,
                name=(parameter := self.parameters[index]).name,
                domain=parameter.domain,
                from_unit=parameter.domain.from_unit,
                is_active=None if parameter.when is None else compiled(parameter.when, domains),
                default=parameter.default_value,
            )
            for index in self._order
        ]

    @cached_property
    def _encoders(self) -> list[tuple[str, Callable[[Any], float]]]:
        return [(parameter.name, parameter.domain.to_unit) for parameter in self.parameters]

    @cached_property
    def _writers(self) -> list[tuple[str, Callable[[Any], Value]]]:
        return sorted((parameter.name, parameter.domain.canonical) for parameter in self.parameters)

    @cached_property
    def _size(self) -> int | None:
        return cardinality.size(self.parameters, self._order)


def _discrete(step: _Step) -> Discrete[Any]:
    assert isinstance(step.domain, Discrete), "the space is finite"
    return step.domain
