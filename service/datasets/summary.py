"""A column's summary, batch by batch: what is kept is bounded, however long the column is."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from service.datasets.schema import LONGEST_CATEGORY, MOST_CATEGORIES, MOST_DISTINCT, Column, Type, Value

_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Type], ...] = (
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "float"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "datetime"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
    (pa.types.is_fixed_size_binary, "binary"),
)
_COUNTED: frozenset[Type] = frozenset({"bool", "int", "float", "text", "date", "datetime"})
_ORDERED: frozenset[Type] = frozenset({"int", "float", "date", "datetime"})


def kind_of(type_: pa.DataType) -> Type:
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    return next((kind for fits, kind in _KINDS if fits(type_)), "other")


class Summary:
    """Of the values of one type."""

    def __init__(self, type_: pa.DataType) -> None:
        self.kind = kind_of(type_)
        self.missing = 0
        self._distinct: set[Any] | None = set() if self.kind in _COUNTED else None
        self._low: Any = None
        self._high: Any = None

    def widened(self, type_: pa.DataType) -> Summary:
        """The same, as values of a type that takes more."""
        wider = Summary(type_)
        wider.missing, wider._distinct = self.missing, self._distinct
        if wider.kind in _ORDERED:
            wider._low, wider._high = (_as_kind(bound, wider.kind) for bound in (self._low, self._high))
        return wider

    def add(self, values: pa.Array, written: pa.Array | None = None) -> None:
        """`written` are the values as they are told apart, where that is not the same."""
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        self.missing += values.null_count
        values = values.drop_null()
        if pa.types.is_floating(values.type):
            nan = pc.is_nan(values)
            self.missing += pc.sum(nan).as_py() or 0
            values = values.filter(pc.invert(nan))
        if len(values) == 0:
            return
        if self._distinct is not None:
            self._count(pc.unique(values if written is None else written.drop_null()))
        if self.kind in _ORDERED:
            self._take(values)

    def column(self, name: str, stored: str) -> Column:
        distinct = self._values()
        return Column(
            name=name,
            type=self.kind,
            stored=stored,
            missing=self.missing,
            distinct=len(distinct) if distinct is not None else None,
            categories=self._categories(),
            low=_plain(self._low),
            high=_plain(self._high),
        )

    def _count(self, values: pa.Array) -> None:
        assert self._distinct is not None
        if len(values) > MOST_DISTINCT:
            self._distinct = None
            return
        # Long texts are told apart by their hash: what is kept stays small.
        self._distinct.update(
            hash(value) if isinstance(value, str) and len(value) > LONGEST_CATEGORY else value
            for value in values.to_pylist()
        )
        if len(self._distinct) > MOST_DISTINCT:
            self._distinct = None

    def _take(self, values: pa.Array) -> None:
        if pa.types.is_floating(values.type):
            values = values.filter(pc.is_finite(values))
        bounds = pc.min_max(values)
        try:
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
        except (ValueError, OverflowError):  # a time that Python cannot tell: beyond the year 9999
            return
        if low is not None:
            self._low = low if self._low is None else min(self._low, low)
            self._high = high if self._high is None else max(self._high, high)

    def _values(self) -> set[Any] | None:
        """The different values; texts are what was written for true and false."""
        if self.kind != "bool" or self._distinct is None:
            return self._distinct
        return {value.lower() == "true" if isinstance(value, str) else value for value in self._distinct}

    def _categories(self) -> list[Value] | None:
        found = self._values()
        if self.kind not in ("bool", "text") or found is None or not 0 < len(found) <= MOST_CATEGORIES:
            return None
        if any(isinstance(value, int) and not isinstance(value, bool) for value in found):
            return None  # some are known by their hash alone
        return None if any("\0" in str(value) for value in found) else sorted(found)


def _as_kind(bound: Any, kind: Type) -> Any:
    if bound is None:
        return None
    if kind == "datetime" and not isinstance(bound, datetime):
        return datetime.combine(bound, time())
    return float(bound) if kind == "float" else bound


def _plain(bound: Any) -> Value | None:
    """The bound as JSON has it."""
    match bound:
        case datetime() | date():
            return bound.isoformat()
        case None | bool() | int() | str():
            return bound
        case _:
            number = float(bound)
            return number if math.isfinite(number) else None
