"""The study of these benchmarks: ten parameters of a usual training, one of them conditional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPACE: dict[str, Any] = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": True},
        {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam", "adamw"]},
        {
            "name": "momentum",
            "type": "float",
            "low": 0.0,
            "high": 0.99,
            "when": {"parameter": "optimizer", "equals": "sgd"},
        },
        {"name": "batch_size", "type": "int", "low": 16, "high": 512, "log": True},
        {"name": "layers", "type": "int", "low": 1, "high": 8},
        {"name": "width", "type": "int", "low": 16, "high": 1024, "log": True},
        {"name": "dropout", "type": "float", "low": 0.0, "high": 0.7},
        {"name": "activation", "type": "categorical", "choices": ["relu", "gelu", "tanh"]},
        {"name": "warmup", "type": "float", "low": 0.0, "high": 0.2},
    ]
}
METRIC = "loss"


NOOP = {"type": "function", "function": "noop"}
"""An objective that does nothing."""
EXTERNAL = {"type": "external"}
"""Workers outside take the runs."""


def study(name: str, objective: Mapping[str, Any], algorithm: str = "tpe", **more: Any) -> dict[str, Any]:
    """As it is submitted."""
    return {
        "name": name,
        "space": SPACE,
        "objective": dict(objective),
        "metrics": [{"name": METRIC, "direction": "minimize"}],
        "algorithm": {"name": algorithm},
        **more,
    }


def loss_of(config: dict[str, Any]) -> float:
    """Something to minimise, so that the search has something to do; best at a small rate of learning."""
    loss: float = (
        abs(float(config["lr"]) - 0.003) ** 0.5 + float(config["dropout"]) ** 2 / 4 + 1 / float(config["width"])
    )
    return loss
