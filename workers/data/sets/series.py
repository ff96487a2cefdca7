"""Forecasting sets: from windows of a series, one step at a time, its next value. The series come with statsmodels.

A window is `steps` values long and ends just before its target; the next window starts one value later. The split is by
time: the last fifth of the targets is the test. The only overlap is that inputs of later windows were targets of
earlier ones, as for every forecaster that knows the past.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from workers.data.packages import require
from workers.data.source import Source
from workers.rows import Dataset

Series = npt.NDArray[np.float32]

_row = partial(
    Dataset,
    tasks=("forecasting",),
    inputs="sequence",
    outputs=1,
    licence="public domain",
    splitting="time",
    needs="pip install 'assay[data]'",
)

DATASETS = (
    _row(
        name="sunspots",
        title="Sunspots, yearly means 1700-2008",
        shape=(24, 1),
        examples=285,
        source="World Data Center SILSO and the National Geophysical Data Center, as statsmodels ships it",
        loader="workers.data.sets.series:sunspots",
        sha256="d10668d93bcd5a7e5aa7696a1b32f183f82b683462a5a738671422dce2d2aa05",
    ),
    _row(
        name="co2",
        title="Carbon dioxide at Mauna Loa, weekly changes 1958-2001, ppm",
        shape=(52, 1),
        examples=2173,
        source="C. Keeling and T. Whorf, Scripps Institution of Oceanography, 2004, as statsmodels ships it",
        loader="workers.data.sets.series:co2",
        sha256="ecda7b7572dd764b7a5214b407b1771369d0dc8915db16f43f8141af2d4193be",
    ),
    _row(
        name="elnino",
        title="El Niño, monthly sea surface temperatures 1950-2010, °C",
        shape=(24, 1),
        examples=708,
        source="Climate Prediction Center, National Oceanic and Atmospheric Administration, as statsmodels ships it",
        loader="workers.data.sets.series:elnino",
        sha256="a5557b607f9ea6dc38f265428efd89924945b38e781661d769025b49b2d88c51",
    ),
)


def sunspots() -> Source:
    return windows(_read("sunspots", lambda row: [row[1]]), steps=24)


def elnino() -> Source:
    return windows(_read("elnino", lambda row: row[1:]), steps=24)


def co2() -> Source:
    """Weekly changes, since the level only rises: what comes last would be unlike anything before. 59 weeks were not
    measured; the changes to and from them are missing in the windows, and are no targets."""
    return windows(np.diff(_read("co2", lambda row: [row[1]])), steps=52)


def windows(series: Series, steps: int) -> Source:
    """[n, steps, 1] and the values that follow, [n, 1]; windows before a missing value are left out."""
    inputs = np.lib.stride_tricks.sliding_window_view(series[:-1], steps)
    targets = series[steps:]
    known = ~np.isnan(targets)
    return Source(inputs[known][:, :, None].copy(), targets[known][:, None].copy())


def _read(name: str, values: Callable[[list[str]], list[str]]) -> Series:
    """The numbers of a table, row by row; an empty field is missing."""
    file = require("statsmodels", "data") / "datasets" / name / f"{name}.csv"
    with file.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return np.array([value or "nan" for row in rows for value in values(row)], dtype=np.float32)
