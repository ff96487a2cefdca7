"""The hyperparameters that descend: the floats of a space. They move in its unit cube, where a range on a log scale is
even in the logarithm, and stay in it by projection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spaces import Space
from spaces.domain import Interval
from spaces.values import Config


@dataclass(frozen=True)
class Tuned:
    names: tuple[str, ...]
    ranges: tuple[Interval, ...]

    @classmethod
    def of(cls, space: Space) -> Tuned:
        """All floats without a step."""
        found = [(each.name, each.domain) for each in space if isinstance(each.domain, Interval)]
        return cls(tuple(name for name, _ in found), tuple(interval for _, interval in found))

    def places(self, config: Config) -> Tensor:
        """[names] in the unit cube, float64."""
        pairs = zip(self.names, self.ranges, strict=True)
        return torch.tensor([interval.to_unit(config[name]) for name, interval in pairs], dtype=torch.float64)

    def values(self, places: Tensor) -> dict[str, float]:
        """Within their bounds, wherever the places are."""
        units: list[float] = places.tolist()
        return {n: interval.from_unit(u) for n, interval, u in zip(self.names, self.ranges, units, strict=True)}

    def stretched(self, slopes: Mapping[str, float], places: Tensor) -> Tensor:
        """Derivatives by the places [names], from those by the values."""
        values = self.values(places)
        return torch.tensor(
            [
                slopes[name] * (values[name] * math.log(each.high / each.low) if each.log else each.high - each.low)
                for name, each in zip(self.names, self.ranges, strict=True)
            ],
            dtype=torch.float64,
        )
