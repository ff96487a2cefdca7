"""The bracket tables of Hyperband, complete, as published and as the reference implementations build them."""

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.schedulers.brackets import ladder, sizes


def table(low, high, eta, rounding, integer=False):
    """[[(runs, fidelity), ...] per bracket], the broadest bracket first."""
    rungs = ladder(low, high, eta, integer)
    top = len(rungs) - 1
    return [
        list(zip(sizes(top, s, eta, rounding), rungs[top - s :], strict=True)) for s in range(top, -1, -1)
    ]  # fmt: skip


def counts(low, high, eta, rounding):
    return " | ".join(" ".join(str(n) for n, _ in bracket) for bracket in table(low, high, eta, rounding))


def totals(low, high, eta, rounding):
    """(runs, trials, cost when every run starts from scratch, cost when promoted runs continue)."""
    brackets = table(low, high, eta, rounding)
    scratch = sum(n * r for bracket in brackets for n, r in bracket)
    saved = sum(n * r for bracket in brackets for (_, r), (n, _) in pairwise(bracket))
    return sum(n for b in brackets for n, _ in b), sum(b[0][0] for b in brackets), scratch, scratch - saved


@pytest.mark.parametrize(
    ("low", "high", "eta", "rounding", "expected"),
    [
        (1, 81, 3, "floor", "81 27 9 3 1 | 27 9 3 1 | 9 3 1 | 6 2 | 5"),
        (1, 81, 3, "ceil", "81 27 9 3 1 | 34 11 3 1 | 15 5 1 | 8 2 | 5"),
        (1, 27, 3, "floor", "27 9 3 1 | 9 3 1 | 6 2 | 4"),
        (1, 27, 3, "ceil", "27 9 3 1 | 12 4 1 | 6 2 | 4"),
        (1, 9, 3, "floor", "9 3 1 | 3 1 | 3"),
        (1, 9, 3, "ceil", "9 3 1 | 5 1 | 3"),
        (1, 100, 3, "floor", "81 27 9 3 1 | 27 9 3 1 | 9 3 1 | 6 2 | 5"),
        (3, 100, 3, "floor", "27 9 3 1 | 9 3 1 | 6 2 | 4"),
        (1, 16, 2, "ceil", "16 8 4 2 1 | 10 5 2 1 | 7 3 1 | 5 2 | 5"),
        (2, 25, 2, "floor", "8 4 2 1 | 4 2 1 | 4 2 | 4"),
        (1, 64, 4, "floor", "64 16 4 1 | 16 4 1 | 8 2 | 4"),
        (1, 243, 3, "ceil", "243 81 27 9 3 1 | 98 32 10 3 1 | 41 13 4 1 | 18 6 2 | 9 3 | 6"),
        (1, 1000, 10, "floor", "1000 100 10 1 | 100 10 1 | 20 2 | 4"),
        (80, 200, 3, "ceil", "1"),
    ],
)
def test_runs_per_rung(low, high, eta, rounding, expected):
    assert counts(low, high, eta, rounding) == expected


@pytest.mark.parametrize(
    ("low", "high", "eta", "rounding", "runs", "trials", "scratch", "continued"),
    [
        (1, 81, 3, "floor", 187, 128, 1701, 1404),
        (1, 81, 3, "ceil", 206, 143, 1902, 1581),
        (1, 27, 3, "floor", 65, 46, 405, 342),
        (1, 27, 3, "ceil", 69, 49, 423, 357),
        (1, 9, 3, "floor", 20, 15, 72, 63),
        (1, 9, 3, "ceil", 22, 17, 78, 69),
        (1, 100, 3, "floor", 187, 128, 2100, 1733.333333),
        (1, 100, 3, "ceil", 206, 143, 2348.148148, 1951.851852),
        (3, 100, 3, "floor", 65, 46, 1500, 1266.666667),
        (1, 16, 2, "ceil", 72, 43, 372, 278),
        (2, 25, 2, "floor", 32, 20, 375, 287.5),
        (1, 64, 4, "floor", 120, 92, 960, 848),
        (1, 243, 3, "ceil", 611, 415, None, None),
    ],
)
def test_totals_of_a_cycle(low, high, eta, rounding, runs, trials, scratch, continued):
    found = totals(low, high, eta, rounding)
    assert found[:2] == (runs, trials)
    if scratch is not None:
        assert found[2:] == pytest.approx((scratch, continued), rel=1e-8)


@pytest.mark.parametrize(
    ("low", "high", "eta", "top"),
    [(1, 243, 3, 5), (1, 1000, 10, 3), (0.1, 8.1, 3, 4), (80, 200, 3, 0), (1, 81, 3, 4), (1, 80, 3, 3), (5, 5, 3, 0)],
)
def test_number_of_halvings_is_exact(low, high, eta, top):
    assert len(ladder(low, high, eta, integer=False)) - 1 == top


@pytest.mark.parametrize(
    ("low", "high", "eta", "integer", "expected"),
    [
        (1, 81, 3, True, (1, 3, 9, 27, 81)),
        (1, 100, 3, True, (1, 3, 11, 33, 100)),
        (3, 100, 3, True, (3, 11, 33, 100)),
        (1.0, 100.0, 3, False, (100 / 81, 100 / 27, 100 / 9, 100 / 3, 100.0)),
        (2.0, 25.0, 2, False, (3.125, 6.25, 12.5, 25.0)),
        (0.1, 8.1, 3, False, (0.1, 0.3, 0.9, 2.7, 8.1)),
        (1, 4, 1.5, True, (1, 2, 4)),  # 4, 2.67, 1.78, 1.19: two rungs at 1 are one
        (80, 200, 3, True, (200,)),
    ],
)
def test_fidelities_of_the_rungs(low, high, eta, integer, expected):
    found = ladder(low, high, eta, integer)
    assert found == pytest.approx(expected, rel=1e-12)
    assert all(isinstance(value, int if integer else float) for value in found)


@given(
    low=st.floats(1e-6, 1e3), ratio=st.floats(1, 1e6), eta=st.one_of(st.integers(2, 12), st.floats(1.5, 12)),
    rounding=st.sampled_from(["ceil", "floor"]),
)  # fmt: skip
def test_laws_of_the_tables(low, ratio, eta, rounding):
    high = low * ratio
    rungs = ladder(low, high, eta, integer=False)
    assert rungs[-1] == high
    assert all(low <= a < b for a, b in pairwise(rungs))
    assert all(isclose(b / a, eta, rel_tol=1e-6) for a, b in pairwise(rungs))
    assert rungs[0] / eta < low * (1 + 1e-6)  # no further rung would fit
    top = len(rungs) - 1
    for s in range(top + 1):
        runs = sizes(top, s, eta, rounding)
        assert len(runs) == s + 1
        assert list(runs) == sorted(runs, reverse=True)
        assert runs[-1] >= 1


@given(low=st.integers(1, 50), more=st.integers(0, 2000), eta=st.floats(1.5, 8))
def test_integer_rungs_are_distinct_integers_in_range(low, more, eta):
    rungs = ladder(low, low + more, eta, integer=True)
    assert list(rungs) == sorted(set(rungs))
    assert rungs[-1] == low + more
    assert rungs[0] >= low
