"""SMAC3 2.4: its facades for hyperparameter optimization and for multiple fidelities, with their defaults."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario
from smac.runhistory import TrialInfo, TrialValue

from benchmarks.peers.configspace import config_of, configuration_space
from benchmarks.peers.wire import Start, Wanted, serve


class SmacSearch:
    """`n_trials` only sizes the initial design here: a quarter of it at most. Every run starts from scratch.

    Their reduction factor is a whole number.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._multi = start.peer == "smac-hyperband"
        self._folder = tempfile.TemporaryDirectory(prefix="smac-")
        low, high = start.range
        budgets: dict[str, Any] = {"min_budget": low, "max_budget": high} if self._multi else {}
        scenario = Scenario(
            configuration_space(start),
            deterministic=True,
            n_trials=int(start.budget),
            seed=start.seed,
            output_directory=Path(self._folder.name),
            **budgets,
        )
        facade: Any = MultiFidelityFacade if self._multi else HyperparameterOptimizationFacade
        extra = {"intensifier": facade.get_intensifier(scenario, eta=int(start.eta))} if self._multi else {}
        self._smac = facade(scenario, _never_called, logging_level=50, overwrite=True, **extra)
        self._open: TrialInfo | None = None

    def ask(self) -> Wanted:
        self._open = self._smac.ask()
        assert self._open is not None
        config = config_of(self._start, dict(self._open.config))
        if not self._multi:
            return Wanted(config)
        assert self._open.budget is not None
        return self._start.wanted(config, self._open.budget)

    def tell(self, wanted: Wanted, loss: float) -> None:
        assert self._open is not None
        self._smac.tell(self._open, TrialValue(cost=loss))


def _never_called(config: Any, seed: int = 0, budget: float = 0) -> float:
    raise AssertionError("evaluations happen on the other side of the pipe")


if __name__ == "__main__":
    serve(SmacSearch)
