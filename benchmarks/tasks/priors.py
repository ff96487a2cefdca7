"""What an expert might believe about a task: a prior around a config that is nearly the best one, or far from it.

The modes, in the unit cube of the space: good = best + N(0, 0.01), medium = best + N(0, 0.125), bad = the worst of
20,000 random configs; the confidence is medium. Every repetition draws its own good and medium mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.tasks import load
from benchmarks.tasks.task import Config, Task
from search import stream
from spaces import Space

QUALITIES: Mapping[str, float | None] = {"good": 0.01, "medium": 0.125, "bad": None}
"""The spread of the mode around the best config; None is the worst config."""

CONFIDENCE = "medium"
SAMPLE = 20_000
CLIMB = tuple(sd for sd in (0.1, 0.03, 0.01, 0.003) for _ in range(30))  # spreads of the steps to the best config
CLIMBERS = 200


class Extremes(NamedTuple):
    """The best and the worst config that are known of a task."""

    best: Config
    worst: Config


def with_prior(task: Task, quality: str, seed: int) -> dict[str, Any]:
    """The task's space with a prior on every parameter."""
    space, spread = Space.from_json(task.space), QUALITIES[quality]
    mode = extremes(task.name).worst
    if spread is not None:
        point = space.encode(extremes(task.name).best)
        noise = stream(seed, 0, f"{task.name}/prior/{quality}").normal(0, spread, len(point))
        mode = space.decode(np.clip(point + noise, 0, 1))
    return {
        **task.space,
        "parameters": [
            {**parameter, "prior": {"mode": mode[parameter["name"]], "confidence": CONFIDENCE}}
            for parameter in task.space["parameters"]
        ],
    }


@cache
def extremes(name: str) -> Extremes:
    """Of a random sample; unless the best is known, it is improved by small steps from the best of the sample."""
    task = load(name)
    space, rng = Space.from_json(task.space), np.random.default_rng(0)
    sample = [space.sample(rng) for _ in range(SAMPLE)]
    losses = task.true_all(sample)
    best, worst = sample[int(losses.argmin())], sample[int(losses.argmax())]
    if task.known_best is not None:
        return Extremes(task.known_best, worst)
    least = losses.min()
    for spread in CLIMB:
        steps = space.encode(best) + rng.normal(0, spread, (CLIMBERS, len(space)))
        near = [space.decode(np.clip(step, 0, 1)) for step in steps]
        losses = task.true_all(near)
        if losses.min() < least:
            least, best = losses.min(), near[int(losses.argmin())]
    return Extremes(best, worst)
