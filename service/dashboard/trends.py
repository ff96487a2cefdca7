"""How numbers of the reports of one run went, epoch by epoch: lines of a small drawing, WIDTH times HEIGHT."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 160, 56

Step = tuple[float, Mapping[str, Any]]
"""The step of a report, and its metrics."""


@dataclass(frozen=True)
class Scale:
    """From the lower edge of a drawing to the upper one."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float], decades: float = math.inf) -> Scale:
        """From the least value to the largest; logarithmic where all are positive and further apart than this."""
        low, high = min(values), max(values)
        return cls(low, high, low > 0 and math.log10(high / low) > decades)

    def y(self, value: float) -> float:
        """From 0 at the upper edge to HEIGHT; what lies beyond an edge is drawn on it."""
        low, high, at = self._read(self.low), self._read(self.high), self._read(min(max(value, self.low), self.high))
        return round(HEIGHT * (1 - (at - low) / max(high - low, 1e-12)), 1)

    @property
    def grid(self) -> Sequence[float]:
        """The y of lines within that help to read it: powers of ten, or quarters."""
        if not self.log:
            return [round(HEIGHT * quarter / 4, 1) for quarter in (1, 2, 3)]
        powers = (10.0**power for power in range(math.ceil(math.log10(self.low)), math.ceil(math.log10(self.high))))
        return [self.y(power) for power in powers if power > self.low]

    def _read(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class Trend:
    name: str
    points: str
    first: float
    last: float


def known(name: str, steps: Sequence[Step]) -> Iterator[tuple[float, float]]:
    """The steps that tell this metric, and what they tell."""
    for step, metrics in steps:
        if isinstance(value := metrics.get(name), int | float):
            yield step, float(value)


def trend(name: str, steps: Sequence[Step]) -> Trend | None:
    found = list(known(name, steps))
    if not found:
        return None
    values = [value for _, value in found]
    return Trend(name, points([step for step, _ in found], values, Scale.around(values)), values[0], values[-1])


def points(
    steps: Sequence[float], values: Sequence[float], scale: Scale, across: tuple[float, float] | None = None
) -> str:
    """Those of a polyline; `across` are the steps at the left and the right edge, the first and the last for None."""
    left, right = across or (steps[0], steps[-1])
    return " ".join(f"{x(step, left, right):g},{scale.y(value):.1f}" for step, value in zip(steps, values, strict=True))


def x(step: float, left: float, right: float) -> float:
    return round(WIDTH * (step - left) / max(right - left, 1e-12), 1)
