"""NePS 0.17: PriorBand and Hyperband by ask and tell, with their defaults. A promoted config continues.

NePS knows no seeds, so the global generators are seeded; no conditions; and its reduction factor is a whole number.
"""

from __future__ import annotations

import random
from typing import Any

import neps
import numpy as np
import torch
from neps.space import HPOCategorical, HPOFloat, HPOInteger, SearchSpace

from benchmarks.peers.wire import Refused, Start, Wanted, serve

FIDELITY = "fidelity"


class NepsSearch:
    def __init__(self, start: Start) -> None:
        if start.conditional:
            raise Refused("NePS knows no conditions")
        random.seed(start.seed)
        np.random.seed(start.seed)  # noqa: NPY002 (a generator that the package draws from)
        torch.manual_seed(start.seed)
        self._start = start
        self._declared = {parameter["name"]: parameter for parameter in start.parameters}
        space = SearchSpace({name: _element(parameter) for name, parameter in self._declared.items()} | self._axis())
        algorithm = neps.algorithms.priorband if start.peer == "neps-priorband" else neps.algorithms.hyperband
        self._search = neps.AskAndTell(algorithm(space, eta=int(start.eta), **start.options))
        self._open: Any = None

    def ask(self) -> Wanted:
        self._open = self._search.ask()
        values = dict(self._open.config)
        reached = values.pop(FIDELITY)
        previous = self._open.metadata.previous_trial_id
        resumed = self._search.trials[previous].config[FIDELITY] if previous else 0.0
        config = {name: _value(self._declared[name], value) for name, value in values.items()}
        return self._start.wanted(config, float(reached), float(resumed))

    def tell(self, wanted: Wanted, loss: float) -> None:
        self._search.tell(self._open, loss)

    def _axis(self) -> dict[str, Any]:
        low, high = self._start.range
        kind = HPOInteger if isinstance(low, int) and isinstance(high, int) else HPOFloat
        return {FIDELITY: kind(low, high, is_fidelity=True)}


def _element(parameter: dict[str, Any]) -> Any:
    """A parameter, with its prior. Choices are positions."""
    prior = parameter.get("prior")
    believed = {} if prior is None else {"prior": prior["mode"], "prior_confidence": prior["confidence"]}
    match parameter["type"]:
        case "ordinal" | "categorical":
            positions = list(range(len(parameter["choices"])))
            if prior is not None:
                believed["prior"] = parameter["choices"].index(prior["mode"])
            if parameter["type"] == "ordinal":
                return HPOInteger(0, positions[-1], **believed)
            return HPOCategorical(positions, **believed)
        case "int":
            return HPOInteger(parameter["low"], parameter["high"], log=parameter.get("log", False), **believed)
        case kind:
            assert kind == "float", kind
            return HPOFloat(parameter["low"], parameter["high"], log=parameter.get("log", False), **believed)


def _value(parameter: dict[str, Any], value: Any) -> Any:
    match parameter["type"]:
        case "ordinal" | "categorical":
            return parameter["choices"][int(value)]
        case "int":
            return int(value)
        case _:
            return float(value)


if __name__ == "__main__":
    serve(NepsSearch)
