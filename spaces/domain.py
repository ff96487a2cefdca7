"""The unit interval is the one scale that everything passes through: each domain maps its values to [0, 1] and back.

A domain is either a continuum (`Interval`) or a row of cells (`IntegerGrid`, `FloatGrid`, `Choices`). A value of the
second kind sits at the centre of its cell, and every u within the cell decodes to it; so decode(encode(x)) is x for
every such value, the end values included, and a uniform u gives each value the mass of its cell:

    linear     1/n each
    log        ln((x + q/2) / (x - q/2)) / ln((high + q/2) / (low - q/2)), with the step q (1 for integers)

The log law is that of Optuna. Rounding `low + (high - low) u` instead would give the end values half a cell.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from spaces.values import Value, is_number, kind, listing, scalar_objection, show, token

MAX_CELLS = 2**40  # with more, a double in [0, 1] can no longer tell the cells of a log scale apart


@dataclass(frozen=True)
class EvenCells:
    """n cells of equal width."""

    count: int

    def to_unit(self, cell: int) -> float:
        return (cell + 0.5) / self.count

    def from_unit(self, u: float) -> int:
        return min(int(u * self.count), self.count - 1)

    def lower(self, cell: int) -> float:
        """Where the cell begins."""
        return cell / self.count

    def width(self, cell: int) -> float:
        return 1 / self.count


@dataclass(frozen=True)
class LogCells:
    """n cells around low, low + q, ..., as wide as they are on a log scale; `start` = low / q - 1/2 > 0.

    Measured from the lower edge in steps, x - (low - q/2) is (cell + 1/2) q, so that ln x - ln(low - q/2) is
    log1p((cell + 1/2) / start): exact to a few ulps even where the difference of two logarithms would cancel.
    """

    count: int
    start: float

    @cached_property
    def _width(self) -> float:
        return math.log1p(self.count / self.start)

    def to_unit(self, cell: int) -> float:
        return math.log1p((cell + 0.5) / self.start) / self._width

    def from_unit(self, u: float) -> int:
        return min(int(self.start * math.expm1(u * self._width)), self.count - 1)

    def lower(self, cell: int) -> float:
        """Where the cell begins."""
        return math.log1p(cell / self.start) / self._width

    def width(self, cell: int) -> float:
        return math.log1p(1 / (self.start + cell)) / self._width


@dataclass(frozen=True)
class Interval:
    """All doubles in [low, high]; u is linear in x, or in ln x."""

    low: float
    high: float
    log: bool = False

    count: ClassVar[None] = None
    numeric: ClassVar[bool] = True
    ordered: ClassVar[bool] = True

    @cached_property
    def _start(self) -> float:
        return math.log(self.low) if self.log else self.low

    @cached_property
    def _width(self) -> float:
        return math.log(self.high) - math.log(self.low) if self.log else self.high - self.low

    def to_unit(self, value: Any) -> float:
        return ((math.log(value) if self.log else value) - self._start) / self._width

    def from_unit(self, u: float) -> float:
        if u <= 0.0:
            return self.low
        if u >= 1.0:
            return self.high
        x = self._start + u * self._width
        # exp, log and the sum round: without the bounds, points near the ends would leave the range
        return min(max(math.exp(x) if self.log else x, self.low), self.high)

    def canonical(self, value: Any) -> float:
        return float(value) + 0.0

    def objection(self, value: object) -> str | None:
        """Why this is not a value of the domain, or None when it is."""
        return _range_objection(value, self.low, self.high)


V = TypeVar("V", bound=Value)


class Discrete(ABC, Generic[V]):
    """A row of cells, each with one value."""

    @property
    @abstractmethod
    def cells(self) -> EvenCells | LogCells: ...

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of values."""

    @abstractmethod
    def value(self, cell: int) -> V:
        """The value of a cell."""

    @abstractmethod
    def cell(self, value: Any) -> int:
        """The cell of a value of the domain."""

    @abstractmethod
    def objection(self, value: object) -> str | None:
        """Why this is not a value of the domain, or None when it is."""

    @abstractmethod
    def below(self, operand: Any, *, inclusive: bool) -> int:
        """How many values are less than the operand (or, inclusive, not greater). Only for ordered domains."""

    def to_unit(self, value: Any) -> float:
        return self.cells.to_unit(self.cell(value))

    def from_unit(self, u: float) -> V:
        return self.value(self.cells.from_unit(u))

    def canonical(self, value: Any) -> V:
        """The one form of a value that may be written in several, such as 1 for 1.0."""
        return self.value(self.cell(value))


