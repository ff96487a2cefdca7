"""The learning rate over a training: a factor between 0 and 1 of the rate `lr`.

Progress is measured against the highest fidelity, not against the end of the current run. A training that pauses at 3
epochs and goes on to 27 therefore follows the same curve as one that never paused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def lr_factor(settings: Mapping[str, Any], progress: float) -> float:
    """The factor at `progress`, the fraction of all steps that are done, in [0, 1).

    Rises linearly during `warmup`, then follows the schedule. The cosine is that of I. Loshchilov and F. Hutter, SGDR:
    stochastic gradient descent with warm restarts, 2017, without restarts.
    """
    warmup = settings["warmup"]
    if progress < warmup:
        return float(progress / warmup)
    t = (progress - warmup) / (1 - warmup)
    final = settings["final_lr"]
    match settings["schedule"]:
        case "constant":
            factor = 1.0
        case "linear":
            factor = 1 - (1 - final) * t
        case "cosine":
            factor = final + (1 - final) * (1 + math.cos(math.pi * t)) / 2
        case "exponential":
            factor = final**t
        case "polynomial":
            factor = final + (1 - final) * (1 - t) ** settings["lr_power"]
        case "inverse":
            factor = 1 / (1 + settings["lr_decay_speed"] * t)
        case "step":
            drops = settings["lr_drops"]
            factor = settings["lr_drop"] ** math.floor(t * (drops + 1))
        case unknown:
            raise AssertionError(f"no schedule {unknown!r}")
    return float(factor)
