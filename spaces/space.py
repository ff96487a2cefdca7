"""A space: which configs there are, how each of them lies in the unit cube, and what is expected of them.

A config assigns a value to every active parameter; an inactive one is absent. The cube has one axis per parameter, in
declared order, active or not: `decode` maps every point of it to a config (axes of inactive parameters are ignored), so
uniform sampling is the decoding of a uniform point. Priors are laws on the cube; constraints cut configs out of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spaces import enumeration, moves, structure, validation
from spaces.conditions import compiled
from spaces.constraints import Constraint
from spaces.domain import Discrete
from spaces.enumeration import Step
from spaces.errors import InvalidInput, Problem
from spaces.fidelity import Fidelity
from spaces.parameters import Parameter
from spaces.parsing import read_space
from spaces.priors import Prior
from spaces.structure import Declaration
from spaces.values import Config, Value, kind

if TYPE_CHECKING:
    from spaces.laws import Law
    from spaces.region import Region

_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Space:
    """Parameters in declared order, the fidelity if there is one, and constraints.

    Raises InvalidInput when the parameters do not fit together, when no config keeps the constraints, and when the
    declared defaults or the modes of the priors do not. Configs that are handed in must be valid (see
    `validate`) wherever nothing else is said; those handed out are, with values of plain Python types.
    """

    parameters: tuple[Parameter, ...]
    fidelity: Fidelity | None = None
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "constraints", tuple(self.constraints))
        fidelity = self.fidelity.name if self.fidelity else None
        problems = structure.problems(self._declarations, fidelity, self.constraints)
        if problems:
            raise InvalidInput(problems)
        if self.constraints:
            self._region.require_configs()
            _ = self._default, self._prior_mode  # raise where they break a constraint

    @classmethod
    def from_json(cls, obj: object) -> Space:
        """Reads a space; raises InvalidInput with all problems, their paths relative to `obj`."""
        space = cls(*read_space(obj))
        if not space.constraints:
            space.size()  # a space that cannot be counted is refused here, not when a search asks for its size
        return space

    def to_json(self) -> dict[str, Any]:
        """The space on the wire; from_json(to_json()) equals the space."""
        written: dict[str, Any] = {"parameters": [parameter.to_json() for parameter in self.parameters]}
        if self.fidelity is not None:
            written["fidelity"] = self.fidelity.to_json()
        if self.constraints:
            written["constraints"] = [constraint.to_json() for constraint in self.constraints]
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
        return type(self), (
            self.parameters,
            self.fidelity,
            self.constraints,
        )  # what is derived from them does not travel

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
        """Raises InvalidInput unless this is a config of the space. A path is the name of a parameter, or, when every
        value is right by itself, ("constraints", i) for each one that is broken."""
        if not isinstance(config, Mapping):
            raise InvalidInput.at((), f"must be an object with a value per parameter, got {kind(config)}")
        problems = validation.problems(config, self._steps, self._by_name, self.fidelity)
        if not problems and self.constraints:
            problems = [
                Problem(("constraints", index), f"is broken: {self.constraints[index].described}")
                for index in self._region.broken(self._canonical(config))
            ]
        if problems:
            raise InvalidInput(problems)

    def allows(self, config: Config) -> bool:
        """Whether a config, valid otherwise, keeps the constraints."""
        return not self.constraints or self._region.allows(self._canonical(config))

    def default(self) -> dict[str, Value]:
        """The declared defaults, or else the middle of each axis (of a choice without order: the first); where that
        breaks a constraint, the nearest config that has the declared defaults."""
        return dict(self._default)

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config decoded from a uniform point: log-uniform where the scale is, each choice as likely as the others.

        Takes as many doubles from `rng` as there are parameters, whichever of them turn out active. With constraints:
        conditioned on them, as `spaces.region` tells, and it takes as many as are needed.
        """
        if self.constraints:
            return self._region.sample(rng, None)
        return self._decode(rng.random(len(self.parameters)).tolist())

    @cached_property
    def has_prior(self) -> bool:
        """Whether a prior is declared for any parameter."""
        return any(parameter.prior is not None for parameter in self.parameters)

    @cached_property
    def prior(self) -> Law:
        """The law on the unit cube that the priors declare; uniform along the axes of parameters without one."""
        return self._law([parameter.prior for parameter in self.parameters])

    def prior_around(self, config: Config) -> Law:
        """The law of the same form and width as the prior, centred at a config (where parameters are active in it)."""
        return self._law(
            [
                prior.around(config[parameter.name], parameter.domain)
                if (prior := parameter.prior) is not None and parameter.name in config
                else prior
                for parameter in self.parameters
            ]
        )

    def sample_prior(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config drawn from the prior; takes the same numbers from `rng` as `sample` does."""
        if not self.has_prior:
            return self.sample(rng)
        if self.constraints:
            return self._region.sample(rng, self.prior)
        return self._decode(self.prior.quantile(rng.random((1, len(self.parameters))))[0].tolist())

    def log_prior(self, config: Config) -> float:
        """The log density of the prior with respect to the unit cube, summed over the active parameters.

        The uniform law has 0. For discrete parameters it is the log of how much likelier the prior makes the value than
        the uniform law does. Constraints do not enter: it is the density before they cut anything out.
        """
        return float(self.prior.log_density(self.encode(config)[None])[0]) if self.has_prior else 0.0

    def log_mass(self, config: Mapping[str, Any]) -> float:
        """The log probability that the prior (uniform where there is none) draws just this config, constraints aside;
        its exponentials sum to one over a finite space. Raises ValueError when a float without a step is active."""
        total = self.log_prior(config)
        for name, value in config.items():
            domain = self._by_name[name].domain
            if not isinstance(domain, Discrete):
                raise ValueError(f"{name} is continuous: a single config has no probability, only a density")
            total += math.log(domain.cells.width(domain.cell(value)))
        return total

    def prior_mode(self) -> dict[str, Value]:
        """The best value by each prior, and the default where there is none; where that breaks a constraint, the
        nearest config with these best values."""
        return dict(self._prior_mode)

    def mutate(self, config: Config, rng: np.random.Generator) -> dict[str, Value]:
        """An allowed config in which one active parameter, chosen uniformly, has another value (and its children are
        drawn where that activates them); see `spaces.moves`."""
        return moves.mutated(self, config, rng)

    def neighbours(
        self, config: Config, rng: np.random.Generator, *, sd: float = 0.2, draws: int = 4, adjacent: bool = False
    ) -> list[dict[str, Value]]:
        """Allowed configs that differ in one active parameter (and its children): every other choice, both neighbours
        of an ordinal, and of a number `draws` values from a normal law of this `sd` around it in the unit interval;
        `adjacent` takes the next values of integers and steps instead. See `spaces.moves`."""
        return moves.neighbours(self, config, rng, sd=sd, draws=draws, adjacent=adjacent)

    def replace(self, config: Config, values: Config, rng: np.random.Generator) -> dict[str, Value]:
        """The config with these values: children that lose their parent are dropped, newly active ones drawn from the
        prior. It may break constraints: see `allows` and `repair`."""
        return moves.replaced(self, config, values, rng)

    def repair(self, config: Config, rng: np.random.Generator) -> dict[str, Value]:
        """The config itself if the constraints allow it, else the nearest that they do allow.

        Nearest: the fewest other choices, then the smallest change of any number in units of its range.
        """
        if self.allows(config):
            return dict(config)
        point = self.encode(config)
        point = np.where(np.isnan(point), rng.random(len(point)), point)
        found = self._region.nearest(point, {})
        return self.sample(rng) if found is None else found

    def encode(self, config: Config) -> NDArray[np.float64]:
        """The point of the unit cube, shape [parameters]; NaN where a parameter is inactive."""
        return np.array([to_unit(config[name]) if name in config else math.nan for name, to_unit in self._encoders])

    def decode(self, point: ArrayLike) -> dict[str, Value]:
        """The config at a point, shape [parameters]. Any number is accepted: what lies outside [0, 1] is clipped, an
        active parameter that has NaN takes its default, and the axes of inactive parameters are ignored. The config may
        break constraints: see `allows` and `repair`."""
        return self._decode(self._coordinates(point))

    def complete(self, values: Config, point: ArrayLike) -> dict[str, Value]:
        """The config with these values where their parameters are active, and the others decoded from a point."""
        coordinates = self._coordinates(point)
        config: dict[str, Value] = {}
        for step in self._steps:
            if step.is_active is None or step.is_active(config):
                u = coordinates[step.axis]
                if step.name in values:
                    config[step.name] = step.domain.canonical(values[step.name])
                else:
                    config[step.name] = step.default if math.isnan(u) else step.from_unit(min(max(u, 0.0), 1.0))
        return self._in_declared_order(config)

    def key(self, config: Config) -> str:
        """The config as canonical JSON: the same text for equal configs, in every process."""
        return _write({name: canonical(config[name]) for name, canonical in self._writers if name in config})

    def acceptance(self, rng: np.random.Generator, draws: int) -> tuple[float, list[float]]:
        """The share of uniform draws from the space without constraints that keep them all, and that break each."""
        return self._region.acceptance(rng, draws) if self.constraints else (1.0, [])

    def size(self) -> int | None:
        """The number of configs; None when it is infinite: when a float without a step can be active.

        Constraints are counted by listing what hangs on them, up to `spaces.enumeration.MAX_VISITS` values. With more,
        the number is an upper bound (that of the space without the constraints in question), and `size_is_exact` tells.
        """
        return self._size[0]

    @property
    def size_is_exact(self) -> bool:
        return self._size[1]

    def enumerate(self) -> Iterator[dict[str, Value]]:
        """All configs of a finite space, each once; the last declared parameter changes fastest where nothing depends
        on it. Raises ValueError for an infinite space."""
        if self.size() is None:
            raise ValueError("an infinite space cannot be enumerated: a float without a step can be active")
        return map(self._in_declared_order, enumeration.configs(self._steps, self.constraints))

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

    def _coordinates(self, point: ArrayLike) -> list[float]:
        coordinates = np.asarray(point, dtype=np.float64)
        if coordinates.shape != (len(self.parameters),):
            raise ValueError(f"a point has shape ({len(self.parameters)},), got {coordinates.shape}")
        listed: list[float] = coordinates.tolist()
        return listed

    def _canonical(self, config: Config) -> dict[str, Value]:
        return {name: self._by_name[name].domain.canonical(value) for name, value in config.items()}

    def _law(self, priors: Sequence[Prior | None]) -> Law:
        from spaces.laws import Law  # scipy takes long to import: spaces without priors do without

        domains = [parameter.domain for parameter in self.parameters]
        both = zip(priors, domains, strict=True)
        return Law(domains, [None if prior is None else prior.marginal(domain) for prior, domain in both])

    def _in_declared_order(self, config: Config) -> dict[str, Value]:
        return {name: config[name] for name in self._by_name if name in config}

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
    def _steps(self) -> list[Step]:
        domains = {parameter.name: parameter.domain for parameter in self.parameters}
        return [
            Step(
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
    def _size(self) -> tuple[int | None, bool]:
        return enumeration.size(self.parameters, self._order, self._steps, self.constraints)

    @cached_property
    def _region(self) -> Region:
        from spaces.region import Region  # as above, for constraints

        return Region(self)

    @cached_property
    def _default(self) -> dict[str, Value]:
        values = {parameter.name: parameter.default_value for parameter in self.parameters}
        if not self.constraints:
            return self.complete(values, np.full(len(self.parameters), np.nan))
        declared = {p.name for p in self.parameters if getattr(p, "default", None) is not None}
        return self._region.settled(values, declared, "defaults")

    @cached_property
    def _prior_mode(self) -> dict[str, Value]:
        values = {parameter.name: parameter.default_value for parameter in self.parameters} | self._default
        for parameter in self.parameters:
            if parameter.prior is not None:
                values[parameter.name] = parameter.prior.best(parameter.domain)
        if not self.constraints:
            return self.complete(values, np.full(len(self.parameters), np.nan))
        with_prior = {parameter.name for parameter in self.parameters if parameter.prior is not None}
        return self._region.settled(values, with_prior, "modes of the priors")
