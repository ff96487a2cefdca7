"""Whether a supernet's ranking says how good architectures are that are trained by themselves.

The rank correlation between the scores in the supernet and the results of the same configs trained alone, and how many
of the first are truly first, with intervals. Where it is low, the order of the ranking is close to chance, and the best
of it is no better advice than any other: then nothing is recommended on its strength (A. Yang et al. 2020, NAS
evaluation is frustratingly hard; Y. Zhang et al. 2020, Deeper insights into weight sharing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.history import History, RunState
from search.results import judged
from search.schedulers.one_shot import ENOUGH, RANKED
from search.spec import StudySpec
from search.streams import stream
from search.top_hits import TopHit, top_hit

LEAST = 5  # fewer pairs say nothing
TRUSTED = 0.3  # Kendall's tau from which on a ranking is taken for more than chance
RESAMPLES = 1000
LEVEL = 0.95
EDGE = 100 * (1 - LEVEL) / 2

Verdict = Literal["trusted", "withheld", "unknown"]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """One config: its place in the ranking (from 1), its score there, and the first metric of its own training."""

    trial: int
    rank: int
    score: float
    value: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """From -1 to 1, with the bounds of a 95 % interval by resampling the pairs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Trust:
    """`kendall` (tau-b), `spearman` and `top_hit` are None where there are too few pairs, or all of one kind are
    equal."""

    pairs: tuple[Pair, ...]
    kendall: Correlation | None
    spearman: Correlation | None
    top_hit: TopHit | None
    verdict: Verdict
    reason: str


def trust(study: StudySpec, history: History) -> Trust | None:
    """None where nothing was ranked."""
    pairs = tuple(_pairs(study, history))
    if not pairs and not any(run.kind == "supernet" for run in history.runs):
        return None
    if len(pairs) < LEAST:
        reason = f"{len(pairs)} of the ranked configs were trained by themselves; {LEAST} are needed to compare"
        return Trust(pairs, None, None, None, "unknown", reason)
    scores = np.array([pair.score for pair in pairs])
    goods = -study.metrics[0].sign * np.array([pair.value for pair in pairs])
    rng = stream(study.seed, len(pairs), "trust")
    draws = rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))
    counts = np.stack([np.bincount(draw, minlength=len(pairs)) for draw in draws]).astype(np.float64)
    above, better = (np.sign(each[:, None] - each) for each in (scores, goods))
    kendall, spearman = _correlation(kendalls, above, better, counts), _correlation(spearmans, above, better, counts)
    if kendall is None:
        return Trust(pairs, None, None, None, "unknown", "all scores, or all results, are equal")
    hit = top_hit(scores, goods, counts, EDGE, rng)
    wide = "" if len(pairs) >= ENOUGH else f"; {len(pairs)} pairs are few, {ENOUGH} would tell more"
    told = f"Kendall's tau {kendall.value:.2f} (95 %: {kendall.low:.2f} to {kendall.high:.2f})"
    if kendall.value >= TRUSTED and kendall.low <= 0:
        reason = f"{told}: with so few pairs that may be chance{wide}"
        return Trust(pairs, kendall, spearman, hit, "unknown", reason)
    if kendall.value < TRUSTED:
        reason = f"{told}, below {TRUSTED:g}: the ranking is close to chance, go by the trainings alone{wide}"
        return Trust(pairs, kendall, spearman, hit, "withheld", reason)
    return Trust(pairs, kendall, spearman, hit, "trusted", f"{told}: the ranking says something{wide}")


def _pairs(study: StudySpec, history: History) -> Sequence[Pair]:
    pairs = []
    for run in history.runs:
        outcome = history.outcome(run.number)
        if run.origin.get("rule") != RANKED or run.slot.replicate or outcome is None:
            continue
        if outcome.state is RunState.SUCCEEDED:
            loss = judged(study, history, run.number).losses[0]
            value = study.metrics[0].sign * loss
            pairs.append(Pair(run.trial, run.origin["rank"], run.origin["score"], value))
    return pairs


def kendalls(above: Numbers, better: Numbers, counts: Numbers) -> Numbers:
    """Kendall's tau-b of each sample. `above` and `better`, shape [pairs, pairs], hold the signs of the differences of
    two columns; `counts`, shape [samples, pairs], how often a pair is in a sample. NaN where all of one are equal."""

    def total(signs: Numbers) -> Numbers:
        return np.asarray(((counts @ signs) * counts).sum(axis=1))

    return _ratio(total(above * better), total(above**2) * total(better**2))


def spearmans(above: Numbers, better: Numbers, counts: Numbers) -> Numbers:
    """Spearman's rho of each sample, ties by mean ranks: a row times the counts is twice a rank about its mean."""
    one, other = counts @ above.T, counts @ better.T
    return _ratio((counts * one * other).sum(axis=1), (counts * one**2).sum(axis=1) * (counts * other**2).sum(axis=1))


def _ratio(covariance: Numbers, variances: Numbers) -> Numbers:
    nothing = np.full_like(covariance, np.nan)
    return np.divide(covariance, np.sqrt(variances), out=nothing, where=variances > 0)


def _correlation(
    measure: Callable[[Numbers, Numbers, Numbers], Numbers], above: Numbers, better: Numbers, counts: Numbers
) -> Correlation | None:
    """None where it is not defined. So are resamples of equal ones, which say nothing of the interval."""
    (value,) = measure(above, better, np.ones((1, len(above))))
    if np.isnan(value):
        return None
    low, high = np.nanpercentile(measure(above, better, counts), [EDGE, 100 - EDGE])
    return Correlation(float(value), float(low), float(high))
