"""The arithmetic of resources: what is left on a node, and how many more runs of a shape fit into it."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from dataclasses import dataclass

from workers.protocol import Resources

TOLERANCE = 1e-9  # ten runs of 0.1 GPU fill one GPU


@dataclass(frozen=True, slots=True)
class Room:
    """What is free on a node: CPUs, and the share of each GPU.

    A share below 1 is of one GPU: halves of two GPUs do not make one. Above 1 they are whole.
    """

    cpus: float
    gpus: tuple[float, ...] = ()

    @classmethod
    def of(cls, total: Resources) -> Room:
        """An empty node."""
        return cls(total.cpus, (1.0,) * int(total.gpus))

    def without(self, shape: Resources, gpus: Collection[int]) -> Room:
        """What is left beside a worker of this shape that has its share of these GPUs."""
        share = min(1.0, shape.gpus)
        left = tuple(free - share if index in gpus else free for index, free in enumerate(self.gpus))
        return Room(self.cpus - shape.cpus, left)

    def choose(self, shape: Resources) -> tuple[int, ...]:
        """The GPUs for a worker of this shape, for which there must be room: as Ray does, a share goes where least is
        left, so that whole GPUs stay whole."""
        share, count = min(1.0, shape.gpus), math.ceil(shape.gpus - TOLERANCE)
        fitting = [index for index, free in enumerate(self.gpus) if _times(free, share)]
        assert len(fitting) >= count, "there is room"
        return tuple(sorted(sorted(fitting, key=lambda index: self.gpus[index])[:count]))

    def places(self, shape: Resources) -> int:
        """How many runs of this shape fit; any number of a shape that takes nothing."""
        return min(_times(self.cpus, shape.cpus), self._places_on_gpus(shape.gpus))

    def _places_on_gpus(self, wanted: float) -> int:
        if wanted <= 0:
            return sys.maxsize
        if wanted < 1:
            return sum(_times(free, wanted) for free in self.gpus)
        return sum(_times(free, 1.0) for free in self.gpus) // math.ceil(wanted - TOLERANCE)


def _times(free: float, wanted: float) -> int:
    return max(0, math.floor(free / wanted + TOLERANCE)) if wanted > 0 else sys.maxsize
