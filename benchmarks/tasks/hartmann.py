"""MF-Hartmann (Kandasamy et al. 2017; the form and the names of mf-prior-bench): a formula with a fidelity z of 3..100.

At the highest fidelity it is exact; below, it is biased and noisy. The noise of an evaluation belongs to the config, so
that all methods see the same.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.tasks.task import Config, Task
from search.testbed import Hartmann as Formula

OPTIMUM = {
    3: (0.114614, 0.555649, 0.852547),
    6: (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
}
LOW, HIGH = 3, 100
SAMPLE = 20_000  # random points whose median is the loss of the median random config


class Hartmann(Task):
    """The function of `dimensions` 3 or 6."""

    def __init__(self, dimensions: int, bias: float, noise: float) -> None:
        self.name = f"hartmann{dimensions}"
        self._formula = Formula(dimensions, HIGH, bias, noise)
        self.space = {**self._formula.space, "fidelity": {"name": "z", "low": LOW, "high": HIGH}}
        self._axes = [parameter["name"] for parameter in self.space["parameters"]]
        self.known_best = dict(zip(self._axes, OPTIMUM[dimensions], strict=True))
        self.best = self.true(self.known_best)
        sample = np.random.default_rng(0).random((SAMPLE, dimensions))
        self.median = float(np.median([self._formula.value(point) for point in sample]))

    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        z = HIGH if fidelity is None else fidelity
        lack = 1 - math.log(z) / math.log(HIGH)
        noise = abs(self.noise(config, seed, f"z {z:g}").standard_normal()) * self._formula.noise if lack else 0.0
        return self._formula.value(self._point(config), z) + lack * noise

    def true(self, config: Config) -> float:
        return self._formula.value(self._point(config))

    def _point(self, config: Config) -> list[float]:
        return [config[axis] for axis in self._axes]


def hartmann(dimensions: int, bias: float, noise: float) -> Hartmann:
    """MF-Hartmann in 3 or 6 dimensions."""
    return Hartmann(dimensions, bias, noise)
