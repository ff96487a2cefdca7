"""What is found out about an uploaded file: good ones, damaged ones, and ones that were made to do harm."""

from __future__ import annotations

import csv
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datasets import csv_file
from service.datasets.child import inspect
from service.datasets.csv_file import read_csv
from service.datasets.inspection import inspected
from service.datasets.npz_file import read_npz
from service.datasets.parquet_file import read_parquet
from service.datasets.schema import MOST_COLUMNS, MOST_DISTINCT, Column, Malformed, Schema

RAN = "ran"


class Evil:
    """What writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (RAN,)


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(RAN).exists(), "code from an uploaded file was executed"


def table(tmp_path: Path, text: str | bytes) -> Schema:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_csv(path)


def column(tmp_path: Path, *values: str) -> Column:
    return table(tmp_path, "x,y\n" + "".join(f"{value},0\n" for value in values)).columns[0]


@pytest.mark.parametrize(
    ("values", "type_", "low", "high"),
    [
        (["1", "-2", "3"], "int", -2, 3),
        (["1", "2.5"], "float", 1.0, 2.5),
        (["1", "1e-3"], "float", 0.001, 1.0),
        (["9223372036854775807", "1"], "int", 1, 2**63 - 1),
        (["9223372036854775808", "1"], "float", 1.0, float(2**63)),
        (["inf", "1"], "float", 1.0, 1.0),
        (["0x10", "1"], "text", None, None),
        (["true", "False"], "bool", None, None),
        (["true", "1"], "text", None, None),
        (["2020-01-31", "2019-12-01"], "date", "2019-12-01", "2020-01-31"),
        (["2020-01-31", "2020-01-31 10:00"], "datetime", "2020-01-31T00:00:00", "2020-01-31T10:00:00"),
        (["2020-01-31T10:00:00+02:00"], "datetime", "2020-01-31T08:00:00+00:00", "2020-01-31T08:00:00+00:00"),
        (["2020-02-30"], "text", None, None),
        (["12:30"], "text", None, None),
        (["a", "1"], "text", None, None),
    ],
)
def test_the_narrowest_type_is_found(tmp_path: Path, values: list[str], type_: str, low: Any, high: Any) -> None:
    found = column(tmp_path, *values)
    assert (found.type, found.low, found.high) == (type_, low, high)
    assert column(tmp_path, *values[::-1]).type == type_, "whatever comes first"


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    assert column(tmp_path, "", "NA", "1", "nan", "2").missing == 3
    empty = column(tmp_path, "", "", "")
    assert (empty.type, empty.missing, empty.distinct) == ("text", 3, None)


def test_few_values_are_told_and_many_are_counted_up_to_a_bound(tmp_path: Path) -> None:
    few = column(tmp_path, *"abcab")
    assert (few.distinct, few.categories) == (3, ["a", "b", "c"])
    assert column(tmp_path, "True", "false", "true").categories == [False, True]
    assert column(tmp_path, *map(str, range(MOST_DISTINCT))).distinct == MOST_DISTINCT
    assert column(tmp_path, *map(str, range(MOST_DISTINCT + 1))).distinct is None
    assert column(tmp_path, "a" * 500, "b" * 500).categories is None


def test_a_later_block_may_widen_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
    rows = [*range(1000), "", 0.5, *range(1000, 1500), "x"]
    found = table(tmp_path, "a,b\n" + "".join(f"{value},{i}\n" for i, value in enumerate(rows)))
    assert found.rows == len(rows)
    assert (found.columns[0].type, found.columns[0].missing) == ("text", 1)
    assert (found.columns[1].type, found.columns[1].low, found.columns[1].high) == ("int", 0, len(rows) - 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,4,5\n", "line 3: Expected 2 columns, got 3"),
        ('a,b\n1,"x\ny"\n\n3\n', "line 5: Expected 2 columns, got 1"),
        (b"a,b\n1,2\n\xff,1\n", "line 3, byte 1: this is not UTF-8"),
        (b"\xff\xfea,b\n1,2\n", "the header is not UTF-8"),
        ('a,b\n1,"2\n3,4\n', "a quote is not closed"),
        ("", "the file is empty"),
        ("a,b\n", "no row after it"),
        ("a,b", "no row after it"),
        ("a,a\n1,2\n", "the name of column 2, 'a', is that of another"),
        (",".join("ab" * MOST_COLUMNS) + "\n", "columns; at most"),
        (f"{'x' * 300},b\n1,2\n", "the name of column 1 has 300 characters"),
    ],
)
def test_a_malformed_table_is_refused_with_the_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        table(tmp_path, content)


def test_the_line_is_right_far_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
    with pytest.raises(Malformed, match="line 5002: Expected 2 columns, got 3"):
        table(tmp_path, "a,b\n" + "1,2\n" * 5000 + "1,2,3\n")


def test_a_quote_that_is_not_closed_does_not_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
    with pytest.raises(Malformed, match="a row is longer than 1000 bytes"):
        table(tmp_path, 'a,b\n1,"2\n' + "3,4\n" * 5000)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.data())
def test_whatever_python_writes_as_csv_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    width = data.draw(st.integers(2, 4))
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8))
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([f"c{i}" for i in range(width)])
    writer.writerows(rows)
    found = table(tmp_path_factory.mktemp("csv"), text.getvalue())
    assert found.rows == len(rows)
    assert [one.name for one in found.columns] == [f"c{i}" for i in range(width)]


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_malformed(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(content)
    for read in (read_csv, read_parquet, read_npz):
        try:
            assert read(path).rows >= 1
        except Malformed:
            continue


def test_parquet_is_read_by_its_own_types(tmp_path: Path) -> None:
    values = pa.table(
        {
            "i": pa.array([1, 2, None], pa.int32()),
            "f": [0.5, float("nan"), float("inf")],
            "t": ["x", "y", "x"],
            "d": pa.array(["u", "v", "u"]).dictionary_encode(),
            "l": [[1], [2, 3], None],
            "b": [b"1", b"2", b"3"],
        }
    )
    parquet.write_table(values, tmp_path / "t.parquet")
    i, f, t, d, l_, b = read_parquet(tmp_path / "t.parquet").columns
    assert (i.type, i.stored, i.missing, i.low, i.high, i.distinct) == ("int", "int32", 1, 1, 2, 2)
    assert (f.type, f.missing, f.low, f.high) == ("float", 1, 0.5, 0.5)
    assert (t.categories, d.categories) == (["x", "y"], ["u", "v"])
    assert (l_.type, l_.missing) == ("other", 1)
    assert (b.type, b.distinct) == ("binary", None)


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-10], lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"PAR1" * 9]
)
def test_damaged_parquet_is_refused(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Malformed, match="no Parquet file that can be read"):
        read_parquet(path)


def test_parquet_with_a_pickled_type_runs_nothing(tmp_path: Path) -> None:
    """Older versions of Arrow unpickled what a file named as the type of a column."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Evil()),
    }
    fields = pa.schema([pa.field("a", pa.int64(), metadata=metadata)])
    parquet.write_table(pa.table({"a": [1, 2]}, schema=fields), tmp_path / "evil.parquet")
    assert read_parquet(tmp_path / "evil.parquet").rows == 2


