"""The numbers of successive halving and Hyperband: the ladder of fidelities, how many runs each rung holds, which
bracket a trial begins in.

Everything is exact rational arithmetic. `floor(log(R / r) / log(eta))` is wrong in floating point for plain inputs
(243 with eta 3 loses a bracket), so no logarithm is taken anywhere.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rounding = Literal["ceil", "floor"]

OUTSIDE = -1
"""The bracket of a run that belongs to none: it takes no place and is never promoted."""

TOLERANCE = 1 + Fraction(1, 10**9)
"""Decimal bounds such as 0.1 and 8.1 are a hair off their ratio of 81."""


def ladder(low: float, high: float, eta: float, integer: bool) -> tuple[float | int, ...]:
    """The fidelities of the rungs, ascending: `high / eta**k` for all k that stay at or above `low`.

    The top is exactly `high`; the bottom is at least `low` but not always equal to it. Integer fidelities are rounded
    down, and rungs that become equal by that are one.
    """
    factor, top, bottom = Fraction(eta), Fraction(high), Fraction(low)
    exact = [top]
    while bottom * factor ** len(exact) <= top * TOLERANCE:
        exact.append(top / factor ** len(exact))
    if integer:
        return tuple(sorted({max(floor(value), int(low)) for value in exact}))
    return tuple(max(float(value), low) for value in reversed(exact))


def sizes(top: int, halvings: int, eta: float, rounding: Rounding) -> tuple[int, ...]:
    """How many runs each rung of a bracket holds, from its first rung up.

    `top` is the index of the ladder's highest rung (K), `halvings` the number of times the bracket promotes (s). The
    first rung has ceil((K + 1) eta^s / (s + 1)) runs, as in Algorithm 1 of Li et al. 2018, or with "floor"
    floor((K + 1) / (s + 1)) eta^s, as in HpBandSter and DEHB; rung i has floor(n / eta^i) of them, at least one.
    """
    assert 0 <= halvings <= top
    factor = Fraction(eta)
    if rounding == "ceil":
        first = ceil(Fraction(top + 1, halvings + 1) * factor**halvings)
    else:
        first = floor((top + 1) // (halvings + 1) * factor**halvings)
    return tuple(max(1, floor(first / factor**i)) for i in range(halvings + 1))


def bracket_law(top: int, eta: float) -> NDArray[np.float64]:
    """The probabilities with which asynchronous Hyperband draws the bracket of a new trial, shape [top + 1].

    Bracket b begins b rungs above the lowest and has P(b) proportional to (K + 1) eta^(K - b) / (K - b + 1), the number
    of trials that Hyperband would start there (K = `top`).
    """
    factor = Fraction(eta)
    weights = [Fraction(top + 1, halvings + 1) * factor**halvings for halvings in range(top, -1, -1)]
    total = sum(weights)
    return np.array([float(weight / total) for weight in weights])
