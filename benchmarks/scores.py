"""From regrets to statements: means with confidence intervals, ranks, and tests of whether a difference is real.

Regrets come as an array [method, task, seed] at one budget. Seeds are paired over methods; the tasks are fixed, so the
interval of a suite's mean comes from the spread of the seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and the half width of its confidence interval; NaN with a single seed."""

    mean: float
    half_width: float


def estimate(per_seed: Array) -> Estimate:
    """The mean of independent repetitions, with the interval of Student's t."""
    count = len(per_seed)
    if count < 2:
        return Estimate(float(per_seed.mean()), math.nan)
    quantile = stats.t.ppf((1 + LEVEL) / 2, count - 1)
    return Estimate(float(per_seed.mean()), float(quantile * per_seed.std(ddof=1) / math.sqrt(count)))


def suite_mean(regrets: Array) -> list[Estimate]:
    """For each method, the mean over tasks."""
    return [estimate(method.mean(axis=0)) for method in regrets]


def mean_ranks(regrets: Array) -> Array:
    """The mean over tasks and seeds of the rank among the methods, 1 the best, ties shared; shape [method]."""
    ranks: Array = stats.rankdata(regrets, axis=0).mean(axis=(1, 2))
    return ranks


@dataclass(frozen=True, slots=True)
class RankTest:
    """Friedman's test over the task means, and Nemenyi's critical difference (Demsar 2006).

    `ranks` are the mean ranks on the task means; two methods differ at the 5 % level when theirs differ by more than
    `critical_difference`. `p` is that of the hypothesis that all methods are equal.
    """

    ranks: tuple[float, ...]
    p: float
    critical_difference: float


def rank_test(regrets: Array) -> RankTest | None:
    """The test; None for fewer than three methods or two tasks, where it says nothing."""
    methods, tasks = regrets.shape[:2]
    if methods < 3 or tasks < 2:
        return None
    by_task = regrets.mean(axis=2)
    ranks = stats.rankdata(by_task, axis=0).mean(axis=1)
    same = bool((by_task == by_task[0]).all())  # the statistic would be 0 / 0
    p = 1.0 if same else float(stats.friedmanchisquare(*by_task).pvalue)
    return RankTest(tuple(float(rank) for rank in ranks), p, critical_difference(methods, tasks))


def critical_difference(methods: int, tasks: int) -> float:
    """Nemenyi's, at the 5 % level: q sqrt(k (k + 1) / 6 N), q from the studentized range over the root of 2."""
    q = float(stats.studentized_range.ppf(LEVEL, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


@dataclass(frozen=True, slots=True)
class Difference:
    """One method less another: the paired difference of the suite's mean, and two paired tests of it.

    `p_seeds` is of Student's t over seeds (these tasks, other seeds), `p_tasks` of Wilcoxon's signed ranks over task
    means (other tasks); NaN where too few are there to tell.
    """

    difference: Estimate
    p_seeds: float
    p_tasks: float


def compare(one: Array, other: Array) -> Difference:
    """Regrets of two methods, both [task, seed]."""
    gaps = one - other
    by_seed, by_task = gaps.mean(axis=0), gaps.mean(axis=1)
    p_seeds = float(stats.ttest_1samp(by_seed, 0).pvalue) if len(by_seed) > 1 and np.ptp(by_seed) > 0 else math.nan
    p_tasks = float(stats.wilcoxon(by_task).pvalue) if np.count_nonzero(by_task) > 5 else math.nan
    return Difference(estimate(by_seed), p_seeds, p_tasks)
