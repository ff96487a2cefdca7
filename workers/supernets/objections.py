"""Why there is nothing to search, as far as can be told before anything is built: studies are checked by it when they
are created, and searches before they begin. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spaces.architectures import OneShot
from workers.families.cell.sizes import REDUCING, objection, reductions
from workers.rows import Facts
from workers.supernets.methods import Method
from workers.training.settings import Settings

DRAWS = 100  # of architectures, by which a space in which nothing connects is told


def objections(
    architecture: OneShot, method: Method, settings: Settings, options: Mapping[str, Any], facts: Facts
) -> Iterator[tuple[str, str]]:
    """Each with the name of the option, hyperparameter, architecture or dataset that it is about. `settings` are those
    of the supernet (`workers.supernets.recipe`)."""
    layers, channels, partial = settings["layers"], settings["channels"], options.get("partial", 1)
    reducing = architecture.preset in REDUCING
    if reason := _untrainable(architecture):
        yield architecture.name, f"no architecture of the space can be trained: {reason}"
    if settings["norm"] == "weight":
        yield "norm", "a supernet's operations are compared by what they answer: norm batch, group or layer"
    if reducing and layers == len(reductions(layers)):
        yield "layers", f"with layers {layers} there is no normal cell to search: take 3 at least"
    elif reason := objection(settings, facts.shape, reducing=reducing, may_shrink=False):
        yield "stem" if settings["stem"] > 1 else "dataset", reason
    if method.mixture == "partial" and channels % partial:
        fitting = ", ".join(str(k) for k in range(1, channels + 1) if channels % k == 0)
        yield (
            "partial",
            f"partial {partial} mixes one channel in {partial}, and {channels} channels cannot be divided by that: take"
            f" one of {fitting}, or other channels",
        )
    if options.get("cost") == "multiply_adds" and not _multiplies(architecture, reducing):
        yield (
            "cost",
            "no operation that the space leaves multiplies, so there is no cost to weigh: cost latency or none",
        )


def _untrainable(architecture: OneShot) -> str | None:
    """Why none can be trained, as far as draws tell."""
    draws = np.random.default_rng(0)
    reasons = (architecture.objection(architecture.sample(draws)) for _ in range(DRAWS))
    first = next(reasons)
    return first if first is not None and all(reasons) else None


def _multiplies(architecture: OneShot, reducing: bool) -> bool:
    """Whether an operation that is left is a convolution; a skip is one where it halves the sides."""
    for kind, cell in architecture.supercells.items():
        for (edge, op), left in np.ndenumerate(architecture.masks[kind]):
            halves = reducing and kind == "reduce" and cell.edges[edge][0] < cell.inputs
            if left and ("conv" in cell.ops[op] or (halves and cell.ops[op] == "skip_connect")):
                return True
    return False
