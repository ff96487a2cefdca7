"""NAS-Bench-201 (Dong and Yang 2020): all 15,625 cells of 6 edges with 5 operations each, trained.

The table has 12 and 200 epochs and nothing between, so eta is their ratio: a schedule goes from the one to the other
in a single step. Of an evaluation at some other fidelity, the highest recorded one within it is shown.
"""

from __future__ import annotations

import numpy as np

from benchmarks.tasks.data import data_file
from benchmarks.tasks.tables import Table
from benchmarks.tasks.task import Config

EDGES = tuple(f"edge{index}" for index in range(6))
SHORT, FULL = 12, 200


class Cells(Table):
    """Validation error of the cells: `losses` at 200 epochs [6 edges, seed], `short` at 12 epochs [6 edges].

    Beside them `test`, the accuracy in percent on the test set after 200 epochs, and `seconds`, the time of such a
    training, both [6 edges].
    """

    eta = FULL / SHORT

    def __init__(self, name: str, packed: dict[str, np.ndarray]) -> None:
        super().__init__(name, dict.fromkeys(EDGES, "categorical"), 1 - packed["v200"].astype(np.float64) / 100)
        self.space = {**self.space, "fidelity": {"name": "epochs", "low": SHORT, "high": FULL}}
        self.short = 1 - packed["v12"].astype(np.float64) / 100
        self.test = packed["t200"].astype(np.float64)
        self.seconds = packed["time200"].astype(np.float64)

    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        if fidelity is None or fidelity >= FULL:
            return super().observe(config, None, seed)
        return float(self.short[self._position(config)])

    def position(self, config: Config) -> tuple[int, ...]:
        """The place of a cell in the tables."""
        return self._position(config)


def nb201(name: str) -> Cells:
    """The cells trained on `cifar10` or `cifar100`."""
    with np.load(data_file("tables", f"nb201_{name}.npz")) as packed:
        return Cells(f"nb201-{name}", dict(packed))
