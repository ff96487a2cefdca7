"""Handwritten digits, 8×8 pixels of 17 shades; they come with scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from workers.data.source import Source


def load() -> Source:
    images, labels = load_digits(return_X_y=True)
    pixels = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Source(pixels, labels.astype(np.int64))
