"""Eight Gaussians on a circle: what a generator that forgets modes cannot fit."""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.rows import Dataset

MODES, RADIUS, DEVIATION, EXAMPLES = 8, 2.0, 0.02, 10_000

DATASET = Dataset(
    name="ring",
    title="Eight Gaussians on a circle",
    tasks=("generation",),
    inputs="table",
    shape=(2,),
    outputs=MODES,
    examples=EXAMPLES,
    licence="none: drawn here",
    source="L. Metz, B. Poole, D. Pfau and J. Sohl-Dickstein, Unrolled generative adversarial networks, 2017: "
    "radius 2, deviation 0.02",
    loader="workers.data.sets.ring:load",
    sha256="7bca0d05f76b2b7d694ac8970d913768af001160e9afd6ec2f6f037b2934f8dc",
)


def load() -> Source:
    """Targets are the modes, equally many examples of each; the context has `modes` [8, 2] and `deviation`."""
    rng = np.random.Generator(np.random.Philox(8))
    angles = 2 * np.pi * np.arange(MODES) / MODES
    modes = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    which = np.arange(EXAMPLES) % MODES
    points = modes[which] + DEVIATION * rng.standard_normal((EXAMPLES, 2))
    context = {"modes": modes.astype(np.float32), "deviation": np.array(DEVIATION, dtype=np.float32)}
    return Source(points.astype(np.float32), which.astype(np.int64), context)
