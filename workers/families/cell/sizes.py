"""How often the networks around cells halve the image, and where. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.families import halvings

STAGES = 3
REDUCING = ("darts", "nasnet")  # presets whose cells halve the sides; the others lie in stages


def reductions(layers: int) -> list[int]:
    """The cells of a network of DARTS, from 0, that halve the sides: at one and two thirds of the depth."""
    return sorted({layers // 3, 2 * layers // 3})


def halvings_of(factor: int) -> int:
    return factor.bit_length() - 1


def halved(settings: Mapping[str, Any], *, reducing: bool) -> int:
    """How often a network of `reducing` cells, or one in stages, halves the image."""
    return halvings_of(settings["stem"]) + (len(reductions(settings["layers"])) if reducing else STAGES - 1)


def objection(
    settings: Mapping[str, Any], shape: tuple[int, ...], *, reducing: bool, may_shrink: bool = True
) -> str | None:
    """Why the image [channels, height, width] is too small for stages, or for a network with `reducing` cells; None
    where it is not. `may_shrink`: a single layer would do, too, and is advised where that helps."""
    shorter = reducing and may_shrink
    remedy = "take layers 1, which has one reduction, or stem 1" if shorter else "take stem 1, or larger images"
    return halvings.objection(settings, shape, halved(settings, reducing=reducing), remedy)
