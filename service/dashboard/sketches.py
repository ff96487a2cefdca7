"""Small drawings that need no script: a line of points as the `points` of an SVG polyline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.architecture_schemas import Pair

WIDTH, HEIGHT = 240, 64
SIDE = 220


def polyline(x: Sequence[float], y: Sequence[float], *, log_x: bool = False) -> str:
    """The points, fitted into WIDTH times HEIGHT; x from left to right, the largest y at the top. Empty without points.

    Values of y beyond four times the first one are cut off: how far a divergence goes is of no interest.
    """
    if not x:
        return ""
    across = [math.log(value) for value in x] if log_x else list(x)
    upper = 4 * abs(y[0]) if y[0] else math.inf
    up = [min(value, upper) for value in y]
    return " ".join(f"{WIDTH * u:.1f},{HEIGHT * (1 - v):.1f}" for u, v in zip(_unit(across), _unit(up), strict=True))


@dataclass(frozen=True)
class Scatter:
    """Points of pairs, the score to the right and the value upwards; with the ends of both axes."""

    points: Sequence[tuple[float, float, str]]
    scores: tuple[float, float]
    values: tuple[float, float]


def scatter(pairs: Sequence[Pair]) -> Scatter | None:
    """Fitted into SIDE times SIDE; None without pairs."""
    if not pairs:
        return None
    scores, values = [pair.score for pair in pairs], [pair.value for pair in pairs]
    told = [
        f"trial {pair.trial}: ranked {pair.rank}, score {pair.score:.4g}, reached {pair.value:.4g}" for pair in pairs
    ]
    points = [
        (round(SIDE * u, 1), round(SIDE * (1 - v), 1), text)
        for u, v, text in zip(_unit(scores), _unit(values), told, strict=True)
    ]
    return Scatter(points, (min(scores), max(scores)), (min(values), max(values)))


def _unit(values: Sequence[float]) -> list[float]:
    """Moved and scaled into [0, 1]."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]
