"""From a config to all that a training reads: every hyperparameter of the family has a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.training.hyperparameters import Hyperparameter
from workers.training.recipe import DEFAULT_LR

Settings = Mapping[str, Any]


def resolve(hyperparameters: Iterable[Hyperparameter], config: Mapping[str, Any]) -> Settings:
    """The config's values in their own types, and defaults for the rest."""
    settings: dict[str, Any] = {each.name: each.read(config.get(each.name, each.default)) for each in hyperparameters}
    if "lr" not in config and "optimizer" in settings:
        settings["lr"] = DEFAULT_LR[settings["optimizer"]]
    return settings
