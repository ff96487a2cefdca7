"""Analytic test functions of global optimization: to try the service with nothing to train, and to test it fast.

Every function is minimised over parameters `x0`, `x1`, … of the search space and is defined for all real numbers; the
usual domain stands in its docstring. Definitions: S. Surjanovic and D. Bingham, *Virtual Library of Simulation
Experiments*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `least` coordinates (of any number from `least` on when `open_ended`).

    `scale` is the size of differences that matter near the minimum: the size of the error at a low fidelity.
    """

    evaluate: Callable[[Sequence[float]], float]
    least: int
    scale: float
    open_ended: bool = False

    def names(self, present: Mapping[str, object]) -> list[str]:
        """The parameters that the function reads, given those that exist."""
        dimension = self.least
        while self.open_ended and f"x{dimension}" in present:
            dimension += 1
        return [f"x{i}" for i in range(dimension)]


def noop(x: Sequence[float]) -> float:
    """Reads nothing, is always 0: what is left is the cost of carrying out a run."""
    return 0.0


def sphere(x: Sequence[float]) -> float:
    """Any dimension, usually in [-5.12, 5.12]; minimum 0 at the origin."""
    return sum(v * v for v in x)


def rosenbrock(x: Sequence[float]) -> float:
    """Two or more dimensions, usually in [-5, 10]; a curved valley with its minimum 0 at (1, …, 1)."""
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def branin(x: Sequence[float]) -> float:
    """x0 in [-5, 10], x1 in [0, 15]; minimum 0.397887 at (-π, 12.275), (π, 2.275) and (9.42478, 2.475)."""
    a, b = x
    valley = b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6
    return valley * valley + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


def hartmann3(x: Sequence[float]) -> float:
    """Three dimensions in [0, 1]; minimum -3.86278 at (0.114614, 0.555649, 0.852547)."""
    return _hartmann(x, HARTMANN3_A, HARTMANN3_P)


def hartmann6(x: Sequence[float]) -> float:
    """Six dimensions in [0, 1]; minimum -3.32237 at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)."""
    return _hartmann(x, HARTMANN6_A, HARTMANN6_P)


def _hartmann(x: Sequence[float], steepness: Sequence[Sequence[float]], centres: Sequence[Sequence[float]]) -> float:
    wells = (
        depth * math.exp(-sum(s * (v - c) ** 2 for v, s, c in zip(x, row, centre, strict=True)))
        for depth, row, centre in zip(HARTMANN_DEPTHS, steepness, centres, strict=True)
    )
    return -sum(wells)


HARTMANN_DEPTHS = (1.0, 1.2, 3.0, 3.2)
HARTMANN3_A = ((3.0, 10, 30), (0.1, 10, 35), (3.0, 10, 30), (0.1, 10, 35))
HARTMANN3_P = (
    (0.3689, 0.1170, 0.2673),
    (0.4699, 0.4387, 0.7470),
    (0.1091, 0.8732, 0.5547),
    (0.0381, 0.5743, 0.8828),
)
HARTMANN6_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
HARTMANN6_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)

FUNCTIONS: Mapping[str, Function] = {
    "noop": Function(noop, least=0, scale=0.0),
    "sphere": Function(sphere, least=1, scale=1.0, open_ended=True),
    "rosenbrock": Function(rosenbrock, least=2, scale=10.0, open_ended=True),
    "branin": Function(branin, least=2, scale=10.0),
    "hartmann3": Function(hartmann3, least=3, scale=0.5),
    "hartmann6": Function(hartmann6, least=6, scale=0.5),
}
