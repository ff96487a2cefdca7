"""CSV as RFC 4180 has it: commas, a header, UTF-8. The types are found out: of several that fit, the narrowest.

The file is read once and in pieces. Every column begins as the narrowest type that its first values fit, and is
widened when a later one does not: int, float, text; date, datetime, text; bool, text.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow

from service.datasets.schema import Column, Malformed, Schema, check_names
from service.datasets.summary import Summary

BLOCK_BYTES = 4 * 1024**2
"""How much is in memory at once; no row may be longer."""

TYPES: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "instant": pa.timestamp("us", "UTC"),  # with an offset from UTC
    "text": pa.string(),
}
WIDER = {"bool": "text", "int": "float", "float": "text", "date": "datetime", "datetime": "text", "instant": "text"}
_DATED = r"^\d{4}-\d{2}-\d{2}"
_SHAPES = {
    "bool": r"^(?i:true|false)$",
    "int": r"^[+-]?\d{1,19}$",
    "date": _DATED,
    "datetime": _DATED,
    "instant": _DATED,
}


def read_csv(path: Path) -> Schema:
    """Raises Malformed, with the line where that can be said."""
    try:
        with arrow.open_csv(
            path,
            read_options=arrow.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(column_types=_all_text(path), strings_can_be_null=True),
        ) as reader:
            check_names(reader.schema.names)
            columns = [_Column(name) for name in reader.schema.names]
            rows, last = 0, None
            for batch in reader:
                rows += batch.num_rows
                for column, values in zip(columns, batch.columns, strict=True):
                    column.add(values)
                last = batch if batch.num_rows else last
    except MemoryError:  # which Arrow's own is too
        raise
    except pa.ArrowException as error:
        raise Malformed(_explained(path, str(error))) from error
    if last is None:
        raise Malformed("there is a header, and no row after it")
    _check_quotes(path, last)
    return Schema(rows, [column.column() for column in columns])


class _Column:
    """A column whose type is still being found out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._type: str | None = None
        self._empty = 0
        self._summary: Summary | None = None

    def add(self, texts: pa.Array) -> None:
        if texts.null_count == len(texts):
            self._note_empty(len(texts))
            return
        if self._type is None:
            self._type = next(name for name in TYPES if _read(texts, name) is not None)
            self._summary = Summary(TYPES[self._type])
            self._summary.missing = self._empty
        while (values := _read(texts, self._type)) is None:
            self._widen()
        assert self._summary is not None
        self._summary.add(values, texts)

    def column(self) -> Column:
        if self._summary is None or self._type is None:
            return Column(self.name, "text", "string", missing=self._empty)
        return self._summary.column(self.name, str(TYPES[self._type]))

    def _note_empty(self, count: int) -> None:
        if self._summary is None:
            self._empty += count
        else:
            self._summary.missing += count

    def _widen(self) -> None:
        assert self._type is not None
        assert self._summary is not None
        self._type = WIDER[self._type]
        self._summary = self._summary.widened(TYPES[self._type])


def _read(texts: pa.Array, name: str) -> pa.Array | None:
    """The texts as values of this type; None when one of them is none."""
    shape = _SHAPES.get(name)
    if shape and not pc.all(pc.match_substring_regex(texts, shape)).as_py():
        return None
    try:
        return texts.cast(TYPES[name])
    except pa.ArrowInvalid:
        return None


def _all_text(path: Path) -> dict[str, pa.DataType]:
    """Every column as text: Arrow itself would fix the types by the first block, and refuse what comes after it."""
    return dict.fromkeys(_header(path), pa.string())


def _header(path: Path) -> list[str]:
    try:
        with arrow.open_csv(
            path,
            read_options=arrow.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=arrow.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip"),
            convert_options=arrow.ConvertOptions(check_utf8=False),
        ) as reader:
            names: list[str] = reader.schema.names
            return names
    except UnicodeDecodeError as error:
        raise Malformed("line 1: the header is not UTF-8") from error


def _check_quotes(path: Path, last: pa.RecordBatch) -> None:
    """A quote that is never closed takes everything up to the end of the file for one value."""
    value: Any = last.column(last.num_columns - 1)[-1].as_py()
    if not isinstance(value, str) or "\n" not in value:
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        if not file.read().rstrip().endswith(b'"'):
            lines = value.count("\n")
            raise Malformed(f"a quote is not closed: the last value begins with one and has {lines} lines")


def _explained(path: Path, message: str) -> str:
    """What Arrow found, with the line in the file."""
    if "UTF8" in message or "UTF-8" in message:
        return _not_utf8(path)
    if "straddling" in message or "out of sync" in message or "block boundaries" in message:
        return f"a row is longer than {BLOCK_BYTES} bytes; is a quote not closed?"
    if "Empty CSV" in message:
        return "there is a header, and no row after it" if path.stat().st_size else "the file is empty"
    _, found, rest = message.partition("Row #")
    number, _, what = rest.partition(": ")
    if found and number.isdecimal():
        line = _line_of_row(path, int(number))
        return f"line {line}: {_short(what)}" if line else f"row {number}: {_short(what)}"
    return _short(message)


def _line_of_row(path: Path, number: int) -> int | None:
    """The line in which a row begins, the header being row 1. Quoted values may have several lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            row, begin = 0, 1
            for cells in reader:
                row += bool(cells)  # empty lines are no rows
                if row == number:
                    return begin
                begin = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError):
        pass  # the number of the row has to do
    return None


def _not_utf8(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1}: this is not UTF-8, which CSV files must be"
    return "the file ends within a character: it is not UTF-8"


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}…"
