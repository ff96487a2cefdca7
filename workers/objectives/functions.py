"""Analytic test functions of global optimization: to try the service with nothing to train, and to test it fast.

Every function reads parameters `x0`, `x1`, … of the search space and is defined for all real numbers; FUNCTIONS says
the usual domain. Most have one output, `loss`, to be minimised. Those with several name them: objectives `f1`, `f2`, …
to be minimised and `g1`, `g2`, … to be kept within bounds. Definitions: S. Surjanovic and D. Bingham, *Virtual Library
of Simulation Experiments*; E. Zitzler, K. Deb and L. Thiele, *Comparison of multiobjective evolutionary algorithms*,
2000 (ZDT); T. Binh and U. Korn, *MOBES: a multiobjective evolution strategy for constrained optimization problems*,
1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Output:
    """A number that a function computes from its coordinates.

    `scale` is the size of differences that matter near the minimum: the size of the error at a low fidelity.
    """

    evaluate: Callable[[Sequence[float]], float]
    scale: float


@dataclass(frozen=True, slots=True)
class Function:
    """Outputs by the name of the metric, of `least` coordinates (of any number from `least` on when `open_ended`).

    `help` is one line for the reference: the usual domain, and where the best values are.
    """

    outputs: Mapping[str, Output]
    least: int
    help: str
    open_ended: bool = False

    def names(self, present: Mapping[str, object]) -> list[str]:
        """The parameters that the function reads, given those that exist."""
        dimension = self.least
        while self.open_ended and f"x{dimension}" in present:
            dimension += 1
        return [f"x{i}" for i in range(dimension)]


def noop(x: Sequence[float]) -> float:
    return 0.0


def sphere(x: Sequence[float]) -> float:
    return sum(v * v for v in x)


def rosenbrock(x: Sequence[float]) -> float:
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def branin(x: Sequence[float]) -> float:
    a, b = x
    valley = b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6
    return valley * valley + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


def hartmann3(x: Sequence[float]) -> float:
    return _hartmann(x, HARTMANN3_A, HARTMANN3_P)


def hartmann6(x: Sequence[float]) -> float:
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


def zdt_f1(x: Sequence[float]) -> float:
    return _within_unit(x[0])


def zdt1_f2(x: Sequence[float]) -> float:
    g = _distance_to_front(x)
    return g * (1 - math.sqrt(zdt_f1(x) / g))


def zdt2_f2(x: Sequence[float]) -> float:
    g = _distance_to_front(x)
    return g * (1 - (zdt_f1(x) / g) ** 2)


def _distance_to_front(x: Sequence[float]) -> float:
    """From 1, on the front, to 10."""
    return 1 + 9 * sum(map(_within_unit, x[1:])) / (len(x) - 1)


def _within_unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def binh_korn_f1(x: Sequence[float]) -> float:
    return 4 * x[0] ** 2 + 4 * x[1] ** 2


def binh_korn_f2(x: Sequence[float]) -> float:
    return (x[0] - 5) ** 2 + (x[1] - 5) ** 2


def binh_korn_g1(x: Sequence[float]) -> float:
    return (x[0] - 5) ** 2 + x[1] ** 2


def binh_korn_g2(x: Sequence[float]) -> float:
    return (x[0] - 8) ** 2 + (x[1] + 3) ** 2


FUNCTIONS: Mapping[str, Function] = {
    "noop": Function(
        {"loss": Output(noop, scale=0.0)},
        least=0,
        help="always 0: what is left is the cost of carrying out a run",
    ),
    "sphere": Function(
        {"loss": Output(sphere, scale=1.0)},
        least=1,
        open_ended=True,
        help="usually in [-5.12, 5.12]; minimum 0 at the origin",
    ),
    "rosenbrock": Function(
        {"loss": Output(rosenbrock, scale=10.0)},
        least=2,
        open_ended=True,
        help="usually in [-5, 10]; a curved valley with its minimum 0 at (1, …, 1)",
    ),
    "branin": Function(
        {"loss": Output(branin, scale=10.0)},
        least=2,
        help="x0 in [-5, 10], x1 in [0, 15]; minimum 0.397887 at (-π, 12.275), (π, 2.275) and (9.42478, 2.475)",
    ),
    "hartmann3": Function(
        {"loss": Output(hartmann3, scale=0.5)},
        least=3,
        help="in [0, 1]; minimum -3.86278 at (0.114614, 0.555649, 0.852547)",
    ),
    "hartmann6": Function(
        {"loss": Output(hartmann6, scale=0.5)},
        least=6,
        help="in [0, 1]; minimum -3.32237 at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)",
    ),
    "zdt1": Function(
        {"f1": Output(zdt_f1, scale=0.1), "f2": Output(zdt1_f2, scale=0.5)},
        least=2,
        open_ended=True,
        help="in [0, 1], beyond as at the edge; the front is convex, f2 = 1 - √f1, where all but x0 are 0",
    ),
    "zdt2": Function(
        {"f1": Output(zdt_f1, scale=0.1), "f2": Output(zdt2_f2, scale=0.5)},
        least=2,
        open_ended=True,
        help="in [0, 1], beyond as at the edge; the front is concave, f2 = 1 - f1², where all but x0 are 0",
    ),
    "binh-korn": Function(
        {
            "f1": Output(binh_korn_f1, scale=10.0),
            "f2": Output(binh_korn_f2, scale=5.0),
            "g1": Output(binh_korn_g1, scale=2.0),
            "g2": Output(binh_korn_g2, scale=2.0),
        },
        least=2,
        help="x0 in [0, 5], x1 in [0, 3]; g1 at most 25, g2 at least 7.7; the front runs from (0, 50) to (136, 4):"
        " along x0 = x1 from (0, 0) to (3, 3), then along x1 = 3",
    ),
}
