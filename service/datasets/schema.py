"""What a dataset holds, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

MOST_COLUMNS = 2_000
LONGEST_NAME = 256
MOST_DISTINCT = 1_000
"""Up to so many different values are counted."""
MOST_CATEGORIES = 50
LONGEST_CATEGORY = 100

Format = Literal["csv", "parquet", "npz"]
Type = Literal["bool", "int", "float", "text", "date", "datetime", "binary", "other"]
Value = bool | int | float | str


class Malformed(ValueError):
    """The file is not what it is said to be; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, or one array of an NPZ file.

    `stored` is the type in the words of the format, and `shape` that of an array. `missing` counts empty values and
    NaN. `distinct` is the number of different values, None beyond `MOST_DISTINCT` and where nobody counts; they are
    `categories` where they are few texts or booleans. `low` and `high` are the least and the largest finite value.
    """

    name: str
    type: Type
    stored: str
    missing: int = 0
    distinct: int | None = None
    categories: Sequence[Value] | None = None
    low: Value | None = None
    high: Value | None = None
    shape: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """`rows` of a table; of arrays the longest first axis."""

    rows: int
    columns: Sequence[Column]

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        return cls(value["rows"], [Column(**column) for column in value["columns"]])


def check_names(names: Sequence[str]) -> None:
    """Raises Malformed for names of columns that cannot be told apart, or not be stored."""
    if not names:
        raise Malformed("there are no columns")
    if len(names) > MOST_COLUMNS:
        raise Malformed(f"there are {len(names)} columns; at most {MOST_COLUMNS} are taken")
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if len(name) > LONGEST_NAME:
            raise Malformed(f"the name of column {number} has {len(name)} characters; at most {LONGEST_NAME} are taken")
        if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            raise Malformed(f"the name of column {number} has a character that no database can keep: {name!r}")
        if name in seen:
            raise Malformed(f"the name of column {number}, {name!r}, is that of another column already")
        seen.add(name)
