"""Optuna 5: TPE and the Gaussian process with their defaults, at full fidelity, by ask and tell."""

from __future__ import annotations

from typing import Any

import optuna

from benchmarks.peers.wire import Start, Wanted, active, parents_first, serve


class OptunaSearch:
    """Ordered choices are given as positions, which is how Optuna expresses them."""

    def __init__(self, start: Start) -> None:
        sampler: optuna.samplers.BaseSampler
        if start.peer == "optuna-gp":
            sampler = optuna.samplers.GPSampler(seed=start.seed, **start.options)
        else:
            sampler = optuna.samplers.TPESampler(seed=start.seed, **start.options)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler)
        self._parameters = parents_first(start.parameters)
        self._open: optuna.Trial | None = None

    def ask(self) -> Wanted:
        self._open = self._study.ask()
        config: dict[str, Any] = {}
        for parameter in self._parameters:
            if active(parameter, config):
                config[parameter["name"]] = self._suggest(self._open, parameter)
        return Wanted(config)

    def tell(self, wanted: Wanted, loss: float) -> None:
        assert self._open is not None
        self._study.tell(self._open, loss)

    def _suggest(self, trial: optuna.Trial, parameter: dict[str, Any]) -> Any:
        name = parameter["name"]
        match parameter["type"]:
            case "ordinal":
                return parameter["choices"][trial.suggest_int(name, 0, len(parameter["choices"]) - 1)]
            case "categorical":
                return trial.suggest_categorical(name, parameter["choices"])
            case "int":
                return trial.suggest_int(name, parameter["low"], parameter["high"], log=parameter.get("log", False))
            case kind:
                assert kind == "float", kind
                return trial.suggest_float(name, parameter["low"], parameter["high"], log=parameter.get("log", False))


if __name__ == "__main__":
    serve(OptunaSearch)
