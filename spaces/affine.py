"""Affine expressions of the variables of a linear program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Affine:
    """A constant plus a weighted sum of variables."""

    terms: Mapping[int, float] = field(default_factory=dict)
    constant: float = 0.0

    def __add__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for variable, weight in other.terms.items():
            terms[variable] = terms.get(variable, 0.0) + weight
        return Affine(terms, self.constant + other.constant)

    def __mul__(self, factor: float) -> Affine:
        return Affine({variable: weight * factor for variable, weight in self.terms.items()}, self.constant * factor)

    def __sub__(self, other: Affine) -> Affine:
        return self + other * -1.0


ZERO, ONE = Affine(), Affine(constant=1.0)


def total(parts: Iterable[Affine]) -> Affine:
    return sum(parts, ZERO)
