"""Analytic objectives with known optima, for tests and benchmarks of the search.

Each is a function from a config (and, for the MF ones, a fidelity) to the regret: the loss less its minimum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.algorithms import ALGORITHMS
from search.history import Outcome, Run, RunState
from search.streams import stream

ANYWHERE = tuple(name for name, row in ALGORITHMS.items() if not (row.needs_architecture or row.one_shot))
"""The algorithms that serve any space with the fidelity or the priors that they need: not those for architectures, nor
those that tune by gradients."""

LIGHT: Mapping[str, Mapping[str, Any]] = {
    "gp": {"initial": 9, "candidates": 20, "climbs": 1},
    "smac": {"initial": 5, "candidates": 50, "climbs": 1},
    "smac-hyperband": {"initial": 5, "candidates": 50, "climbs": 1},
    "dngo": {"initial": 5, "candidates": 50, "climbs": 1, "epochs": 10},
    "optuna-gp": {"startup": 9},
}
"""Options with which algorithms that take long for a suggestion take less: for tests of what holds at any effort."""

LONGEST: Mapping[str, int] = {"gp": 13, "optuna-gp": 13, "smac": 18, "smac-hyperband": 18, "dngo": 18}
"""And so many runs show it, of which a few are the model's."""


def affordable(algorithm: str, runs: int) -> int:
    """So many runs, or fewer where each suggestion takes long."""
    return min(runs, LONGEST.get(algorithm, runs))


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A3 = np.array([[3.0, 10, 30], [0.1, 10, 35], [3.0, 10, 30], [0.1, 10, 35]])
_P3 = 1e-4 * np.array([[3689.0, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_A6 = np.array(
    [[10.0, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P6 = 1e-4 * np.array(
    [
        [1312.0, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def box(dimensions: int, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    """The space of x0, x1, ... in [low, high], as it is written on the wire."""
    return {
        "parameters": [{"name": f"x{i}", "type": "float", "low": low, "high": high} for i in range(dimensions)],
    }


def sphere(config: Mapping[str, Any]) -> float:
    """The sum of squares; meant for [-5, 5]^d."""
    return float(sum(value**2 for value in config.values()))


@dataclass(frozen=True, slots=True)
class Hartmann:
    """Hartmann3 or Hartmann6 on [0, 1]^d, with a fidelity z (MF-Hartmann, Pfisterer et al. 2022, mf-prior-bench).

    At a share l = ln z / ln `highest` of the fidelity the weights of the four wells are lowered by `bias` (1 - l), and
    |N(0, 1)| `noise` (1 - l) is added, the same for the same run number; at the highest fidelity it is exact.
    """

    dimensions: int = 6
    highest: int = 100
    bias: float = 0.5
    noise: float = 0.1

    @property
    def minimum(self) -> float:
        return {3: -3.86277979, 6: -3.32236801}[self.dimensions]

    @property
    def space(self) -> dict[str, Any]:
        """The space with its fidelity, as it is written on the wire."""
        return {**box(self.dimensions), "fidelity": {"name": "z", "low": 1, "high": self.highest, "type": "int"}}

    def value(self, point: Any, fidelity: float | None = None) -> float:
        """The value without noise at a point, shape [dimensions]."""
        scale, centres = (_A3, _P3) if self.dimensions == 3 else (_A6, _P6)
        weights = _ALPHA - self.bias * (1 - self._share(fidelity))
        return -float(weights @ np.exp(-(scale * (np.asarray(point) - centres) ** 2).sum(axis=1)))

    def run(self, run: Run, seed: int = 0) -> Outcome:
        """The outcome of a run: its noisy regret at its fidelity."""
        value = self.value(list(run.config.values()), run.fidelity) - self.minimum
        lack = 1 - self._share(run.fidelity)
        if self.noise and lack > 0:
            value += abs(float(stream(seed, run.number, "noise").standard_normal())) * self.noise * lack
        return Outcome(RunState.SUCCEEDED, (value,))

    def _share(self, fidelity: float | None) -> float:
        return 1.0 if fidelity is None else math.log(fidelity) / math.log(self.highest)
