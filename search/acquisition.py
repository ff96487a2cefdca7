"""Acquisition functions: how much a point promises, given what a model predicts of its loss. Larger is better.

All take the predicted mean and standard deviation of losses, which are minimised, and broadcast as NumPy does. The
logarithmic forms rank points far from any improvement, where the plain ones underflow to zero.

SciPy is imported where it is used: `prior_weight` has users that need nothing of it, and it takes a while.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

Kind = Literal["ei", "pi", "bound"]

LEAST_PRIOR = 1e-12
"""No point is believed to be less likely than this (a density on the unit cube), so that evidence can win it back."""

_LOG_SQRT_TAU = 0.5 * math.log(2 * math.pi)
_LOG_SQRT_HALF_PI = 0.5 * math.log(math.pi / 2)
_SERIES_BELOW = -300.0
"""From here on four terms of the asymptotic series have all digits, and the closed form no longer has."""


def expected_improvement(mean: ArrayLike, sd: ArrayLike, best: float) -> Floats:
    """E max(best - loss, 0) for a normal loss (Jones et al. 1998); of a certain loss (sd 0) the improvement itself."""
    from scipy.special import ndtr

    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    gain = best - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        u = gain / sd
        answer = sd * np.exp(-(u**2) / 2 - _LOG_SQRT_TAU) + gain * ndtr(u)
    answer = np.where(sd > 0, np.maximum(answer, 0.0), np.maximum(gain, 0.0))
    return np.asarray(answer, dtype=np.float64)


def log_expected_improvement(mean: ArrayLike, sd: ArrayLike, best: float) -> Floats:
    """The logarithm of `expected_improvement`, finite wherever sd > 0 (Ament et al. 2023)."""
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    gain = best - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        uncertain = np.log(sd) + log_h(gain / sd)
        certain = np.log(np.maximum(gain, 0.0))
    return np.asarray(np.where(sd > 0, uncertain, certain), dtype=np.float64)


def log_h(u: ArrayLike) -> Floats:
    """log(phi(u) + u Phi(u)): the log of the expected improvement of a standard normal at u."""
    from scipy.special import erfcx, ndtr

    u = np.asarray(u, dtype=np.float64)
    near, middle, far = np.maximum(u, -1.0), np.clip(u, _SERIES_BELOW, -1.0), np.minimum(u, _SERIES_BELOW)
    direct = np.log(np.exp(-(near**2) / 2 - _LOG_SQRT_TAU) + near * ndtr(near))
    tail = -(middle**2) / 2 - _LOG_SQRT_TAU
    tail = tail + _log1mexp(np.log(erfcx(-middle / math.sqrt(2)) * -middle) + _LOG_SQRT_HALF_PI)
    square = far**2
    series = -square / 2 - _LOG_SQRT_TAU - 2 * np.log(-far) + np.log1p((-3 + (15 - 105 / square) / square) / square)
    return np.asarray(np.where(u > -1, direct, np.where(u > _SERIES_BELOW, tail, series)), dtype=np.float64)


def log_expected_improvement_of_logs(mean: ArrayLike, sd: ArrayLike, best: float) -> Floats:
    """log E max(exp(best) - exp(z), 0) where z, the log of the loss, is normal (Hutter et al. 2009); sd > 0.

    exp(best) Phi(v) - exp(mean + sd^2 / 2) Phi(v - sd) with v = (best - mean) / sd, as a difference of logarithms: it
    neither overflows nor turns negative by round-off.
    """
    from scipy.special import log_ndtr

    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    v = (best - mean) / sd
    gain, loss = best + log_ndtr(v), mean + sd**2 / 2 + log_ndtr(v - sd)
    answer = gain + _log1mexp(np.minimum(loss - gain, 0.0))
    return np.asarray(answer, dtype=np.float64)


def probability_of_improvement(mean: ArrayLike, sd: ArrayLike, best: float) -> Floats:
    """P(loss < best) for a normal loss, sd > 0."""
    from scipy.special import ndtr

    return np.asarray(ndtr((best - np.asarray(mean)) / np.asarray(sd)), dtype=np.float64)


def confidence_bound(mean: ArrayLike, sd: ArrayLike, beta: float) -> Floats:
    """How good the loss may well be: the negative of its lower bound, mean - sqrt(beta) sd (Srinivas et al. 2010)."""
    return np.asarray(math.sqrt(beta) * np.asarray(sd) - np.asarray(mean), dtype=np.float64)


def exploration(suggestion: int, dimensions: int) -> float:
    """A usual schedule for `beta` of `confidence_bound`: 0.2 d ln(2 t) at the t-th suggestion, t from 1."""
    return 0.2 * dimensions * math.log(2 * suggestion)


def log_acquisition(kind: Kind, mean: ArrayLike, sd: ArrayLike, best: float, beta: float) -> Floats:
    """The log of an acquisition that is positive: expected improvement, its probability, or the gain that the
    confidence bound promises (`log_gain`). `beta` is for the bound."""
    from scipy.special import log_ndtr

    match kind:
        case "ei":
            return log_expected_improvement(mean, sd, best)
        case "pi":
            return np.asarray(log_ndtr((best - np.asarray(mean)) / np.asarray(sd)), dtype=np.float64)
        case "bound":
            return log_gain(confidence_bound(mean, sd, beta) + best)


def log_gain(difference: ArrayLike) -> Floats:
    """log(log(1 + exp(difference))): the log of about the difference to the best loss where it is large.

    For what is a guess of the loss rather than an expected improvement, and may be worse than the best: it ranks points
    as the difference does everywhere, and is the log of something positive, which a belief can weigh.
    """
    difference = np.asarray(difference, dtype=np.float64)
    small = difference < -30.0  # log(1 + exp(x)) is exp(x) to all digits
    return np.where(small, difference, np.log(np.logaddexp(0.0, np.maximum(difference, -30.0))))


def prior_weight(log_values: ArrayLike, log_prior: ArrayLike, beta: float, suggestion: int) -> Floats:
    """Log acquisition values weighted by what the user believes (piBO, Hvarfner et al. 2022).

    The acquisition times prior^(beta / t) at the t-th suggestion of the model, t from 1: the belief rules at first and
    fades. `log_prior` is the log density of the points on the unit cube; a constant one leaves the ranking as it is.
    """
    assert suggestion >= 1
    belief = np.maximum(np.asarray(log_prior, dtype=np.float64), math.log(LEAST_PRIOR))
    return np.asarray(log_values, dtype=np.float64) + beta / suggestion * belief


def _log1mexp(x: Floats) -> Floats:
    """log(1 - exp(x)) for x <= 0, exact at both ends (Maechler 2012)."""
    with np.errstate(divide="ignore"):
        near = np.log(-np.expm1(x))
        far = np.log1p(-np.exp(x))
    return np.asarray(np.where(x > -math.log(2), near, far), dtype=np.float64)
