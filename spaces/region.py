"""The part of a space that its constraints leave: what lies in it, and how to draw from it.

`Region.sample` follows the law of the space (uniform, or the prior) conditioned on the constraints.

- *Rejection*: draw from the whole space until a draw lies within. Exact, and all that most spaces need.
- *Thin* constraints, equations of continuous values, are never met by chance: a draw that breaks nothing else is moved
  to the nearest config that keeps them. Whether they apply (their parameters are active) is thus left to chance.
- After `MAX_DRAWS` draws in vain (or `FEW_DRAWS`), the last one is moved to the nearest config that keeps everything.
- From where a draw was moved to, a random walk goes on within the region: a Markov chain whose stationary law is the
  wanted one (with respect to area on the equations), so its end forgets where it came in. Approximate, not exact.

The walk's steps: draw one coordinate anew; slide along a random line within the equations (hit-and-run, Smith 1984);
trade one grid value against another term of an equation. Each is accepted by Metropolis and Hastings' rule.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spaces.constraints import Linear
from spaces.domain import Choices, Discrete, Domain, FloatGrid, IntegerGrid, Interval
from spaces.errors import InvalidInput, Path, Problem
from spaces.feasibility import contradiction, explained
from spaces.laws import Law
from spaces.program import MARGIN, Model, with_ancestors
from spaces.values import Config, Value, show

if TYPE_CHECKING:
    from spaces.space import Space

MAX_DRAWS = 1_000
FEW_DRAWS = 30  # where none of the draws at declaration kept the constraints
MAX_PROBES = 200  # draws at declaration, before feasibility is looked into
WALK_BASE, WALK_PER_PARAMETER = 40, 20  # steps

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Line:
    """Where continuous parameters can go together: the null space of the equations that apply.

    Positions are in units of each parameter's range.
    """

    names: list[str]
    lows: Array
    ranges: Array
    directions: Array  # [names, freedoms], orthonormal
    bounds: list[tuple[Array, Linear]]  # inequalities: coefficients per position


class Region:
    """The configs of a space that keep its constraints; those handed in must be valid otherwise."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._domains: dict[str, Domain] = {p.name: p.domain for p in space.parameters}
        self._axis = {p.name: axis for axis, p in enumerate(space.parameters)}
        self._holds = [constraint.compiled(self._domains) for constraint in space.constraints]
        self._thin = [isinstance(c, Linear) and c.is_thin(self._domains) for c in space.constraints]
        self._sums = [(index, c) for index, c in enumerate(space.constraints) if isinstance(c, Linear)]
        mentioned = {name for constraint in space.constraints for name in constraint.mentions}
        self._names = with_ancestors(space.parameters, mentioned)
        self._axes = [self._axis[name] for name in self._names]
        self._draws = MAX_DRAWS
        self._models: dict[float, Model] = {}
        self._lines: dict[frozenset[int], _Line] = {}

    def require_configs(self) -> None:
        """Raises InvalidInput, with the constraints that contradict each other, when there is nothing to draw.

        Also finds out whether drawing from the whole space has a chance.
        """
        rng = np.random.Generator(np.random.Philox(key=0))
        for _ in range(MAX_PROBES):
            point = self._draw(rng, None)
            if self.allows(self._space.decode(point)):
                return
        self._draws = FEW_DRAWS
        if self._moved_in(point, {}) is not None:
            return
        for margin in (0.0, MARGIN):
            core = contradiction(self._space.parameters, self._space.constraints, margin)
            if core:
                path: Path = ("constraints", core[0]) if len(core) == 1 else ("constraints",)
                raise InvalidInput.at(path, explained(self._space.parameters, self._space.constraints, core, margin))
        raise InvalidInput.at(
            ("constraints",),
            f"rule out all of {MAX_PROBES} configs that were tried, and what they leave is too little to be found",
        )

    def allows(self, config: Config) -> bool:
        """Whether a config of canonical values keeps every constraint."""
        for holds in self._holds:  # noqa: SIM110  # a plain loop is faster
            if not holds(config):
                return False
        return True

    def broken(self, config: Config) -> list[int]:
        """The constraints, by index, that a config of canonical values does not keep."""
        return [index for index, holds in enumerate(self._holds) if not holds(config)]

    def sample(self, rng: np.random.Generator, law: Law | None) -> dict[str, Value]:
        """A config drawn from the law of the space (None: uniform), conditioned on the constraints."""
        for _ in range(self._draws):
            point = self._draw(rng, law)
            config = self._space.decode(point)
            broken = self.broken(config)
            if not broken:
                return config
            if all(self._thin[index] for index in broken) and (start := self._moved_in(point, {})) is not None:
                return self._space.decode(self._walk(start, rng, law))
        start = self._moved_in(point, {})
        if start is None:
            start = self._space.encode(self._space.default())
            start = np.where(np.isnan(start), point, start)
        return self._space.decode(self._walk(start, rng, law))

    def nearest(self, point: Array, fixed: Mapping[str, Value]) -> dict[str, Value] | None:
        """The allowed config nearest to a point of the cube that has these values; None when none is found."""
        moved = self._moved_in(point, fixed)
        return None if moved is None else self._space.decode(moved)

    def settled(self, values: Mapping[str, Value], fixed: Collection[str], what: str) -> dict[str, Value]:
        """The config with these values; where it breaks constraints, the nearest one in which those that are `fixed`
        have them. Raises InvalidInput, saying that `what` breaks them, when there is none."""
        config = self._space.complete(values, np.full(len(self._domains), np.nan))
        broken = self.broken(config)
        if not broken:
            return config
        point = np.array([domain.to_unit(values[name]) for name, domain in self._domains.items()])
        found = self.nearest(point, {name: values[name] for name in fixed})
        if found is None:
            said = ", ".join(f"{name} = {show(config[name])}" for name in config if name in fixed)
            constraints = self._space.constraints
            raise InvalidInput(
                Problem(("constraints", index), f"{constraints[index].described} is broken by the {what}: {said}")
                for index in broken
            )
        return found

    def acceptance(self, rng: np.random.Generator, draws: int) -> tuple[float, list[float]]:
        """The share of uniform draws that keep all constraints, and the share that break each."""
        kept, broken = 0, [0] * len(self._holds)
        for _ in range(draws):
            found = self.broken(self._space.decode(self._draw(rng, None)))
            kept += not found
            for index in found:
                broken[index] += 1
        return kept / draws, [count / draws for count in broken]

    def _draw(self, rng: np.random.Generator, law: Law | None) -> Array:
        uniform = rng.random(len(self._domains))
        return uniform if law is None else law.quantile(uniform[None])[0]

    # moving in

    def _moved_in(self, point: Array, fixed: Mapping[str, Value]) -> Array | None:
        """The point with the coordinates changed that the constraints hang on, as little as possible."""
        target = {name: self._domains[name].from_unit(point[self._axis[name]]) for name in self._names}
        for margin in (MARGIN, 0.0):
            if margin not in self._models:
                self._models[margin] = Model(self._space.parameters, self._space.constraints, margin)
            values = self._models[margin].nearest(target, fixed)
            if values is None:
                continue
            moved = point.copy()
            for name, value in self._polished(values, fixed).items():
                moved[self._axis[name]] = self._domains[name].to_unit(value)
            if self.allows(self._space.decode(moved)):
                return moved
        return None

    def _polished(self, values: dict[str, Value], fixed: Mapping[str, Value]) -> dict[str, Value]:
        """The solver keeps equations to 1e-7 only: spreads what is missing over the continuous terms."""
        for _ in range(20):
            settled = True
            for index, linear in self._sums:
                if not self._thin[index] or any(name not in values for name in linear.coefficients):
                    continue
                missing = linear.bound - linear.total(values)
                free = [n for n in linear.coefficients if isinstance(self._domains[n], Interval) and n not in fixed]
                weight = sum(linear.coefficients[name] ** 2 for name in free)
                size = max(abs(linear.bound), sum(abs(c * float(values[n])) for n, c in linear.coefficients.items()))
                if weight == 0 or abs(missing) <= 1e-13 * size or abs(missing) > 1e-4 * size:
                    continue
                settled = False
                for name in free:
                    domain = self._domains[name]
                    assert isinstance(domain, Interval)
                    value = float(values[name]) + linear.coefficients[name] * missing / weight
                    values[name] = min(max(value, domain.low), domain.high)
            if settled:
                break
        return values

    # walking

    def _walk(self, point: Array, rng: np.random.Generator, law: Law | None) -> Array:
        config = self._space.decode(point)
        applying = self._applying(config)
        steps = (self._renew, self._slide, self._trade)
        for _ in range(WALK_BASE + WALK_PER_PARAMETER * len(self._names)):
            kind = int(rng.integers(len(steps)))
            proposal = steps[kind](point, config, applying, rng, law)
            if proposal is None:
                continue
            candidate, log_ratio = proposal
            if log_ratio < 0 and math.log(max(rng.random(), 1e-300)) >= log_ratio:
                continue
            reached = self._space.decode(candidate)
            if not self.allows(reached):
                continue
            # a line belongs to the sums that apply; and from where an equation does not apply, chance never leads back
            there = self._applying(reached)
            if there == applying or (kind == 0 and self._thin_ones(there) == self._thin_ones(applying)):
                point, config, applying = candidate, reached, there
        return point

    def _applying(self, config: Config) -> frozenset[int]:
        return frozenset(index for index, linear in self._sums if all(name in config for name in linear.coefficients))

    def _thin_ones(self, applying: frozenset[int]) -> frozenset[int]:
        return frozenset(index for index in applying if self._thin[index])

    def _renew(
        self, point: Array, config: Config, applying: frozenset[int], rng: np.random.Generator, law: Law | None
    ) -> tuple[Array, float]:
        """One coordinate drawn anew from the law itself: always as likely as it should be."""
        candidate = point.copy()
        axis = self._axes[int(rng.integers(len(self._axes)))]
        candidate[axis] = self._draw(rng, law)[axis]
        return candidate, 0.0

    def _slide(
        self, point: Array, config: Config, applying: frozenset[int], rng: np.random.Generator, law: Law | None
    ) -> tuple[Array, float] | None:
        """A uniform point of the chord through here in a random direction within the equations."""
        line = self._line(applying)
        if not line.directions.size:
            return None
        here = (np.array([float(config[name]) for name in line.names]) - line.lows) / line.ranges
        direction = line.directions @ rng.standard_normal(line.directions.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort(np.stack([-here / direction, (1 - here) / direction]), axis=0)
        moving = direction != 0
        low, high = float(ends[0][moving].max()), float(ends[1][moving].min())
        for coefficients, linear in line.bounds:
            slope, room = float(coefficients @ direction), linear.bound - linear.total(config)
            if linear.operator == "ge":
                slope, room = -slope, -room
            if slope > 0:
                high = min(high, room / slope)
            elif slope < 0:
                low = max(low, room / slope)
        if not low < high:
            return None
        there = np.clip(here + rng.uniform(low, high) * direction, 0.0, 1.0)
        values = dict(zip(line.names, (line.lows + there * line.ranges).tolist(), strict=True))
        return self._moved(point, config, values, law)

    def _trade(
        self,
        point: Array,
        config: Mapping[str, Any],
        applying: frozenset[int],
        rng: np.random.Generator,
        law: Law | None,
    ) -> tuple[Array, float] | None:
        """Another value for a grid parameter of an equation, and another term that makes up for it."""
        equations = [linear for index, linear in self._sums if index in applying and linear.operator == "eq"]
        if not equations:
            return None
        linear = equations[int(rng.integers(len(equations)))]
        names = sorted(linear.coefficients)
        one, other = (
            (names[int(index)] for index in rng.permutation(len(names))[:2]) if len(names) > 1 else (None, None)
        )
        if one is None or other is None:
            return None
        grid, partner = self._domains[one], self._domains[other]
        if not isinstance(grid, IntegerGrid | FloatGrid) or isinstance(partner, Choices):
            return None
        value = grid.value(int(rng.integers(grid.count)))
        change = linear.coefficients[one] * (value - config[one]) / linear.coefficients[other]
        made_up: Any = float(config[other]) - change
        if not isinstance(partner, Interval):
            nearest = partner.value(min(max(round((made_up - partner.low) / partner.step), 0), partner.count - 1))
            if abs(nearest - made_up) > 1e-6 * partner.step:
                return None
            made_up = nearest
        elif not partner.low <= made_up <= partner.high:
            return None
        return self._moved(point, config, {one: value, other: made_up}, law)

    def _moved(self, point: Array, config: Config, values: Mapping[str, Any], law: Law | None) -> tuple[Array, float]:
        """The point with these values, and the logarithm of how much more the law gives to it per value and length."""
        candidate, log_ratio = point.copy(), 0.0
        for name, value in values.items():
            domain = self._domains[name]
            candidate[self._axis[name]] = domain.to_unit(value)
            log_ratio += _log_unit(domain, value) - _log_unit(domain, config[name])
        if law is not None:
            before, after = law.log_density(np.stack([point, candidate]))
            log_ratio += float(after - before)
        return candidate, log_ratio

    def _line(self, applying: frozenset[int]) -> _Line:
        if applying not in self._lines:
            linears = [linear for index, linear in self._sums if index in applying]
            mentioned = {name for linear in linears for name in linear.coefficients}
            moving = {name: d for name, d in self._domains.items() if name in mentioned and isinstance(d, Interval)}
            names = list(moving)
            ranges = np.array([domain.high - domain.low for domain in moving.values()])
            rows = [(np.array([lin.coefficients.get(n, 0.0) for n in names]) * ranges, lin) for lin in linears]
            self._lines[applying] = _Line(
                names,
                np.array([domain.low for domain in moving.values()]),
                ranges,
                _null_space([row for row, linear in rows if linear.operator == "eq"], len(names)),
                [(row, linear) for row, linear in rows if linear.operator != "eq"],
            )
        return self._lines[applying]


def _null_space(rows: Sequence[Array], dimensions: int) -> Array:
    """An orthonormal basis, shape [dimensions, freedoms]."""
    if not rows or not dimensions:
        return np.eye(dimensions)
    matrix = np.stack(rows) / np.array([np.linalg.norm(row) or 1.0 for row in rows])[:, None]
    _, singular, right = np.linalg.svd(matrix)
    rank = int((singular > 1e-10).sum())
    basis: Array = right[rank:].T
    return basis


def _log_unit(domain: Domain, value: Any) -> float:
    """The logarithm of how much of the unit interval one value takes, or one unit of length around it."""
    if isinstance(domain, Discrete):
        return math.log(domain.cells.width(domain.cell(value)))
    return -math.log(value) if domain.log else 0.0
