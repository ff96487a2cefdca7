"""Tables of input, domain, expected: every scale goes through the unit interval."""

import math

import pytest

from spaces.domain import Choices, Domain, FloatGrid, IntegerGrid, Interval
from spaces.values import Value

LR = Interval(1e-5, 1e-1, log=True)


@pytest.mark.parametrize(
    ("domain", "value", "u"),
    [
        (Interval(-1.0, 3.0), -1.0, 0.0),
        (Interval(-1.0, 3.0), 0.0, 0.25),
        (Interval(-1.0, 3.0), 3.0, 1.0),
        (LR, 1e-5, 0.0),
        (LR, 1e-4, 0.25),
        (LR, 1e-3, 0.5),
        (LR, 1e-1, 1.0),
        (IntegerGrid(1, 4), 1, 0.125),
        (IntegerGrid(1, 4), 4, 0.875),
        (IntegerGrid(1, 7, step=2), 3, 0.375),
        (IntegerGrid(1, 8, log=True), 1, math.log(1 / 0.5) / math.log(8.5 / 0.5)),
        (IntegerGrid(1, 8, log=True), 8, math.log(8 / 0.5) / math.log(8.5 / 0.5)),
        (IntegerGrid(16, 64, step=16, log=True), 32, math.log(32 / 8) / math.log(72 / 8)),
        (FloatGrid(0.0, 0.5, 0.1), 0.3, 7 / 12),
        (FloatGrid(0.1, 0.4, 0.1, log=True), 0.2, math.log(0.2 / 0.05) / math.log(0.45 / 0.05)),
        (Choices(("s", "m", "l", "xl"), ordered=True), "m", 0.375),
        (Choices((False, True)), True, 0.75),
        (Choices(("only",)), "only", 0.5),
    ],
)
def test_unit_map(domain: Domain, value: Value, u: float) -> None:
    assert domain.to_unit(value) == pytest.approx(u, abs=1e-12)
    assert domain.from_unit(u) == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12))


@pytest.mark.parametrize(
    ("domain", "u", "value"),
    [
        (LR, 0.0, 1e-5),  # exactly: exp(log(x)) alone would miss it
        (LR, 1.0, 1e-1),
        (Interval(0.1, 0.3), 1.0, 0.3),
        (IntegerGrid(1, 4), 0.0, 1),
        (IntegerGrid(1, 4), 0.25, 2),
        (IntegerGrid(1, 4), 1.0, 4),
        (IntegerGrid(1, 8, log=True), 0.0, 1),
        (IntegerGrid(1, 8, log=True), 1.0, 8),
        (Choices(("a", "b")), 0.5, "b"),
        (Choices(("a", "b")), 1.0, "b"),
    ],
)
def test_ends_and_edges_decode_into_the_domain(domain: Domain, u: float, value: Value) -> None:
    assert domain.from_unit(u) == value


@pytest.mark.parametrize(
    "domain",
    [
        IntegerGrid(-7, 500),
        IntegerGrid(1, 1000, log=True),
        IntegerGrid(5, 95, step=9),
        IntegerGrid(10, 1000, step=10, log=True),
        IntegerGrid(2**50, 2**50 + 300, log=True),
        FloatGrid(0.0, 1.0, 0.01),
        FloatGrid(-0.7, 0.8, 0.1),
        FloatGrid(0.05, 0.5, 0.05, log=True),
        FloatGrid(1e-5, 1e-3, 1e-5, log=True),
        FloatGrid(0.0, 1.0, 1 / 3),
        Choices((True, 1, "1", "", 0, False, 2.5), ordered=True),
    ],
)
def test_every_discrete_value_round_trips(domain: IntegerGrid | FloatGrid | Choices) -> None:
    values = [domain.value(cell) for cell in range(domain.count)]
    for cell, value in enumerate(values):
        assert domain.objection(value) is None
        assert domain.cell(value) == cell
        again = domain.from_unit(domain.to_unit(value))
        assert again == value
        assert type(again) is type(value)
    assert len({(type(value), value) for value in values}) == domain.count


@pytest.mark.parametrize("log", [False, True])
def test_the_largest_integer_ranges_round_trip(log: bool) -> None:
    domain = IntegerGrid(1, 2**40, log=log)
    for value in [1, 2, 3, 12345, 2**20 + 1, 2**39, 2**39 + 1, 2**40 - 2, 2**40 - 1, 2**40]:
        assert domain.from_unit(domain.to_unit(value)) == value


def _masses(domain: IntegerGrid, points: int = 100_000) -> list[float]:
    """The share of the unit interval that decodes to each value, on a midpoint grid."""
    counts = [0] * domain.count
    for index in range(points):
        counts[domain.cell(domain.from_unit((index + 0.5) / points))] += 1
    return [count / points for count in counts]


def test_mass_of_log_integers() -> None:
    expected = [0.387762, 0.180299, 0.118760, 0.088703, 0.070828, 0.058963, 0.050508, 0.044177]
    assert _masses(IntegerGrid(1, 8, log=True)) == pytest.approx(expected, abs=2e-5)


def test_mass_of_integers_is_equal_at_the_ends_too() -> None:
    assert _masses(IntegerGrid(1, 4)) == [0.25] * 4


@pytest.mark.parametrize(
    ("grid", "values"),
    [
        (FloatGrid(0.0, 0.5, 0.1), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (FloatGrid(-0.2, 0.2, 0.1), [-0.2, -0.1, 0.0, 0.1, 0.2]),
        (FloatGrid(1e-5, 4e-5, 1e-5), [1e-5, 2e-5, 3e-5, 4e-5]),
        (FloatGrid(100.0, 300.0, 100.0), [100.0, 200.0, 300.0]),
    ],
)
def test_float_grids_hold_the_decimals_that_people_write(grid: FloatGrid, values: list[float]) -> None:
    found = [grid.value(cell) for cell in range(grid.count)]
    assert [repr(value) for value in found] == [repr(value) for value in values]


def test_a_grid_point_off_by_rounding_is_that_grid_point() -> None:
    grid = FloatGrid(0.0, 0.5, 0.1)
    assert grid.objection(0.1 + 0.2) is None
    assert grid.canonical(0.1 + 0.2) == 0.3
    assert grid.objection(0.31) is not None


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Interval(0.0, 1.0), True),
        (Interval(0.0, 1.0), "0.5"),
        (Interval(0.0, 1.0), math.nan),
        (Interval(0.0, 1.0), 1.0000001),
        (Interval(0.0, 1.0), 10**400),
        (Interval(0.0, 1.0), None),
        (IntegerGrid(1, 7, step=2), 2),
        (IntegerGrid(1, 7), 2.0),
        (IntegerGrid(0, 1), True),
        (IntegerGrid(1, 7), 8),
        (Choices((1, 2)), True),
        (Choices((False, True)), 1),
        (Choices(("1",)), 1),
        (Choices((1,)), [1]),
        (Choices((1,)), {}),
    ],
)
def test_what_is_no_value(domain: Domain, value: object) -> None:
    assert domain.objection(value) is not None


def test_true_and_one_are_two_choices() -> None:
    choices = Choices((1, True, 0, False))
    assert [choices.cell(value) for value in (1, True, 0, False)] == [0, 1, 2, 3]
    assert choices.canonical(1.0) == 1
    assert type(choices.canonical(1.0)) is int
