"""Handwritten digits, 8×8 pixels of 17 shades; they come with scikit-learn."""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.rows import Dataset

DATASET = Dataset(
    name="digits",
    title="Handwritten digits, 8×8 pixels",
    tasks=("classification", "reconstruction", "density", "generation"),
    inputs="image",
    shape=(1, 8, 8),
    outputs=10,
    examples=1797,
    licence="CC BY 4.0",
    source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
    "1998 (its test part, as scikit-learn ships it)",
    loader="workers.data.sets.digits:load",
    sha256="8b3b6ae90863430bdef06a3f7d1ec2f6a905a53d3375655b18cf63780ad98772",
)


def load() -> Source:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Source(pixels, labels.astype(np.int64))
