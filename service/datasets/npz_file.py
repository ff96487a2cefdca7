"""NPZ, as `numpy.savez` writes it: arrays by name. Pickled objects are refused, and nothing is ever unpickled.

Of every array the header is read, then the values in pieces; so the size of an array does not matter, and a file that
was cut off or damaged is noticed (the checksums of the archive are verified).
"""

from __future__ import annotations

import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from service.datasets.schema import MOST_DISTINCT, Column, Malformed, Schema, Type, check_names

PIECE_BYTES = 4 * 1024**2
MAX_HEADER = 10_000

_TYPES: dict[str, Type] = {
    "b": "bool",
    "i": "int",
    "u": "int",
    "f": "float",
    "c": "other",
    "S": "binary",
    "U": "text",
    "M": "datetime",
    "m": "other",
}


def read_npz(path: Path) -> Schema:
    """Raises Malformed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                if not member.filename.endswith(".npy"):
                    raise Malformed(f"{member.filename!r} is no array, and an NPZ file has nothing else")
            names = [member.filename.removesuffix(".npy") for member in members]
            check_names(names)
            columns = []
            for name, member in zip(names, members, strict=True):
                with archive.open(member) as file:
                    columns.append(_array(name, file))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Malformed(f"this is no NPZ file that can be read: {error}") from error
    return Schema(max(column.shape[0] if column.shape else 1 for column in columns), columns)


def _array(name: str, file: IO[bytes]) -> Column:
    try:
        shape, dtype = _header(file)
    except ValueError as error:
        raise Malformed(f"array {name!r}: the header cannot be read: {error}") from error
    if dtype.hasobject:
        raise Malformed(f"array {name!r} holds Python objects, which only pickle can read: save numbers or texts")
    if dtype.kind not in _TYPES or dtype.itemsize == 0:
        raise Malformed(f"array {name!r} has the type {dtype}: arrays of numbers, texts and times are taken")
    low, high, missing, distinct = _scan(name, file, dtype, prod(shape))
    found = {"missing": missing, "low": low, "high": high, "distinct": distinct if len(shape) == 1 else None}
    return Column(name, _TYPES[dtype.kind], str(dtype), shape=list(shape), **found)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file, MAX_HEADER)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file, MAX_HEADER)
    else:
        raise ValueError(f"its version is {version}")
    return shape, dtype


def _scan(name: str, file: IO[bytes], dtype: np.dtype[Any], count: int) -> tuple[Any, Any, int, int | None]:
    """The least and largest finite value of an array of numbers, how many are NaN, and how many different whole numbers
    or booleans there are: None beyond MOST_DISTINCT, and of anything else."""
    low: Any = None
    high: Any = None
    missing, seen, rest = 0, 0, b""
    different: set[Any] | None = set() if dtype.kind in "iub" else None
    while piece := file.read(PIECE_BYTES):
        data = rest + piece
        whole = len(data) // dtype.itemsize * dtype.itemsize
        rest = data[whole:]
        seen += whole // dtype.itemsize
        if dtype.kind not in "iufb" or seen > count:
            continue
        values = np.frombuffer(data, dtype, whole // dtype.itemsize)
        if different is not None:
            different |= set(np.unique(values).tolist())
            different = different if len(different) <= MOST_DISTINCT else None
        if dtype.kind == "b":
            continue
        if dtype.kind == "f":
            missing += int(np.isnan(values).sum())
            values = values[np.isfinite(values)]
        if values.size:
            low = values.min() if low is None else min(low, values.min())
            high = values.max() if high is None else max(high, values.max())
    if seen != count or rest:
        raise Malformed(f"array {name!r} should have {count} values of {dtype.itemsize} bytes, and has {seen}")
    plain = float if dtype.kind == "f" else int
    distinct = None if different is None else len(different)
    return (None, None, missing, distinct) if low is None else (plain(low), plain(high), missing, distinct)
