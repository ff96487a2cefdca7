"""Which configs are ruled out although each of their values is allowed.

    {forbid: <condition>}                             a clause: no config may fulfil this condition
    {linear: {a: 1, b: 1}, le | ge | eq: 1.0}         a weighted sum of numbers, bounded from above, below or both

**A constraint that mentions an inactive parameter is not violated**, whatever else it says. Sums are compared with a
tolerance for rounding, 1e-9 of the size of their terms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from spaces import conditions
from spaces.checks import Fields
from spaces.conditions import Condition, Predicate
from spaces.domain import Choices, Domain, Interval
from spaces.errors import Problem
from spaces.values import ByJson, Config, is_number, kind, listing, show

Bound = Literal["le", "ge", "eq"]
BOUNDS: tuple[Bound, ...] = get_args(Bound)
_SIGNS: dict[Bound, str] = {"le": "<=", "ge": ">=", "eq": "="}
TOLERANCE = 1e-9
MAX_COEFFICIENT = 1e100
MAX_TERM = 1e150  # sums of such terms are far from overflowing


@dataclass(frozen=True, eq=False)
class Forbid(ByJson):
    """No config in which all the parameters of the condition are active may fulfil it."""

    condition: Condition

    def to_json(self) -> dict[str, Any]:
        return {"forbid": self.condition.to_json()}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return self.condition.mentions

    @property
    def described(self) -> str:
        return f"not ({conditions.described(self.condition)})"

    def compiled(self, domains: Mapping[str, Domain]) -> Predicate:
        """Whether a config, of canonical values, keeps the constraint."""
        names = sorted(self.mentions)
        fulfilled = conditions.compiled(self.condition, domains)

        def holds(config: Config) -> bool:
            for name in names:
                if name not in config:
                    return True
            return not fulfilled(config)

        return holds


@dataclass(frozen=True, eq=False)
class Linear(ByJson):
    """The sum of coefficient times value is at most (le), at least (ge) or exactly (eq) the bound.

    Raises InvalidInput, with paths such as ("linear", "a"), when a number is none.
    """

    coefficients: Mapping[str, float]
    operator: Bound
    bound: float

    def __post_init__(self) -> None:
        read = Fields({"linear": self.coefficients, self.operator: self.bound})
        self.check(read)
        read.require()
        object.__setattr__(self, "coefficients", {name: float(value) for name, value in self.coefficients.items()})
        object.__setattr__(self, "bound", float(self.bound) + 0.0)

    @staticmethod
    def check(read: Fields) -> None:
        """Notes what is wrong with these raw fields; what the names mean is a matter of the whole space."""
        coefficients = read.raw("linear")
        if not isinstance(coefficients, Mapping):
            example = '{"a": 1, "b": 1}'
            read.wrong("linear", f"must be an object of coefficients such as {example}, got {kind(coefficients)}")
        elif not coefficients:
            read.wrong("linear", "needs at least one parameter with its coefficient")
        else:
            terms = Fields(coefficients)
            for name in coefficients:
                value = terms.number(name)
                if value == 0:
                    terms.wrong(name, "must not be 0: leave the parameter out")
                elif value is not None and abs(value) > MAX_COEFFICIENT:
                    terms.wrong(name, f"must lie within ±{MAX_COEFFICIENT:g}, got {show(value)}")
            read.problems += [problem.under("linear") for problem in terms.problems]
        given = [name for name in BOUNDS if read.raw(name) is not None]
        if len(given) != 1:
            read.wrong("linear", f"needs one of {listing(BOUNDS)} beside it, got {listing(given) or 'none'}")
        for name in given:
            read.number(name)

    def to_json(self) -> dict[str, Any]:
        return {"linear": dict(self.coefficients), self.operator: self.bound}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return frozenset(self.coefficients)

    @property
    def described(self) -> str:
        text = ""
        for name, coefficient in self.coefficients.items():
            sign = "-" if coefficient < 0 else "+" if text else ""
            factor = "" if abs(coefficient) == 1 else f"{abs(coefficient):g} "
            text += f" {sign} {factor}{name}" if text else f"{sign}{factor}{name}"
        return f"{text} {_SIGNS[self.operator]} {self.bound:g}"

    def problems(self, name: str, domain: Domain) -> list[Problem]:
        """Why this parameter cannot be a term of the sum."""
        ends = extremes(domain)
        if ends is None:
            return [Problem((), f"{show(name)} is no number: a sum takes float, int and constants that are numbers")]
        if abs(self.coefficients[name]) * max(abs(end) for end in ends) > MAX_TERM:
            return [Problem((), f"times the greatest value of {show(name)} is beyond {MAX_TERM:g}")]
        return []

    def is_thin(self, domains: Mapping[str, Domain]) -> bool:
        """Whether the configs that keep it have no volume: a draw never meets an equation of continuous values."""
        return self.operator == "eq" and any(isinstance(domains[name], Interval) for name in self.coefficients)

    def total(self, config: Mapping[str, Any]) -> float:
        """The sum; all its parameters must be active."""
        return math.fsum(coefficient * config[name] for name, coefficient in self.coefficients.items())

    def compiled(self, domains: Mapping[str, Domain]) -> Predicate:
        """Whether a config, of canonical values, keeps the constraint."""
        terms, bound, operator = list(self.coefficients.items()), self.bound, self.operator

        def holds(config: Mapping[str, Any]) -> bool:
            total = size = 0.0
            for name, coefficient in terms:
                value = config.get(name)
                if value is None:
                    return True
                total += coefficient * value
                size += abs(coefficient * value)
            slack = TOLERANCE * max(size, abs(bound))
            if operator == "le":
                return total <= bound + slack
            if operator == "ge":
                return total >= bound - slack
            return abs(total - bound) <= slack

        return holds


Constraint = Forbid | Linear


def extremes(domain: Domain) -> tuple[float, float] | None:
    """The least and the greatest number of a domain; None when its values are none (a constant may be one)."""
    if not isinstance(domain, Choices):
        return domain.low, domain.high
    if domain.count == 1 and is_number(domain.values[0]):
        return domain.values[0], domain.values[0]
    return None
