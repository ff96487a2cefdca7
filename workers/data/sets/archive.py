"""Time series to classify, from the archive of the universities of East Anglia and California (UCR/UEA). The package
aeon has these few of them as files, which are read without it.

The split into training and test is the published one. For validation a quarter of the training examples is set aside,
each class in proportion, always the same ones.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workers.data.packages import require
from workers.data.source import Source
from workers.data.splits import Split
from workers.rows import Dataset

Series = npt.NDArray[np.float32]  # [steps, dimensions]

NEEDS = "pip install --no-deps aeon"  # it would bring a lot that is not wanted here
QUARTER = 4  # one training example in so many is for validation

_row = partial(
    Dataset,
    tasks=("classification",),
    inputs="sequence",
    licence="not stated; free for research",
    splitting="drawn",
    needs=NEEDS,
)

DATASETS = (
    _row(
        name="japanese_vowels",
        title="Nine speakers say the vowels ae, 7 to 29 frames of 12 cepstral coefficients",
        shape=(29, 12),
        outputs=9,
        examples=640,
        licence="CC BY 4.0",
        source="M. Kudo, J. Toyama and M. Shimbo, Multidimensional curve classification using passing-through regions, "
        "1999; UEA archive, as aeon ships it",
        loader="workers.data.sets.archive:japanese_vowels",
        sha256="cf3c272571eaa11b4b63238015b56fc0b4d0f81cc409570904545d5796078dff",
    ),
    _row(
        name="gunpoint",
        title="A hand draws a gun or points with a finger: its position, 150 frames",
        shape=(150, 1),
        outputs=2,
        examples=200,
        source="C. Ratanamahatana and E. Keogh, Everything you know about dynamic time warping is wrong, 2004; UCR "
        "archive, as aeon ships it",
        loader="workers.data.sets.archive:gunpoint",
        sha256="72abe661f3d38703b0e198edc6c4f36e528259f29dee156f2dc199ae6931b9b3",
    ),
    _row(
        name="italy_power",
        title="Italian power demand of a day, by hour: winter or summer",
        shape=(24, 1),
        outputs=2,
        examples=1096,
        source="E. Keogh, L. Wei, X. Xi, S. Lonardi, J. Shieh and S. Sirowy, Intelligent icons, 2006; UCR archive, as "
        "aeon ships it",
        loader="workers.data.sets.archive:italy_power",
        sha256="c8c9e2768f81a73ee0592977bb5a5609fe1d3e3e622dca4431af81bb628af74a",
    ),
    _row(
        name="arrow_head",
        title="Outlines of arrow heads of three kinds, 251 points",
        shape=(251, 1),
        outputs=3,
        examples=211,
        source="L. Ye and E. Keogh, Time series shapelets, 2009; UCR archive, as aeon ships it",
        loader="workers.data.sets.archive:arrow_head",
        sha256="4cd0260dc8aaa254eb40416477faaf0f7c6b66f357831a7dd3a9024f579dbb67",
    ),
    _row(
        name="basic_motions",
        title="Standing, running, walking or badminton: 100 readings of a watch's accelerometer and gyroscope",
        shape=(100, 6),
        outputs=4,
        examples=80,
        source="J. Clements, 2016; UEA archive, as aeon ships it",
        loader="workers.data.sets.archive:basic_motions",
        sha256="2b293b8ecacf04314713422f4992a9f0653e2624996441b06a9b27696eb7eb03",
    ),
    _row(
        name="osu_leaf",
        title="Outlines of leaves of six species, 427 points",
        shape=(427, 1),
        outputs=6,
        examples=442,
        source="A. Gandhi, Content-based image retrieval: plant species identification, 2002; UCR archive, as aeon "
        "ships it",
        loader="workers.data.sets.archive:osu_leaf",
        sha256="742986a01292fbce25db150f7818201b5ccf029a89924f73c51730cfc3a4c452",
    ),
    _row(
        name="acsf1",
        title="Power that ten kinds of appliances draw, 1460 readings",
        shape=(1460, 1),
        outputs=10,
        examples=200,
        source="C. Gisler, A. Ridi, D. Zufferey, O. Khaled and J. Hennebert, Appliance consumption signature database, "
        "2013; UCR archive, as aeon ships it",
        loader="workers.data.sets.archive:acsf1",
        sha256="92f15bf061680f36db6faff8f64a060fb0c3315a0f3e2015bf03fddba14f6d30",
    ),
)


def read(name: str) -> Source:
    """The published training examples come first, then those of the test."""
    folder = require("aeon", command=NEEDS) / "datasets" / "data" / name
    train, test = parse(folder / f"{name}_TRAIN.ts"), parse(folder / f"{name}_TEST.ts")
    series = [values for values, _ in train + test]
    labels, classes = np.unique([label for _, label in train + test], return_inverse=True)
    assert len(labels) == len({label for _, label in train}), f"{name}: a class is in the test only"
    targets = classes.astype(np.int64)
    published = Split(np.arange(len(train)), np.arange(0), np.arange(len(train), len(targets)))
    return Source(aligned(series), targets, split=published.fold(targets, seed=0, number=0, folds=QUARTER))


def parse(file: Path) -> list[tuple[Series, str]]:
    """The series of a .ts file with their labels. A line is `1.0,2.0,...:3.0,...:label`, the dimensions one by one."""
    examples = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#@":
            *dimensions, label = line.split(":")
            values = [np.array(dimension.split(","), dtype=np.float32) for dimension in dimensions]
            examples.append((np.stack(values, axis=1), label.strip()))
    return examples


def aligned(series: list[Series]) -> npt.NDArray[np.float32]:
    """[examples, steps of the longest, dimensions]: all end together, and shorter ones begin with NaN."""
    steps, dimensions = max(map(len, series)), series[0].shape[1]
    inputs = np.full((len(series), steps, dimensions), np.nan, dtype=np.float32)
    for row, values in zip(inputs, series, strict=True):
        row[steps - len(values) :] = values
    return inputs


japanese_vowels = partial(read, "JapaneseVowels")
gunpoint = partial(read, "GunPoint")
italy_power = partial(read, "ItalyPowerDemand")
arrow_head = partial(read, "ArrowHead")
basic_motions = partial(read, "BasicMotions")
osu_leaf = partial(read, "OSULeaf")
acsf1 = partial(read, "ACSF1")
