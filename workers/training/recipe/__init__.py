"""The training recipe: the hyperparameters that all trained families share, in modules.

`minimal` is what nearly every study wants to search (learning rate, weight decay, batch size, dropout); `standard` adds
the optimizer, the schedule, normalization, initialization, activation, label smoothing, clipping and augmentation;
`everything` is all that there is. Torch-free.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

from workers.training.hyperparameters import Choice, Hyperparameter
from workers.training.recipe.descent import BATCH, CLIP, DEFAULT_LR, OPTIMIZER, SCHEDULE
from workers.training.recipe.images import AUGMENTATION
from workers.training.recipe.regularization import (
    ADVERSARIAL,
    AVERAGING,
    DECAY,
    DROPOUT,
    EARLY_STOPPING,
    LABEL_SMOOTHING,
    NOISE,
)
from workers.training.recipe.units import ACTIVATION, INIT, NORM, RBF, UNITS

__all__ = ["DEFAULT_LR", "EVERYTHING", "MODULES", "OFF", "Module", "hyperparameters_of"]

# The parts of the recipe; a family names those that it follows. `augmentation` is for images only. `units` is for
# families whose hidden layers are made by `blocks.dense` and `blocks.unit`, `rbf` for those that are by `dense` alone.
Module = Literal[
    "optimizer",
    "schedule",
    "batch",
    "clip",
    "decay",
    "init",
    "activation",
    "norm",
    "units",
    "rbf",
    "dropout",
    "noise",
    "label_smoothing",
    "augmentation",
    "adversarial",
    "early_stopping",
    "averaging",
]

MODULES: Mapping[Module, tuple[Hyperparameter, ...]] = {
    "optimizer": OPTIMIZER,
    "schedule": SCHEDULE,
    "batch": BATCH,
    "clip": CLIP,
    "decay": DECAY,
    "init": INIT,
    "activation": ACTIVATION,
    "norm": NORM,
    "units": UNITS,
    "rbf": RBF,
    "dropout": DROPOUT,
    "noise": NOISE,
    "label_smoothing": LABEL_SMOOTHING,
    "augmentation": AUGMENTATION,
    "adversarial": ADVERSARIAL,
    "early_stopping": EARLY_STOPPING,
    "averaging": AVERAGING,
}

# what every family that descends on one loss of its own targets can follow
EVERYTHING: tuple[Module, ...] = tuple(name for name in MODULES if name not in ("units", "rbf"))

# what stands in the place of that which a family does not follow, or whose condition does not hold
OFF: Mapping[str, Any] = {each.name: each.off for module in MODULES.values() for each in module if each.off is not None}

NEEDED: Mapping[str, Module] = {"maxout": "units", "rbf": "rbf"}  # activations that not every layer can have


def hyperparameters_of(
    modules: Collection[Module], images: bool, defaults: Mapping[str, Any]
) -> tuple[Hyperparameter, ...]:
    """Those of the modules, with a family's own defaults in place of the recipe's."""
    chosen = [
        each for name in MODULES if name in modules and (images or name != "augmentation") for each in MODULES[name]
    ]
    names = {each.name for each in chosen}
    return tuple(_fitted(each, modules, names, defaults) for each in chosen)


def _fitted(
    each: Hyperparameter, modules: Collection[Module], names: Collection[str], defaults: Mapping[str, Any]
) -> Hyperparameter:
    """Without a condition on what the family does not have, and without activations that its layers cannot have."""
    if each.when is not None and each.when["parameter"] not in names:
        each = replace(each, when=None)
    if isinstance(each, Choice) and each.name == "activation":
        each = replace(each, choices=tuple(c for c in each.choices if NEEDED.get(str(c), "init") in {*modules, "init"}))
    return replace(each, default=defaults.get(each.name, each.default))
