"""The arithmetic of resources: what is left on a node, and how many more runs of a shape fit into it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

from workers.protocol import Resources

TOLERANCE = 1e-9  # ten runs of 0.1 GPU fill one GPU


def remaining(total: Resources, held: Iterable[Resources]) -> Resources:
    """What is left of `total` beside what the runs or workers in `held` have taken."""
    cpus, gpus = total.cpus, total.gpus
    for shape in held:
        cpus, gpus = cpus - shape.cpus, gpus - shape.gpus
    return Resources(cpus, gpus)


def places(free: Resources, shape: Resources) -> int:
    """How many runs of this shape fit into what is free; any number of a shape that takes nothing."""
    return min(_times(free.cpus, shape.cpus), _times(free.gpus, shape.gpus))


def _times(free: float, wanted: float) -> int:
    return max(0, math.floor(free / wanted + TOLERANCE)) if wanted > 0 else sys.maxsize
