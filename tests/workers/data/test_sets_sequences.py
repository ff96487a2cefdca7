from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from workers.catalogue import DATASETS, Dataset, load
from workers.data.packages import require
from workers.data.sets import archive, series
from workers.protocol import Failure, FailureClass

ROWS = [*series.DATASETS, *archive.DATASETS]


PUBLISHED = {  # training examples
    "japanese_vowels": 270,
    "gunpoint": 50,
    "italy_power": 67,
    "arrow_head": 36,
    "basic_motions": 40,
    "osu_leaf": 200,
    "acsf1": 100,
}


def installed(row: Dataset) -> bool:
    return find_spec("statsmodels" if row in series.DATASETS else "aeon") is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_data_are_what_the_row_says(row: Dataset) -> None:
    if not installed(row):
        with pytest.raises(Failure, match="not installed"):
            load(row.loader)()
        return
    source = load(row.loader)()
    assert DATASETS[row.name] is row
    assert source.inputs.shape == (row.examples, *row.shape)
    assert source.inputs.dtype == np.float32
    assert source.digest() == row.sha256
    if row.tasks == ("forecasting",):
        assert source.targets.shape == (row.examples, row.outputs)
        assert source.targets.dtype == np.float32
        assert np.isfinite(source.targets).all()
    else:
        assert source.targets.dtype == np.int64
        assert np.array_equal(np.unique(source.targets), np.arange(row.outputs))


@pytest.mark.parametrize("row", archive.DATASETS, ids=lambda row: row.name)
def test_the_published_test_examples_stay_the_test(row: Dataset) -> None:
    if not installed(row):
        pytest.skip("aeon is not installed")
    source = load(row.loader)()
    split = source.split
    train = PUBLISHED[row.name]
    assert np.array_equal(split.test, np.arange(train, row.examples))
    assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), np.arange(train))
    assert abs(len(split.validation) - train / 4) <= 1
    for part in (split.train, split.validation):
        assert set(source.targets[part]) == set(range(row.outputs))


def test_a_window_ends_before_its_target() -> None:
    source = series.windows(np.array([1, 2, np.nan, 4, 5, 6], np.float32), steps=2)
    assert source.targets is not None
    assert source.targets.tolist() == [[4], [5], [6]]
    assert np.nan_to_num(source.inputs[:, :, 0], nan=-1).tolist() == [[2, -1], [-1, 4], [4, 5]]


def test_series_of_several_dimensions_are_read_and_end_together(tmp_path: Path) -> None:
    file = tmp_path / "some.ts"
    file.write_text("#comment\n@problemName some\n@data\n1,2,3:4,5,6:yes\n\n7:8:no\n", encoding="utf-8")
    examples = archive.parse(file)
    assert [label for _, label in examples] == ["yes", "no"]
    inputs = archive.aligned([values for values, _ in examples])
    assert inputs.shape == (2, 3, 2)
    assert inputs[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert np.isnan(inputs[1, :2]).all()
    assert inputs[1, 2].tolist() == [7, 8]


def test_a_missing_package_says_how_to_get_it() -> None:
    with pytest.raises(
        Failure, match=r"no_such_package, which is not installed here: pip install 'assay\[data\]'"
    ) as c:
        require("no_such_package", "data")
    assert c.value.failure is FailureClass.ERROR
    with pytest.raises(Failure, match="here: pip install --no-deps other"):
        require("no_such_package", command="pip install --no-deps other")


def test_a_package_is_found_without_being_imported() -> None:
    assert (require("numpy", "data") / "__init__.py").exists()
