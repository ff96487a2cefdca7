"""Pictures of clothes in ten classes, 28×28 grey pixels: all 70,000, and the first 10,000 for small machines.

They come in the Debian package dataset-fashion-mnist, in the IDX format of MNIST: a big-endian header of 32-bit words
(a magic number, then one length per axis), then bytes.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np

from workers.data.source import Array, Source
from workers.data.splits import Indices, Split
from workers.protocol import Failure, FailureClass
from workers.rows import Dataset

FOLDER = Path("/usr/share/datasets/fashion-mnist")
PER_CLASS = 1000  # images of each class that are taken from the training part for validation
FEW = 10_000

FULL = Dataset(
    name="fashion_mnist",
    title="Fashion-MNIST, 70,000 pictures of clothes",
    tasks=("classification", "reconstruction", "density", "generation"),
    inputs="image",
    shape=(1, 28, 28),
    outputs=10,
    examples=70_000,
    licence="MIT",
    source="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning "
    "algorithms, 2017 (its own test part is the test split)",
    loader="workers.data.sets.fashion_mnist:load",
    sha256="0c49509924ed350db8bfd2c882288460157040ae7aff47ae4a3315c098f115c3",
    splitting="drawn",
    needs="apt install dataset-fashion-mnist",
)
FIRST = replace(
    FULL,
    name="fashion_10k",
    title="Fashion-MNIST, the first 10,000 pictures of clothes",
    examples=FEW,
    source="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017 (the beginning of its training part)",
    loader="workers.data.sets.fashion_mnist:load_first",
    sha256="e5cb87d18af952f36e1bd8d85b2108786d839a2d5c458eeb9b3e78dcbaaadea3",
    splitting="stratified",
)
DATASETS = (FULL, FIRST)


def load() -> Source:
    images, labels = _part("train")
    test_images, test_labels = _part("t10k")
    rng = np.random.default_rng(0)  # the same validation part for everybody, as the test part is
    classes = [np.flatnonzero(labels == label) for label in range(FULL.outputs)]
    validation: Indices = np.sort(np.concatenate([rng.permutation(each)[:PER_CLASS] for each in classes]))
    split = Split(
        np.setdiff1d(np.arange(len(labels)), validation),
        validation,
        np.arange(len(labels), len(labels) + len(test_labels)),
    )
    return Source(np.concatenate([images, test_images]), np.concatenate([labels, test_labels]), split=split)


def load_first() -> Source:
    images, labels = _part("train", FEW)
    return Source(images, labels)


def _part(name: str, examples: int | None = None) -> tuple[Array, Array]:
    """Images [n, 1, 28, 28] and labels [n] of the published part; all, or the first ones."""
    pixels = _idx(FOLDER / f"{name}-images-idx3-ubyte.gz")[:examples]
    labels = _idx(FOLDER / f"{name}-labels-idx1-ubyte.gz")[:examples]
    return pixels[:, None].astype(np.float32) / 255, labels.astype(np.int64)


def _idx(path: Path) -> Array:
    """The array of bytes in an IDX file."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as missing:
        message = f"Fashion-MNIST comes in a Debian package: {FULL.needs} ({path} is not there)"
        raise Failure(FailureClass.ERROR, message) from missing
    axes = content[3]  # the magic number ends with how many axes there are
    lengths = np.frombuffer(content, ">u4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(lengths)
