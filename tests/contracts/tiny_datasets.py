"""One dataset of each kind of inputs, as small as can be: what every family is put through in seconds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workers.catalogue import Dataset, Family
from workers.data.source import Source

SIZE = 90


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def table() -> Source:
    inputs = _rng().normal(size=(SIZE, 5))
    return Source(inputs.astype(np.float32), (inputs[:, 0] > 0).astype(np.int64) + (inputs[:, 1] > 0))


def numbers() -> Source:
    inputs = _rng().normal(size=(SIZE, 5))
    return Source(inputs.astype(np.float32), (inputs @ [[1.0], [2.0], [0.0], [-1.0], [0.5]]).astype(np.float32))


def images() -> Source:
    labels = _rng().integers(3, size=SIZE)
    pixels = _rng().uniform(size=(SIZE, 1, 8, 8))
    pixels[np.arange(SIZE), 0, labels] = 1
    return Source(pixels.astype(np.float32), labels)


def masks() -> Source:
    pixels = _rng().uniform(size=(SIZE, 1, 16, 16)).astype(np.float32)
    return Source(pixels, (pixels[:, 0] > 0.5).astype(np.int64))


def sequences() -> Source:
    labels = _rng().integers(2, size=SIZE)
    steps = _rng().normal(size=(SIZE, 12, 3)) + labels[:, None, None]
    steps[::3, :4] = np.nan  # shorter ones begin later
    return Source(steps.astype(np.float32), labels)


def series() -> Source:
    wave = np.sin(np.arange(SIZE + 8) / 3).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(wave, 9)[:SIZE]
    return Source(windows[:, :8, None].copy(), windows[:, 8:].copy())


def text() -> Source:
    return Source(_rng().integers(7, size=2000))


def graph() -> Source:
    labels = np.arange(SIZE) % 3
    pairs = [(i, j) for i in range(SIZE) for j in range(i) if (i - j) % 3 == 0 and i - j < 12]
    edges = np.array(pairs, dtype=np.int64).T
    return Source(np.arange(SIZE), labels, {"edges": np.concatenate([edges, edges[::-1]], axis=1)})


def ratings() -> Source:
    pairs = np.stack([_rng().integers(12, size=400), _rng().integers(9, size=400)], axis=1)
    stars = (3 + pairs[:, :1] / 6 - pairs[:, 1:] / 9).astype(np.float32)
    features = _rng().integers(2, size=(9, 4)).astype(np.float32)
    return Source(pairs, stars, {"features": features})


def _row(name: str, tasks: tuple[str, ...], inputs: str, source: Source, outputs: int, **more: object) -> Dataset:
    return Dataset(
        name=name,
        title=name,
        tasks=tasks,
        inputs=inputs,  # type: ignore[arg-type]
        shape=source.inputs.shape[1:],
        outputs=outputs,
        examples=len(source.inputs),
        licence="none",
        source="drawn",
        loader=f"{__name__}:{name}",
        sha256=source.digest(),
        **more,  # type: ignore[arg-type]
    )


UNSUPERVISED = ("reconstruction", "density", "generation")
TINY: Mapping[str, Dataset] = {
    row.name: row
    for row in (
        _row("table", ("classification", *UNSUPERVISED), "table", table(), 3),
        _row("numbers", ("regression", "uncertainty"), "table", numbers(), 1, splitting="random"),
        _row("images", ("classification", *UNSUPERVISED), "image", images(), 3),
        _row("masks", ("segmentation",), "image", masks(), 2, splitting="random"),
        _row("sequences", ("classification",), "sequence", sequences(), 2),
        _row("series", ("forecasting",), "sequence", series(), 1, splitting="time"),
        _row("text", ("language",), "text", text(), 7, splitting="time"),
        _row("graph", ("classification",), "graph", graph(), 3, splitting="few", labels=5, sizes={"nodes": SIZE}),
        _row(
            "ratings",
            ("rating",),
            "ratings",
            ratings(),
            1,
            splitting="random",
            sizes={"users": 12, "items": 9, "features": 4, "levels": 6},
        ),
    )
}


def first_for(family: Family, datasets: Mapping[str, Dataset]) -> list[tuple[str, Dataset]]:
    """For every task of the family the first of the datasets that serves it."""
    found = {}
    for dataset in datasets.values():
        task = family.task_on(dataset)
        if task is not None:
            found.setdefault((task.name, dataset.inputs), dataset)
    return [(task, dataset) for (task, _), dataset in found.items()]
