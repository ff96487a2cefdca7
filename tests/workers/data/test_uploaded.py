from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spaces.errors import InvalidInput
from workers.data.uploaded import encoded, load, read_columns, row_of, table_of


def column(name: str, type_: str, distinct: int | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "missing": 0, "distinct": distinct, "categories": None, "shape": None, **more}


SIZE = column("size", "float", 20)
KIND = column("kind", "text", 3, categories=["b", "a", "c"], missing=1)
OLD = column("old", "bool", 2, categories=[False, True])


def table(target: dict[str, Any], *columns: dict[str, Any], rows: int = 20) -> dict[str, Any]:
    return {
        "name": "t",
        "sha256": "0" * 64,
        "format": "csv",
        "target": target["name"],
        "rows": rows,
        "columns": [*columns, target],
    }


@pytest.mark.parametrize(
    ("target", "tasks", "outputs"),
    [
        (column("y", "text", 3, categories=["u", "v", "w"]), ("classification",), 3),
        (column("y", "int", 7), ("classification",), 7),
        (column("y", "int", 900), ("regression", "uncertainty"), 1),
        (column("y", "float", None), ("regression", "uncertainty"), 1),
    ],
)
def test_the_target_says_the_task(target: dict[str, Any], tasks: tuple[str, ...], outputs: int) -> None:
    row = row_of(table(target, SIZE, KIND, OLD))
    assert (row.tasks, row.outputs, row.inputs, row.shape) == (tasks, outputs, "table", (5,))
    assert row.splitting == ("stratified" if tasks == ("classification",) else "random")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (table(column("y", "int", 2), column("when", "date", 20)), "'when' is date"),
        (table(column("y", "int", 2), column("id", "text", None)), "'id' is text with too many values"),
        (table(column("y", "text", None), SIZE), "must be a number, or have 2 to 50 values"),
        (table(column("y", "int", 2)), "no column beside the target"),
        (table(column("y", "int", 2, missing=15), SIZE), "5 rows with a target"),
        ({**table(column("y", "int", 2), SIZE), "target": None}, "no target column"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(reference: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        row_of(reference)


def test_a_table_becomes_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [("1.5", "a", "true", "v"), ("", "b", "false", "u"), ("3", "", "true", "w"), ("4", "c", "true", "")] * 5
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("size", "kind", "old", "y"), *rows])
    target = column("y", "text", 3, categories=["u", "v", "w"], missing=5)
    reference = {**table(target, SIZE, KIND, OLD), "url": str(path)}
    row = row_of(reference)
    source = load(row.place)
    assert source.inputs.shape == (15, 5) == (row.examples, *row.shape)
    nan = np.nan
    expected = [[1.5, 1, 0, 0, 1], [nan, 0, 1, 0, 0], [3, nan, nan, nan, 1]]
    assert np.array_equal(source.inputs[:3], np.array(expected, dtype=np.float32), equal_nan=True)
    assert source.targets is not None
    assert source.targets[:3].tolist() == [1, 0, 2]
    known = table_of(row)
    assert known is not None
    assert known["classes"] == ["u", "v", "w"]
    assert json.loads(json.dumps(known)) == known


@pytest.mark.parametrize(("shape", "inputs"), [((30, 4), "table"), ((30, 5, 2), "sequence"), ((30, 1, 6, 6), "image")])
def test_arrays_are_inputs_and_targets(shape: tuple[int, ...], inputs: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    values = np.arange(np.prod(shape)).reshape(shape) % 256
    np.savez(path, inputs=values.astype(np.uint8), targets=np.arange(30) % 3)
    reference = {
        "name": "a",
        "sha256": "0" * 64,
        "format": "npz",
        "target": None,
        "rows": 30,
        "url": str(path),
        "columns": [column("inputs", "int", None, shape=list(shape)), column("targets", "int", 3, shape=[30])],
    }
    row = row_of(reference)
    assert (row.inputs, row.shape, row.outputs) == (inputs, shape[1:], 3)
    source = load(row.place)
    assert source.inputs.shape == shape
    assert source.inputs.max() <= (1 if len(shape) > 2 else 255)
    assert source.targets is not None
    assert source.targets.dtype == np.int64


def test_arrays_must_belong_to_each_other() -> None:
    columns = [column("inputs", "float", None, shape=[30, 4]), column("targets", "int", 3, shape=[29])]
    reference = {"name": "a", "sha256": "0", "format": "npz", "target": None, "rows": 30, "columns": columns}
    with pytest.raises(InvalidInput, match="as many examples"):
        row_of(reference)
    with pytest.raises(InvalidInput, match="needs arrays inputs and targets"):
        row_of({**reference, "columns": columns[:1]})


def test_values_are_read_as_they_were_found_to_be_and_unknown_ones_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    times, codes = ["12:30", "13:00"], ["1", "2", "a"]
    rows = [(times[i % 2], codes[i % 3], i) for i in range(30)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("time", "code", "y"), *rows])
    kinds = [column("time", "text", 2, categories=times), column("code", "text", 3, categories=codes)]
    reference = {**table(column("y", "int", None), *kinds, rows=30), "url": str(path)}
    inputs = load(row_of(reference).place).inputs
    assert (inputs.sum(axis=1) == 2).all(), "each text is one of those that are known"
    numbers = tmp_path / "new.csv"
    numbers.write_text("time,code\n12:30,2\n99:99,1\n")  # where nothing says that codes are texts
    found = encoded(kinds, read_columns(numbers, "csv", kinds))
    assert np.array_equal(found, [[1, 0, 0, 1, 0], [np.nan, np.nan, 1, 0, 0]], equal_nan=True)
