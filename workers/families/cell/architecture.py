"""From settings to the architecture that they describe, and the hyperparameters that describe it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces.architectures import ARCHITECTURES, Architecture, of_config
from spaces.values import Value
from workers.training.hyperparameters import Choice

NAME = "cell"  # the name that the architecture has in a space of this family
PRESETS = ("nas-bench-201", "darts", "nasnet", "hierarchical")
USUAL = "sep_conv_3x3"  # what edges do where nothing else is said


def choices() -> tuple[Choice, ...]:
    """The preset, and every choice of every preset."""
    found: dict[str, Choice] = {}
    for name in PRESETS:
        for gene in ARCHITECTURES[name](NAME).genes:
            full = f"{NAME}.{gene.rest}"
            assert full not in found, f"two presets have {full}"
            busy = [choice for choice in gene.choices if choice != "none"]
            found[full] = Choice(
                name=full,
                default=gene.default or (USUAL if USUAL in busy else busy[0]),
                choices=gene.choices,
                when={"parameter": NAME, "equals": name},
                optional=True,
                help=f"of {name}: what the cell has there",
            )
    preset = Choice(name=NAME, default=PRESETS[0], choices=PRESETS, help="what kind of cell it is")
    return (preset, *found.values())


def architecture_of(settings: Mapping[str, Any]) -> tuple[Architecture, dict[str, Value]]:
    """The architecture with its config. Smaller ones are told by the names that the settings have; where these are not
    all of one architecture, the others have their defaults.

    Raises InvalidInput where the settings have names that no architecture of their preset has.
    """
    preset = settings[NAME]
    named = {name: value for name, value in settings.items() if str(name).startswith(f"{NAME}.")}
    config = {NAME: preset, **named}
    found = of_config(config)
    if found is not None:
        return found, config
    usual = {each.name: each.default for each in choices() if each.when == {"parameter": NAME, "equals": preset}}
    whole = ARCHITECTURES[preset](NAME)
    config = {NAME: preset, **{name: named.get(name, default) for name, default in usual.items()}}
    return whole, config
