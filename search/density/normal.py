"""Normal distributions truncated to the unit interval: densities, masses and draws, elementwise on arrays.

Means lie in [0, 1], so the normalising mass is at least that of half an interval and its logarithm needs no care.
"""

from __future__ import annotations

from math import log, pi

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_SQRT_2PI = 0.5 * log(2 * pi)
TINY = 1e-300
"""Stands for masses that are too small for a double; the kernels around them outweigh it by far."""


def cdf(z: Floats) -> Floats:
    """The standard normal distribution function."""
    from scipy.special import ndtr  # loaded by the first model, not by `import search`

    return np.asarray(ndtr(z), dtype=np.float64)


def log_normaliser(mean: Floats, sd: Floats) -> Floats:
    """ln of the mass that N(mean, sd) has on [0, 1]."""
    return np.log(cdf((1.0 - mean) / sd) - cdf(-mean / sd))


def log_mass(lower: Floats, upper: Floats, mean: Floats, sd: Floats) -> Floats:
    """ln of the mass that N(mean, sd) has on [lower, upper], not truncated.

    The two distribution values are taken on the side of the mean on which they are small, where their difference is
    exact.
    """
    a, b = (lower - mean) / sd, (upper - mean) / sd
    flip = a > -b
    return np.log(np.maximum(cdf(np.where(flip, -a, b)) - cdf(np.where(flip, -b, a)), TINY))


def draw(u: Floats, mean: Floats, sd: Floats) -> Floats:
    """The truncated normal's values at the levels u in [0, 1) (inverse distribution function)."""
    from scipy.special import ndtri

    low, high = cdf(-mean / sd), cdf((1.0 - mean) / sd)
    return np.asarray(np.clip(mean + sd * ndtri(low + u * (high - low)), 0.0, 1.0), dtype=np.float64)
