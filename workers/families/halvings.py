"""Which images are too small for a network that halves their sides. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def objection(settings: Mapping[str, Any], shape: tuple[int, ...], times: int, remedy: str) -> str | None:
    """Why an image [channels, height, width] cannot be halved so often: it has too few pixels, or a norm is left with
    single numbers: maps of one pixel, with norm batch in batches that may hold one example. None where it can."""
    _, height, width = shape
    least = 2**times
    if min(height, width) < least:
        return (
            f"the network halves the image {times} times, which takes {least}×{least} pixels at least, "
            f"not {height}×{width}: {remedy}"
        )
    one_pixel = max(height, width) < 2 * least
    few = settings["norm"] == "batch" and settings["batch_size"] < 3
    if one_pixel and (few or settings["norm"] == "instance"):
        need = f"a batch_size of 3 at least, not {settings['batch_size']}" if few else "more than one"
        return (
            f"halved {times} times, maps have one pixel each, and norm {settings['norm']} needs {need}: "
            f"take another norm, or {remedy}"
        )
    return None
