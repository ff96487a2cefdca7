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
from workers.training.recipe.inputs import AUGMENTATION, PREPROCESSING, SEQUENCE_AUGMENTATION
from workers.training.recipe.regularization import (
    ADVERSARIAL,
    AVERAGING,
    DECAY,
    DROPOUT,
    EARLY_STOPPING,
    LABEL_SMOOTHING,
    NOISE,
)
from workers.training.recipe.units import ACTIVATION, HEAD, INIT, NORM, RBF, UNITS

__all__ = ["DEFAULT_LR", "EVERYTHING", "MODULES", "OFF", "Module", "hyperparameters_of"]

# The parts of the recipe; a family names those that it follows. `augmentation` is for images only, and
# `sequence_augmentation` for sequences. `units` is for families whose hidden layers are made by `blocks.dense` and
# `blocks.unit`, `rbf` for those that are by `dense` alone; `head` for those that `supervised` makes learners of.
Module = Literal[
    "optimizer",
    "schedule",
    "batch",
    "clip",
    "decay",
    "preprocessing",
    "init",
    "head",
    "activation",
    "norm",
    "units",
    "rbf",
    "dropout",
    "noise",
    "label_smoothing",
    "augmentation",
    "sequence_augmentation",
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
    "preprocessing": PREPROCESSING,
    "init": INIT,
    "head": HEAD,
    "activation": ACTIVATION,
    "norm": NORM,
    "units": UNITS,
    "rbf": RBF,
    "dropout": DROPOUT,
    "noise": NOISE,
    "label_smoothing": LABEL_SMOOTHING,
    "augmentation": AUGMENTATION,
    "sequence_augmentation": SEQUENCE_AUGMENTATION,
    "adversarial": ADVERSARIAL,
    "early_stopping": EARLY_STOPPING,
    "averaging": AVERAGING,
}

# what every family that descends on one loss of its own targets can follow
EVERYTHING: tuple[Module, ...] = tuple(name for name in MODULES if name not in ("units", "rbf"))

# what stands in the place of that which a family does not follow, or whose condition does not hold
OFF: Mapping[str, Any] = {each.name: each.off for module in MODULES.values() for each in module if each.off is not None}

ONLY_FOR: Mapping[str, str] = {"augmentation": "image", "sequence_augmentation": "sequence"}  # inputs, by module
NEEDED: Mapping[str, Module] = {"maxout": "units", "rbf": "rbf"}  # activations that not every layer can have


def hyperparameters_of(
    modules: Collection[Module], inputs: str, defaults: Mapping[str, Any]
) -> tuple[Hyperparameter, ...]:
    """Those of the modules for inputs of this kind (`workers.rows.Inputs`), with a family's own defaults in place of
    the recipe's."""
    fitting = [name for name in MODULES if name in modules and ONLY_FOR.get(name, inputs) == inputs]
    chosen = [each.for_inputs(inputs) for name in fitting for each in MODULES[name]]
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
