"""BOHB as its authors wrote it (HpBandSter 0.7.4): their model in their brackets, without their network of workers.

Every run starts from scratch. Conditions are refused: with ConfigSpace 1 the model fails on them and silently answers
random configs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hpbandster.optimizers.config_generators.bohb import BOHB
from hpbandster.optimizers.iterations import SuccessiveHalving

from benchmarks.peers.configspace import config_of, configuration_space
from benchmarks.peers.wire import Refused, Start, Wanted, serve


class Job(NamedTuple):
    """What their classes read of a finished run."""

    id: Any
    kwargs: dict[str, Any]
    result: dict[str, float]
    timestamps: dict[str, float]
    exception: None = None


class HpBandSterSearch:
    def __init__(self, start: Start) -> None:
        if start.conditional:
            raise Refused("HpBandSter's model fails on conditions")
        np.random.seed(start.seed)  # noqa: NPY002 (the generator that the package draws from)
        self._start = start
        self._model = BOHB(configspace=configuration_space(start), **start.options)
        low, high = start.range
        rungs = -int(np.log(low / high) / np.log(start.eta)) + 1
        self._fidelities = high * np.power(start.eta, -np.linspace(rungs - 1, 0, rungs))
        self._iterations = 0
        self._bracket = self._next_bracket()
        self._open: tuple[Any, dict[str, Any], float] | None = None

    def ask(self) -> Wanted:
        run = self._bracket.get_next_run()
        if run is None:
            self._bracket = self._next_bracket()
            run = self._bracket.get_next_run()
        self._open = run
        _, config, fidelity = run
        return self._start.wanted(config_of(self._start, config), float(fidelity))

    def tell(self, wanted: Wanted, loss: float) -> None:
        assert self._open is not None
        number, config, fidelity = self._open
        job = Job(number, {"config": config, "budget": fidelity}, {"loss": loss}, {})
        self._bracket.register_result(job)
        self._model.new_result(job)

    def _next_bracket(self) -> SuccessiveHalving:
        """The sizes of the brackets as in their `optimizers/bohb.py`."""
        rungs, eta = len(self._fidelities), self._start.eta
        last = rungs - 1 - self._iterations % rungs
        first = int(np.floor(rungs / (last + 1)) * eta**last)
        sizes = [max(int(first * eta**-rung), 1) for rung in range(last + 1)]
        number, self._iterations = self._iterations, self._iterations + 1
        return SuccessiveHalving(
            HPB_iter=number,
            num_configs=sizes,
            budgets=self._fidelities[-last - 1 :],
            config_sampler=self._model.get_config,
        )


if __name__ == "__main__":
    serve(HpBandSterSearch)