N = TypeVar("N", int, float)


class Grid(Discrete[N]):
    """Numbers at equal steps; on a log scale, the cells around them are not equal."""

    low: float
    step: float
    log: bool

    numeric: ClassVar[bool] = True
    ordered: ClassVar[bool] = True

    @cached_property
    def cells(self) -> EvenCells | LogCells:
        return LogCells(self.count, self.low / self.step - 0.5) if self.log else EvenCells(self.count)

    def below(self, operand: float, *, inclusive: bool) -> int:
        bisect = bisect_right if inclusive else bisect_left
        return bisect(range(self.count), operand, key=self.value)


@dataclass(frozen=True)
class IntegerGrid(Grid[int]):
    """The integers low, low + step, ..., high."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @cached_property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def value(self, cell: int) -> int:
        return self.low + cell * self.step

    def cell(self, value: Any) -> int:
        return int((value - self.low) // self.step)

    def objection(self, value: object) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return f"must be an integer, got {show(value) if is_number(value) else kind(value)}"
        wrong = _range_objection(value, self.low, self.high)
        if wrong is None and (value - self.low) % self.step:
            return f"must be {self.low} plus a multiple of {self.step}, got {value}"
        return wrong


@dataclass(frozen=True)
class FloatGrid(Grid[float]):
    """The doubles low, low + step, ..., high, written as people write them: 0.3 and not 0.30000000000000004."""

    low: float
    high: float
    step: float
    log: bool = False

    @cached_property
    def count(self) -> int:
        steps = steps_between(self.low, self.high, self.step)
        assert steps is not None, "the step fits"
        return steps + 1

    @cached_property
    def _digits(self) -> int:
        """The decimal places that the grid's values need."""
        return max(_decimal_places(self.low), _decimal_places(self.step))

    def value(self, cell: int) -> float:
        if cell == self.count - 1:
            return self.high
        return round(self.low + cell * self.step, self._digits) + 0.0

    def cell(self, value: float) -> int:
        return min(max(round((value - self.low) / self.step), 0), self.count - 1)

    def objection(self, value: object) -> str | None:
        wrong = _range_objection(value, self.low, self.high)
        if wrong is None and is_number(value):
            nearest = self.value(self.cell(value))
            if abs(nearest - value) > 1e-9 * self.step + 4 * math.ulp(nearest):
                return f"must be {self.low} plus a multiple of {self.step}, got {show(value)}; the nearest is {nearest}"
        return wrong


@dataclass(frozen=True)
class Choices(Discrete[Value]):
    """A few given values; `ordered` when their order means something."""

    values: tuple[Value, ...]
    ordered: bool = False

    numeric: ClassVar[bool] = False

    @cached_property
    def count(self) -> int:
        return len(self.values)

    @cached_property
    def cells(self) -> EvenCells:
        return EvenCells(self.count)

    @cached_property
    def _index(self) -> dict[Hashable, int]:
        return {token(value): index for index, value in enumerate(self.values)}

    def value(self, cell: int) -> Value:
        return self.values[cell]

    def cell(self, value: Any) -> int:
        return self._index[token(value)]

    def below(self, operand: Any, *, inclusive: bool) -> int:
        return self.cell(operand) + inclusive

    def objection(self, value: object) -> str | None:
        if scalar_objection(value) is None and token(value) in self._index:
            return None
        return f"must be one of {listing(self.values)}, got {show(value)}"


Domain = Interval | IntegerGrid | FloatGrid | Choices


def steps_between(low: float, high: float, step: float) -> int | None:
    """How many steps lead from low to high; None unless it is a whole number (exactly so for integers)."""
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        whole, rest = divmod(high - low, step)
        return whole if whole and not rest else None
    ratio = (high - low) / step
    if not 0.5 < ratio < 2.0**53:
        return None
    steps = round(ratio)
    return steps if abs(ratio - steps) <= 1e-9 + 8 * math.ulp(ratio) else None


def _decimal_places(number: float) -> int:
    exponent = Decimal(repr(number)).as_tuple().exponent
    assert isinstance(exponent, int), "finite"
    return max(0, -exponent)


def _range_objection(value: object, low: float, high: float) -> str | None:
    if not is_number(value):
        return f"must be a number, got {kind(value)}"
    return None if low <= value <= high else f"must be between {low} and {high}, got {show(value)}"
