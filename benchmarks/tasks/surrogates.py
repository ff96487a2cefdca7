"""YAHPO Gym (Pfisterer et al. 2022): networks fitted to many thousands of trainings, read as ONNX models.

LCBench: a multilayer perceptron with a learning curve of 52 epochs. rbv2_xgboost: gradient boosting on a fraction of
the training set, with parameters that depend on the booster. Surrogates have holes that a good optimizer finds: they
compare methods, their regret is no distance to a real optimum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks.data import data_file
from benchmarks.tasks.task import Config, Missing, Task

ABSENT = "#na#"  # an inactive category; an inactive number is 0


@dataclass(frozen=True)
class Scenario:
    """What of a YAHPO scenario is searched: its fidelity, its metric, and the parameters that are held.

    The loss is minus the metric over `scale`. `low` is the least useful fidelity: the first epoch of LCBench is
    reported before any training, so its order may be the reverse of the last one's.
    """

    instance: str
    fidelity: Mapping[str, Any]
    metric: str
    scale: float
    held: Mapping[str, float]


SCENARIOS = {
    "lcbench": Scenario("OpenML_task_id", {"name": "epoch", "low": 2, "high": 52}, "val_accuracy", 100.0, {}),
    "rbv2_xgboost": Scenario(
        "task_id", {"name": "trainsize", "type": "float", "low": 0.037, "high": 1.0}, "acc", 1.0, {"repl": 10}
    ),
}


class Surrogate(Task):
    """One instance (a data set) of a scenario. Deterministic: what is seen at the highest fidelity is the truth."""

    def __init__(self, name: str, scenario: str, instance: str) -> None:
        self.name = name
        self._scenario = SCENARIOS[scenario]
        self._instance = instance
        meta = _read("meta.json")[scenario]
        self._numbers: Sequence[str] = meta["cont_names"]
        self._categories: Sequence[str] = meta["cat_names"]
        self._output = meta["y_names"].index(self._scenario.metric)
        self._codes: Mapping[str, Mapping[str, int]] = _read(scenario, "encoding.json")
        if instance not in self._codes[self._scenario.instance]:
            raise Missing(f"the surrogate {scenario} has no instance {instance}")
        known = _read("oracle.json")[f"{scenario}_{instance}"]
        self.best, self.median = known["opt"], known["ref"]
        hidden = {self._scenario.instance, self._scenario.fidelity["name"], *self._scenario.held}
        self.space = {**read_space(_read(scenario, "config_space.json"), hidden), "fidelity": self._scenario.fidelity}
        self._session = _session(scenario)

    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        return float(self.losses([config], fidelity)[0])

    def true(self, config: Config) -> float:
        return float(self.losses([config], None)[0])

    def true_all(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        return self.losses(configs, None)

    def losses(self, configs: Sequence[Config], fidelity: float | None) -> NDArray[np.float64]:
        """The losses of several configs at once."""
        axis = self._scenario.fidelity
        fixed = {
            **self._scenario.held,
            axis["name"]: axis["high"] if fidelity is None else fidelity,
            self._scenario.instance: self._instance,
        }
        rows = [{**config, **fixed} for config in configs]
        numbers = [[row.get(name, 0) for name in self._numbers] for row in rows]
        categories = [[self._codes[name][row.get(name, ABSENT)] for name in self._categories] for row in rows]
        inputs = {"x_cont": np.array(numbers, np.float32), "x_cat": np.array(categories, np.int32)}
        outputs: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return -outputs[:, self._output].astype(np.float64) / self._scenario.scale


def surrogate(scenario: str, instance: str) -> Surrogate:
    """The surrogate of one data set. Raises Missing without its files or without onnxruntime."""
    short = scenario.removeprefix("rbv2_")
    return Surrogate(f"{short}-{instance}", scenario, instance)


def read_space(written: Mapping[str, Any], hidden: set[str]) -> dict[str, Any]:
    """A ConfigSpace file (format 0.2) as a space on the wire, without the hidden parameters."""
    conditions: dict[str, dict[str, Any]] = {}
    for condition in written["conditions"]:
        operand = {"in": condition["values"]} if condition["type"] == "IN" else {"equals": condition["value"]}
        conditions[condition["child"]] = {"parameter": condition["parent"], **operand}
    parameters = []
    for hyperparameter in written["hyperparameters"]:
        name = hyperparameter["name"]
        if name in hidden:
            continue
        if hyperparameter["type"] == "categorical":
            parameter = {"type": "categorical", "choices": hyperparameter["choices"]}
        else:
            kind = hyperparameter["type"].removeprefix("uniform_")
            parameter = {"type": kind, "low": hyperparameter["lower"], "high": hyperparameter["upper"]}
            if hyperparameter["log"]:
                parameter["log"] = True
        when = {"when": conditions[name]} if name in conditions else {}
        parameters.append({"name": name, **parameter, **when})
    return {"parameters": parameters}


def _read(*parts: str) -> Any:
    return json.loads(data_file("yahpo", *parts).read_text())


def _session(scenario: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise Missing("the surrogates need onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a row at a time: threads only fight
    return onnxruntime.InferenceSession(str(data_file("yahpo", scenario, "model.onnx")), options)
