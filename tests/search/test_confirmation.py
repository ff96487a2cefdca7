from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.confirmation import confirmed

SCORES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=1, max_size=6)


def test_the_best_mean_comes_first_and_what_cannot_be_told_from_it_is_tied() -> None:
    found = confirmed({1: [0.90, 0.91, 0.92], 2: [0.70, 0.71, 0.69], 3: [0.93, 0.90, 0.91]}, maximize=True)
    assert [one.trial for one in found] == [3, 1, 2]
    assert [one.tied for one in found] == [True, True, False]
    assert found[0].mean == pytest.approx(0.913333, abs=1e-6)


def test_the_interval_is_students() -> None:
    (found,) = confirmed({1: [1.0, 2.0, 3.0]}, maximize=False)
    low, high = stats.t.interval(0.95, 2, loc=2, scale=stats.sem([1.0, 2.0, 3.0]))
    assert found.half_width == pytest.approx((high - low) / 2)


def test_a_single_score_tells_nothing_of_the_spread() -> None:
    found = confirmed({1: [0.1], 2: [0.9, 0.91]}, maximize=False)
    assert [one.half_width is None for one in found] == [True, False]
    assert all(one.tied for one in found)


def test_the_more_there_are_the_larger_a_difference_must_be() -> None:
    rest = {trial: [0.895, 0.905, 0.9, 0.89, 0.902] for trial in range(3, 40)}
    pair = {1: [0.910, 0.905, 0.900, 0.915, 0.905], 2: [0.895, 0.900, 0.890, 0.905, 0.893]}
    alone = confirmed(pair, maximize=True)
    among = confirmed(pair | rest, maximize=True)
    assert not next(one for one in alone if one.trial == 2).tied
    assert next(one for one in among if one.trial == 2).tied


def test_who_is_behind_comes_last_and_ties_with_nobody_before() -> None:
    found = confirmed({1: [0.99], 2: [0.90, 0.91], 3: [0.905, 0.9]}, maximize=True, behind={1})
    assert [one.trial for one in found] == [2, 3, 1]
    assert [one.tied for one in found] == [True, True, False]
    assert confirmed({1: [0.99]}, maximize=True, behind={1})[0].tied


@given(st.dictionaries(st.integers(0, 20), SCORES, max_size=6), st.booleans())
def test_all_that_have_scores_are_ranked(scores: dict[int, list[float]], maximize: bool) -> None:
    found = confirmed(scores, maximize=maximize)
    assert sorted(one.trial for one in found) == sorted(scores)
    means = [one.mean for one in found]
    assert means == sorted(means, reverse=maximize)
    assert all(one.tied for one in found[:1])
