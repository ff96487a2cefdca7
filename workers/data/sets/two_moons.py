"""Two half circles that interlock, with noise: a density that no Gaussian fits, two classes that no line divides."""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.rows import Dataset

EXAMPLES, NOISE = 4000, 0.1

DATASET = Dataset(
    name="two_moons",
    title="Two moons",
    tasks=("classification", "density", "generation"),
    inputs="table",
    shape=(2,),
    outputs=2,
    examples=EXAMPLES,
    licence="none: drawn here",
    source="the shape of scikit-learn's make_moons, deviation 0.1",
    loader="workers.data.sets.two_moons:load",
    sha256="36351be63f63a2820572c6d069c8c6c9aeeadaaf72f5b9c1c4651ebee69588d8",
)


def load() -> Source:
    """Targets are the moons, equally many examples of each."""
    rng = np.random.Generator(np.random.Philox(2))
    moon = np.arange(EXAMPLES) % 2
    angle = np.pi * rng.random(EXAMPLES)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.where(moon[:, None] == 0, upper, lower) + NOISE * rng.standard_normal((EXAMPLES, 2))
    return Source(points.astype(np.float32), moon.astype(np.int64))
