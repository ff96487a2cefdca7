"""Where a learning curve will end: a mixture of parametric curves, each fitted by least squares.

Domhan et al. 2015 sample the parameters by MCMC, which takes seconds; here each family is fitted once and its
uncertainty is that of a Laplace approximation at the fit, which takes milliseconds. A family's weight follows from its
BIC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.stopping.families import FAMILIES, Array, Family

NOISE = 1e-3
"""The least standard deviation of a report around its curve, in units of the score."""

HIGHEST = 2.0
VAGUE = 1.0
"""A fit that ends above the first, or with a standard deviation above the second (the whole range of scores), has not
found its parameters and knows nothing of the end."""

TEMPER = 4
"""BIC is divided by this. No family is the truth, and the fits of all of them err alike, so full weights are too sure:
on random curves of three shapes the true end was above the 95 % quantile of the forecast in 11 % of the cases, with a
quarter of the evidence in 4 %."""

EVALUATIONS = 400
"""Curve evaluations per fit."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The score at the horizon: a mixture of Student distributions; arrays of shape [families that fit]."""

    weights: Array
    means: Array
    deviations: Array
    freedoms: Array

    @property
    def mean(self) -> float:
        return float(self.weights @ self.means)

    def probability_above(self, score: float) -> float:
        from scipy.special import stdtr

        return float(self.weights @ stdtr(self.freedoms, (self.means - score) / self.deviations))


def recency_weights(count: int) -> Array:
    """Later points count more, up to nearly ten times as much as the first: 10^(i/n), shape [count]."""
    weights: Array = 10.0 ** (np.arange(count) / count)
    return weights


def forecast(steps: Sequence[float], scores: Sequence[float], horizon: float) -> Forecast | None:
    """The score at the step `horizon`, from scores (higher is better, in about [0, 1]) at ascending positive steps.

    None when no family fits: with too few points (a family needs two more than it has parameters), or when the
    curve looks like none that grows towards a limit.
    """
    x = np.asarray(steps, dtype=np.float64)
    unit = x[0]  # whether reports come every epoch, every tenth or every five, the first is at 1
    y = np.asarray(scores, dtype=np.float64)
    with np.errstate(all="ignore"):  # a fit may try parameters for which a curve is not defined
        fits = [_fit(family, x / unit, y, horizon / unit) for family in FAMILIES.values()]
    found = np.array([fit for fit in fits if fit is not None])
    if not len(found):
        return None
    criteria, means, deviations, freedoms = found.T
    weights = np.exp((criteria.min() - criteria) / (2 * TEMPER))
    return Forecast(weights / weights.sum(), means, deviations, freedoms)


def _fit(family: Family, x: Array, y: Array, horizon: float) -> tuple[float, float, float, float] | None:
    """BIC, mean, deviation and degrees of freedom of one family's forecast; None when it does not fit."""
    from scipy.optimize import leastsq  # plain MINPACK: its newer wrapper takes ten times as long on such small fits

    count, size = len(x), len(family.start)
    if count < size + 2:
        return None
    root = np.sqrt(recency_weights(count))
    root *= np.sqrt(count / (root @ root))  # so that n points weigh n

    def residuals(parameters: Array) -> Array:
        return np.nan_to_num(root * (family.curve(x, *parameters) - y), nan=1e3, posinf=1e3, neginf=-1e3)

    found, shape, info, _, _ = leastsq(residuals, family.start, full_output=True, maxfev=EVALUATIONS)
    ends = np.array([x[0], horizon])
    first, last = family.curve(ends, *found)
    if shape is None or not np.isfinite(last):
        return None
    freedom = count - size
    variance = max(float(info["fvec"] @ info["fvec"]) / freedom, NOISE**2)
    if not 0 <= last <= HIGHEST or last < first - np.sqrt(variance):
        return None
    moves = 1e-6 * np.maximum(np.abs(found), 1e-3)
    slopes = np.array([family.curve(ends[1:], *moved)[0] - last for moved in found + np.diag(moves)]) / moves
    spread = float(slopes @ shape @ slopes)  # `shape` is the inverse of J'J
    deviation = float(np.sqrt(variance * (1 + spread)))
    if not deviation <= VAGUE:
        return None
    criterion = count * np.log(variance) + size * np.log(count)
    return float(criterion), float(last), deviation, float(freedom)
