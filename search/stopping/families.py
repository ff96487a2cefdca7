"""Parametric shapes of learning curves (Domhan et al. 2015): scores in about [0, 1] that grow towards a limit.

Each is a function of x = 1, 2, ... and of its parameters, with parameters to start a fit from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Family:
    """`curve(x, *parameters)`; `start` holds the default parameters."""

    curve: Callable[..., Array]
    start: tuple[float, ...]


def _vap(x: Array, a: float, b: float, c: float) -> Array:
    return np.exp(a + b / x + c * np.log(x))


def _pow3(x: Array, c: float, a: float, alpha: float) -> Array:
    return c - a * x**-alpha


def _ilog2(x: Array, c: float, a: float) -> Array:
    return c - a / np.log(x + 1)


def _janoschek(x: Array, a: float, beta: float, k: float, delta: float) -> Array:
    return a - (a - beta) * np.exp(-k * x**delta)


def _hill3(x: Array, theta: float, eta: float, kappa: float) -> Array:
    return theta / ((kappa / x) ** eta + 1)


def _weibull(x: Array, alpha: float, beta: float, kappa: float, delta: float) -> Array:
    return alpha - (alpha - beta) * np.exp(-((kappa * x) ** delta))


def _mmf(x: Array, alpha: float, beta: float, kappa: float, delta: float) -> Array:
    return alpha - (alpha - beta) / (1 + (kappa * x) ** delta)


def _log_power(x: Array, a: float, b: float, c: float) -> Array:
    return a / (1 + np.exp(c * (np.log(x) - b)))


def _exp4(x: Array, c: float, a: float, b: float, alpha: float) -> Array:
    return c - np.exp(-a * x**alpha + b)


def _pow4(x: Array, c: float, a: float, b: float, alpha: float) -> Array:
    return c - (a * x + b) ** -alpha


FAMILIES = {
    "vap": Family(_vap, (-0.622028, -0.470050, 0.042322)),
    "pow3": Family(_pow3, (0.84, 0.52, 0.01)),
    "ilog2": Family(_ilog2, (0.78, 0.43)),
    "janoschek": Family(_janoschek, (0.73, 0.07, 0.355, 0.46)),
    "hill3": Family(_hill3, (0.772320, 0.586449, 2.460843)),
    "weibull": Family(_weibull, (0.7, 0.1, 0.01, 1.0)),
    "mmf": Family(_mmf, (0.7, 0.1, 0.01, 5.0)),
    "log_power": Family(_log_power, (0.77, 2.98, -0.51)),
    "exp4": Family(_exp4, (0.7, 0.8, -0.8, 0.3)),
    "pow4": Family(_pow4, (0.8, 200.0, 0.0, 0.1)),
}
