"""What the workers of the chaos runs optimize: a pure function, so that everybody can say what a number must be.

Imports only the standard library: the workers are programs of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

HIGHEST = 9
"""The highest fidelity, in steps."""
LEASE_SECONDS = 2.5
"""Of an attempt."""


def loss(config: Mapping[str, Any], step: float) -> float:
    """What a run reports after a step."""
    x, y = config["x0"], config["x1"]
    return float((x - 1) ** 2 + (y - 2) ** 2 + (1 - step / HIGHEST) ** 2 * (5 + math.sin(3 * x + y)))


def fate(config: Mapping[str, Any], attempt: int) -> str | None:
    """How an attempt at a config fails in a study with failures; None when it does not.

    `infeasible` and `diverged` are the config's own; `error` and `preempted` may go well the next time.
    """
    of_config = _draw(config)
    if of_config < 0.05:
        return "infeasible"
    if of_config < 0.1:
        return "diverged"
    of_attempt = _draw(config, attempt)
    if of_attempt < 0.1:
        return "error"
    return "preempted" if of_attempt < 0.2 else None


def _draw(config: Mapping[str, Any], *more: int) -> float:
    """A number in [0, 1)."""
    text = json.dumps([dict(config), *more], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
