"""Handwritten digits, magnified, on textures: which pixel is ink?

Every image has one to three digits, bright or dark, on stripes, checks, bricks, clouds or grain. All is drawn from one
seed. Ink is computed with integers and pixels are rounded to bytes, so that every processor makes the same bytes.
A digit is in images of one split alone: those of the test show digits that no training has seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from workers.data.source import Array, Source
from workers.data.splits import Split
from workers.rows import Dataset

SIDE = 32
SMALLEST, LARGEST = 12, 24  # sides of a digit on the image, in pixels
PARTS = (1200, 400, 400)  # training, validation, test
SEED = 0

DATASET = Dataset(
    name="digit_scenes",
    title="Handwritten digits on textures, 32×32 pixels",
    tasks=("segmentation",),
    inputs="image",
    shape=(1, SIDE, SIDE),
    outputs=2,
    examples=sum(PARTS),
    licence="CC BY 4.0",
    source="generated from E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
    "Repository, 1998 (its test part, as scikit-learn ships it); classes: background, digit",
    loader="workers.data.sets.digit_scenes:load",
    sha256="6111ba0f728b0f2f69ce11cc2e6377278fa0534d795fd8c0c15d82238ee2d7c2",
    splitting="drawn",
)


def load() -> Source:
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(SEED)
    digits = rng.permutation(load_digits().images.astype(np.int64))  # [n, 8, 8], ink from 0 to 16
    pools = np.split(digits, np.cumsum(PARTS)[:-1] * len(digits) // sum(PARTS))
    scenes = [scene(rng, pool) for pool, size in zip(pools, PARTS, strict=True) for _ in range(size)]
    images, masks = (np.stack(column) for column in zip(*scenes, strict=True))
    ends = np.cumsum((0, *PARTS))
    train, validation, test = (np.arange(ends[i], ends[i + 1]) for i in range(3))
    return Source(images, masks, split=Split(train, validation, test))


def scene(rng: np.random.Generator, digits: Array) -> tuple[Array, Array]:
    """An image [1, 32, 32] and the class of its pixels [32, 32], with some of the digits [n, 8, 8]."""
    pixels = texture(rng)
    mask = np.zeros((SIDE, SIDE), dtype=np.int64)
    for _ in range(rng.integers(1, 4)):
        side = int(rng.integers(SMALLEST, LARGEST + 1))
        top, left = rng.integers(0, SIDE - side + 1, size=2)
        place = slice(top, top + side), slice(left, left + side)
        ink, full = magnified(digits[rng.integers(len(digits))], side)
        tone = rng.choice([0.0, 0.8]) + 0.2 * rng.random()
        pixels[place] += ink / full * (tone - pixels[place])
        mask[place] |= 2 * ink >= full
    pixels += 0.1 * (rng.random((SIDE, SIDE)) - 0.5)
    rounded = np.rint(255 * pixels.clip(0, 1)).astype(np.float32) / 255
    return rounded[None].astype(np.float32), mask


def magnified(digit: Array, side: int) -> tuple[Array, int]:
    """The ink [side, side] of a digit [8, 8] by bilinear interpolation, in whole numbers; and what full ink is."""
    source, rest = np.divmod(8 * (2 * np.arange(side) + 1) - side, 2 * side)
    weights = np.zeros((side, 8), dtype=np.int64)  # times 2 side, every row sums to 1
    np.add.at(weights, (np.arange(side), source.clip(0, 7)), 2 * side - rest)
    np.add.at(weights, (np.arange(side), (source + 1).clip(0, 7)), rest)
    return weights @ digit @ weights.T, 16 * (2 * side) ** 2


def texture(rng: np.random.Generator) -> Array:
    """[32, 32] about 0.5, at most 0.3 away from it."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    pattern = PATTERNS[rng.integers(len(PATTERNS))](rng, y, x)
    return 0.5 + (0.1 + 0.2 * rng.random()) * pattern


def stripes(rng: np.random.Generator, y: Array, x: Array) -> Array:
    return np.sin(_wave(rng, y, x, 3, 12))


def checks(rng: np.random.Generator, y: Array, x: Array) -> Array:
    side = rng.integers(2, 7)
    return np.where((y // side + x // side) % 2, 1.0, -1.0)


def bricks(rng: np.random.Generator, y: Array, x: Array) -> Array:
    height = rng.integers(4, 9)
    shifted = x + (y // height % 2) * height  # every other course is shifted by half a brick
    return np.where((y % height == 0) | (shifted % (2 * height) == 0), 1.0, -0.5)


def clouds(rng: np.random.Generator, y: Array, x: Array) -> Array:
    return sum((np.sin(_wave(rng, y, x, 12, 60)) for _ in range(4)), np.zeros_like(y)) / 4


def grain(rng: np.random.Generator, y: Array, x: Array) -> Array:
    return 2 * rng.random(y.shape) - 1


PATTERNS: tuple[Callable[[np.random.Generator, Array, Array], Array], ...] = (stripes, checks, bricks, clouds, grain)


def _wave(rng: np.random.Generator, y: Array, x: Array, shortest: float, longest: float) -> Array:
    """The phase of a plane wave of random direction, length (in pixels) and start."""
    angle, start, length = rng.random(3) * (math.tau, math.tau, longest - shortest)
    phase: Array = math.tau * (x * math.cos(angle) + y * math.sin(angle)) / (shortest + length) + start
    return phase
