"""The learning rate over a training: a factor between 0 and 1 of the rate `lr`.

Progress is measured against the highest fidelity, not against the end of the current run. A training that pauses at 3
epochs and goes on to 27 therefore follows the same curve as one that never paused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

USUAL_BATCH = 64  # the batch size that `lr` is meant for, where it is linked to the batch


def lr_factor(settings: Mapping[str, Any], progress: float) -> float:
    """The factor at `progress`, the fraction of all steps that are done, in [0, 1).

    Rises linearly during `warmup`, then follows the schedule. Cosine and sgdr are those of I. Loshchilov and F. Hutter,
    SGDR: stochastic gradient descent with warm restarts, 2017, without and with restarts. What plateau does follows
    from the scores (`workers.training.course`).
    """
    warmup = settings["warmup"]
    if progress < warmup:
        return float(progress / warmup)
    t = (progress - warmup) / (1 - warmup)
    final = settings.get("final_lr", 1.0)
    match settings["schedule"]:
        case "constant" | "plateau":
            factor = 1.0
        case "linear":
            factor = 1 - (1 - final) * min(1.0, t / settings.get("lr_until", 1.0))
        case "cosine":
            factor = cosine(final, t)
        case "sgdr":
            factor = cosine(final, cycle(settings, t)[1])
        case "exponential":
            factor = final**t
        case "polynomial":
            factor = final + (1 - final) * (1 - t) ** settings["lr_power"]
        case "inverse":
            factor = (1 + settings["lr_decay_speed"] * t) ** -settings.get("lr_decay_power", 1.0)
        case "step":
            drops = settings["lr_drops"]
            factor = settings["lr_drop"] ** math.floor(t * (drops + 1))
        case unknown:
            raise AssertionError(f"no schedule {unknown!r}")
    return float(factor)


def cosine(final: float, t: float) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * t)) / 2


def cycle(settings: Mapping[str, Any], t: float) -> tuple[int, float]:
    """The number of the cycle (from 0) at the fraction t of the time after the warm-up, and the part of it that is
    done. At the very end all cycles are done."""
    growth, cycles = settings["cycle_growth"], settings["cycles"]
    lengths = [growth**i for i in range(cycles)]
    left = t * sum(lengths)
    for number, length in enumerate(lengths):
        if left < length - 1e-9:
            return number, max(0.0, left / length)
        left -= length
    return cycles, 0.0


def cycles_done(settings: Mapping[str, Any], progress: float) -> int:
    """How many cycles have ended at this progress."""
    warmup = settings["warmup"]
    return cycle(settings, max(0.0, (progress - warmup) / (1 - warmup)))[0] if warmup < 1 else 0


def batch_size(settings: Mapping[str, Any], progress: float) -> int:
    """Grows after each third of the training, where a schedule would lower the learning rate (S. Smith et al., Don't
    decay the learning rate, increase the batch size, 2018)."""
    return int(settings["batch_size"] * settings["batch_growth"] ** math.floor(min(progress, 1 - 1e-9) * 3))


def link(settings: Mapping[str, Any]) -> float:
    """What the batch size makes of the learning rate: as large steps per example (linear: P. Goyal et al. 2017), or as
    large a deviation of the weights (sqrt: A. Krizhevsky 2014)."""
    ratio: float = settings["batch_size"] / USUAL_BATCH
    return {"none": 1.0, "sqrt": math.sqrt(ratio), "linear": ratio}[settings["lr_link"]]
