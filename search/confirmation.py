"""Which of several configs is best, when each was trained a few times: means, intervals, and who cannot be told apart.

The scores of one config are draws; a config that leads by less than their spread does not lead.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`trial`'s scores: their mean, and the half width of its interval (Student's t); None with a single score.

    `tied`: it is the best, or cannot be told from it.
    """

    trial: int
    scores: tuple[float, ...]
    mean: float
    half_width: float | None
    tied: bool


def confirmed(
    scores: Mapping[int, Sequence[float]], *, maximize: bool, behind: Collection[int] = ()
) -> list[Confirmed]:
    """The trials that have scores, the best mean first; equal means by the lower number. Those that are `behind` come
    after all others, whatever their means, and are tied with nobody else than such.

    Each of the others is compared with the best by Welch's test; the p-values are corrected for their number (S. Holm
    1979), for the more there are, the sooner one of them looks different by chance.
    """
    means = {trial: math.fsum(values) / len(values) for trial, values in scores.items() if values}
    order = sorted(means, key=lambda trial: (trial in behind, -means[trial] if maximize else means[trial], trial))
    if not order:
        return []
    different = _different(scores, order)
    if order[0] not in behind:
        different |= set(behind)
    return [
        Confirmed(trial, tuple(scores[trial]), means[trial], _half_width(scores[trial]), trial not in different)
        for trial in order
    ]


def _half_width(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    from scipy import stats  # slow to load, and seldom needed

    deviation = statistics.stdev(values)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / math.sqrt(len(values))


def _different(scores: Mapping[int, Sequence[float]], order: Sequence[int]) -> set[int]:
    """Those that differ from the first one."""
    best, *others = order
    p_values = sorted((_p_value(scores[best], scores[trial]), trial) for trial in others)
    different: set[int] = set()
    for rank, (p, trial) in enumerate(p_values):
        if p * (len(p_values) - rank) > 1 - CONFIDENCE:
            break
        different.add(trial)
    return different


def _p_value(a: Sequence[float], b: Sequence[float]) -> float:
    """Of Welch's test for equal means; 1 where a single score says nothing of the spread."""
    if min(len(a), len(b)) < 2:
        return 1.0
    if max(a) == min(a) and max(b) == min(b):
        return float(a[0] == b[0])
    from scipy import stats

    of = (statistics.mean(a), statistics.stdev(a), len(a), statistics.mean(b), statistics.stdev(b), len(b))
    return float(stats.ttest_ind_from_stats(*of, equal_var=False).pvalue)
