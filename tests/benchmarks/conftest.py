"""A data folder of our own with tiny tables in the layout of the real ones, and the real folder where it is."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tasks import Missing, load
from benchmarks.tasks.data import VARIABLE

MLP_SHAPE = (3, 3, 2, 3, 3, 5)


@pytest.fixture
def tiny_data(tmp_path, monkeypatch):
    """A folder with an MLP table of 162 configs and cells tables of the real size; named by the variable."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "tables").mkdir(parents=True)
    accuracy = rng.random(MLP_SHAPE).astype(np.float32)
    for name in ("vehicle", "segment"):
        np.savez(folder / "tables" / f"hpobench_{name}.npz", val_acc=accuracy, train_time=accuracy)
    edges = (5,) * 6
    full = rng.uniform(80, 90, (*edges, 3)).astype(np.float32)
    full[0, 0, 0, 0, 0, 0, 1] = np.nan
    cells = {"v200": full, "v12": rng.uniform(50, 70, edges), "t200": full[..., 0], "time200": np.full(edges, 2000.0)}
    for name in ("cifar10", "cifar100"):
        np.savez(folder / "tables" / f"nb201_{name}.npz", **cells)
    monkeypatch.setenv(VARIABLE, str(folder))
    load.cache_clear()
    yield folder
    load.cache_clear()


@pytest.fixture
def real_task():
    """Opens a real task, or skips with what is missing."""
    load.cache_clear()

    def open_task(name):
        try:
            return load(name)
        except Missing as missing:
            pytest.skip(str(missing))

    return open_task
