"""Our spaces as ConfigSpace's, for the adapters that need them. Runs in a peer's environment.

Ordered choices become integers (positions): some of the peers know no ordinals. Choices without order become the
categories "0", "1", ..., positions too, so that their values come back as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ConfigSpace
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Hyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from benchmarks.peers.wire import Start, parents_first


def configuration_space(start: Start) -> ConfigSpace.ConfigurationSpace:
    """The space; its conditions are on categories."""
    space = ConfigSpace.ConfigurationSpace(seed=start.seed)
    declared = {parameter["name"]: parameter for parameter in start.parameters}
    for parameter in parents_first(start.parameters):
        child = _hyperparameter(parameter)
        space.add(child)
        if when := parameter.get("when"):
            values = when["in"] if "in" in when else [when["equals"]]
            choices = declared[when["parameter"]]["choices"]
            positions = [str(choices.index(value)) for value in values]
            space.add(ConfigSpace.InCondition(child, space[when["parameter"]], positions))
    return space


def config_of(start: Start, values: Mapping[str, Any]) -> dict[str, Any]:
    """A ConfigSpace configuration, in our values."""
    return {
        parameter["name"]: _value(parameter, values[parameter["name"]])
        for parameter in start.parameters
        if parameter["name"] in values
    }


def _hyperparameter(parameter: Mapping[str, Any]) -> Hyperparameter[Any, Any]:
    name, log = parameter["name"], parameter.get("log", False)
    match parameter["type"]:
        case "ordinal":
            return UniformIntegerHyperparameter(name, 0, len(parameter["choices"]) - 1)
        case "categorical":
            return CategoricalHyperparameter(name, [str(position) for position in range(len(parameter["choices"]))])
        case "int":
            return UniformIntegerHyperparameter(name, parameter["low"], parameter["high"], log=log)
        case kind:
            assert kind == "float", kind
            return UniformFloatHyperparameter(name, parameter["low"], parameter["high"], log=log)


def _value(parameter: Mapping[str, Any], value: Any) -> Any:
    match parameter["type"]:
        case "ordinal" | "categorical":
            return parameter["choices"][int(value)]
        case "int":
            return int(value)
        case _:
            return float(value)
