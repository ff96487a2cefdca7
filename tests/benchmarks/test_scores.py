"""The statistics against values from tables and by hand."""

import math

import numpy as np
import pytest

from benchmarks import scores


@pytest.mark.parametrize(
    ("methods", "tasks", "expected"),
    [(2, 24, 1.960), (3, 24, 2.343), (4, 14, 2.569), (5, 30, 2.728), (10, 16, 3.164)],
)
def test_the_critical_difference_uses_nemenyis_quantiles(methods, tasks, expected):
    """The quantiles q of Demsar 2006, table 5a."""
    q = scores.critical_difference(methods, tasks) / math.sqrt(methods * (methods + 1) / (6 * tasks))
    assert q == pytest.approx(expected, abs=1e-3)


def test_friedmans_test_by_hand():
    """Rank sums 4, 9, 11 on four tasks: chi squared 12 / (4 * 3 * 4) * 218 - 3 * 4 * 4 = 6.5; p = exp(-6.5 / 2)."""
    by_task = np.array([[0.1, 0.1, 0.1, 0.1], [0.2, 0.3, 0.2, 0.2], [0.4, 0.2, 0.9, 0.3]])
    test = scores.rank_test(np.stack([by_task - 0.01, by_task + 0.01], axis=2))
    assert test is not None
    assert test.ranks == pytest.approx((1, 2.25, 2.75))
    assert test.p == pytest.approx(math.exp(-3.25))


def test_ranks_share_ties_and_average_over_tasks_and_seeds():
    regrets = np.array([[[0.1, 0.2]], [[0.1, 0.3]], [[0.5, 0.0]]])
    assert scores.mean_ranks(regrets) == pytest.approx([1.75, 2.25, 2.0])


def test_an_interval_comes_from_the_spread_of_the_seeds():
    regrets = np.array([[[0.1, 0.3], [0.3, 0.5]]])  # per seed .2 and .4
    (one,) = scores.suite_mean(regrets)
    assert one.mean == pytest.approx(0.3)
    assert one.half_width == pytest.approx(12.706 * 0.1, rel=1e-4)  # t with one degree of freedom, error .1


def test_one_seed_has_no_interval():
    assert math.isnan(scores.suite_mean(np.array([[[0.1], [0.3]]]))[0].half_width)


def test_equal_methods_are_not_told_apart():
    test = scores.rank_test(np.full((3, 4, 2), 0.5))
    assert test is not None
    assert test.p == 1.0
    assert test.ranks == (2, 2, 2)


@pytest.mark.parametrize("shape", [(2, 5, 3), (4, 1, 3)])
def test_too_little_for_friedman(shape):
    assert scores.rank_test(np.zeros(shape)) is None


def test_a_paired_difference_sees_what_the_means_hide():
    rng = np.random.default_rng(0)
    base = rng.random((8, 20))
    better = base - 0.01 - 0.001 * rng.random((8, 20))
    gap = scores.compare(better, base)
    assert gap.difference.mean == pytest.approx(-0.0105, abs=2e-4)
    assert gap.difference.half_width < 0.001
    assert gap.p_seeds < 1e-10
    assert gap.p_tasks == pytest.approx(2 / 2**8)


def test_no_difference_has_no_p():
    gap = scores.compare(np.zeros((8, 3)), np.zeros((8, 3)))
    assert math.isnan(gap.p_seeds)
    assert math.isnan(gap.p_tasks)
