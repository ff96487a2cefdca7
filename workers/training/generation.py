"""How like the given examples the generated ones are: the scores of the task `generation`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

COMPARED = 1000  # examples and samples that are compared at most: all pairs are
NEAR = 5  # deviations within which a sample is on a mode
COVERED = 0.1  # of its share of the samples makes a mode found


def generation_scores(samples: Tensor, examples: Tensor, context: Mapping[str, Tensor]) -> dict[str, float]:
    """`samples` and `examples` [n, *shape] in the same units. `context` may have the true `modes` [k, d] of the
    examples' distribution, equally likely, and the `deviation` of the examples around them."""
    found, share = 0, 0.0
    if "modes" in context:
        found, share = coverage(samples.flatten(1), context["modes"], float(context["deviation"]))
    distance = energy_distance(_some(samples).flatten(1), _some(examples).flatten(1))
    return {"energy_distance": distance, "modes": float(found), "on_mode": share}


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of the distributions that put equal weight on the rows of x [n, d] and of
    y [m, d]: 0 where they are the same, else positive (G. Székely and M. Rizzo, Energy statistics, 2013).

    Samples of one distribution still differ by about (1/n + 1/m) E|X - X'|.
    """
    x, y = x.double(), y.double()
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def coverage(samples: Tensor, modes: Tensor, deviation: float) -> tuple[int, float]:
    """How many modes [k, d] have a tenth of their share of the samples [n, d], and the share of the samples that are on
    a mode. A sample belongs to the nearest mode, if that is within 5 deviations."""
    distance, nearest = torch.cdist(samples.double(), modes.double()).min(dim=1)
    on = distance <= NEAR * deviation
    counts = torch.bincount(nearest[on], minlength=len(modes))
    return int((counts >= COVERED * len(samples) / len(modes)).sum()), float(on.double().mean())


def _some(rows: Tensor) -> Tensor:
    """At most COMPARED rows, evenly spread."""
    step = -(-len(rows) // COMPARED)
    return rows[::step]
