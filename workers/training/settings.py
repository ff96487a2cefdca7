"""From a config to all that a training reads: every hyperparameter of the family and of the recipe has a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.training.hyperparameters import Complement, Hyperparameter
from workers.training.recipe import DEFAULT_LR, OFF

Settings = Mapping[str, Any]


def resolve(hyperparameters: Iterable[Hyperparameter], config: Mapping[str, Any]) -> Settings:
    """The config's values in their own types, and defaults for the rest.

    What the family does not follow of the recipe is off, and so is what a condition rules out.
    """
    known = {each.name: each for each in hyperparameters}
    settings = {
        each.name: each.read(config.get(each.name, each.default))
        for each in known.values()
        if each.name in config or not each.optional
    }
    for each in known.values():
        if isinstance(each, Complement) and each.name not in config:
            settings[each.name] = 1 - float(settings[each.of])
    if "optimizer" in settings:
        if "lr" not in config and settings["optimizer"] != known["optimizer"].default:
            settings["lr"] = DEFAULT_LR[str(settings["optimizer"])]
        if "decay" in settings and "decay" not in config:
            settings["decay"] = "decoupled" if settings["optimizer"] == "adamw" else "l2"
    for each in known.values():
        if each.off is not None and not each.holds(settings):
            settings[each.name] = each.off
    return {**OFF, **settings}
