"""Small drawings that need no script: a line of points as the `points` of an SVG polyline."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 240, 64


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


def _unit(values: Sequence[float]) -> list[float]:
    """Moved and scaled into [0, 1]."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]