def test_arrays_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.datasets.npz_file.PIECE_BYTES", 1001)
    images = np.random.default_rng(0).normal(size=(50, 7, 3)).astype("f4")
    images[0, 0] = np.nan, np.inf, 9
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(50), names=np.array(["a", "bc"]), one=np.array(5))
    found = read_npz(tmp_path / "a.npz")
    assert found.rows == 50
    x, y, names, one = found.columns
    assert (x.type, x.stored, x.shape, x.missing, x.high) == ("float", "float32", [50, 7, 3], 1, 9.0)
    assert x.low == float(np.nanmin(images))
    assert (y.type, y.low, y.high) == ("int", 0, 49)
    assert (names.type, names.shape) == ("text", [2])
    assert one.shape == []


def test_arrays_of_objects_are_refused_without_reading_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", x=np.array([Evil()], dtype=object))
    with pytest.raises(Malformed, match="array 'x' holds Python objects, which only pickle can read"):
        read_npz(tmp_path / "evil.npz")


def test_a_pickle_instead_of_an_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Evil()))
    with pytest.raises(Malformed, match="the header cannot be read"):
        read_npz(tmp_path / "evil.npz")
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(Malformed):
        read_npz(tmp_path / "plain.npz")


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", b"12345678"), "should have 3 values"),
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", b"1" * 20), "should have 1 values"),
        ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "should have -1 values|header"),
        ("x.npy", npy("__import__('os').mkdir('ran')"), "the header cannot be read"),
        ("x.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "holds Python objects"),
        ("x.npy", npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (0,)}"), "has the type"),
        ("../../x.txt", b"hello", "is no array"),
    ],
)
def test_arrays_that_are_not_what_they_say_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(name, content)
    with pytest.raises(Malformed, match=message):
        read_npz(tmp_path / "a.npz")


def test_a_damaged_archive_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(1000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[3000] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(Malformed, match="CRC"):
        read_npz(tmp_path / "a.npz")


def test_a_file_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    found = inspected(tmp_path / "a.csv", "csv")
    assert found == read_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("a,b\n1\n")
    with pytest.raises(Malformed, match="line 2"):
        inspected(tmp_path / "a.csv", "csv")


def test_a_file_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    """A small file that holds one text of 400 MB."""
    values = pa.table({"a": ["x" * 400_000_000]})
    parquet.write_table(values, tmp_path / "bomb.parquet", compression="zstd", write_statistics=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    with pytest.raises(Malformed, match=r"too much memory|cannot be read"):
        inspected(tmp_path / "bomb.parquet", "parquet", memory_mb=300)
    parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "small.parquet")
    assert inspected(tmp_path / "small.parquet", "parquet", memory_mb=300).rows == 1


def test_a_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "long.npz", x=np.zeros(2_000_000_000, dtype="u1"))
    with pytest.raises(Malformed, match=r"CPU time|takes longer"):
        inspected(tmp_path / "long.npz", "npz", seconds=1)


def test_what_a_child_answers_is_json(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    told = inspect("csv", tmp_path / "a.csv")["schema"]
    assert Schema.from_json(told).to_json() == told
    assert "malformed" in inspect("npz", tmp_path / "a.csv")
