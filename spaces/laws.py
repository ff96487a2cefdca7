"""Probability laws on the unit cube: a product of one law per axis, with density and inverse distribution function.

The density is with respect to the cube, so the uniform law has log density 0, and that of a discrete value is its mass
over its width: the ratio of its probability under this law to that under the uniform one. Densities of different laws
can be compared at every point, whatever the types of the parameters.

Works on whole batches of points at once, all axes of a kind together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from spaces.domain import Domain, Interval, LogCells
from spaces.priors import Marginal, Normal, Weights

Array = NDArray[np.float64]
_LOG_SQRT_TAU = 0.5 * math.log(2 * math.pi)


def log_interval(low: Array, high: Array) -> Array:
    """log(Phi(high) - Phi(low)) of the standard normal for low < high; exact in both tails and for narrow intervals."""
    swap = low + high > 0  # the left tail is the one with all digits
    a, b = np.where(swap, -high, low), np.where(swap, -low, high)
    width, middle = b - a, (a + b) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        log_b = log_ndtr(b)
        wide = log_b + np.log1p(-np.exp(log_ndtr(a) - log_b))
        # the difference would cancel: the density in the middle, with the second-order term
        narrow = np.log(width) - middle**2 / 2 - _LOG_SQRT_TAU + np.log1p((middle**2 - 1) * width**2 / 24)
    is_narrow = width * np.maximum(1.0, np.abs(middle)) < 1e-3
    answer: Array = np.where(is_narrow, narrow, wide)
    return answer


class Law:
    """The product of the marginals, one per axis (None: uniform); the domains say which axes have cells."""

    def __init__(self, domains: Sequence[Domain], marginals: Sequence[Marginal | None]) -> None:
        self.dimensions = len(domains)
        normal = [(axis, m) for axis, m in enumerate(marginals) if isinstance(m, Normal)]
        self._normal = np.array([axis for axis, _ in normal], dtype=np.intp)
        self._mean = np.array([m.mean for _, m in normal])
        self._sigma = np.array([m.sigma for _, m in normal])
        self._log_total = log_interval(-self._mean / self._sigma, (1 - self._mean) / self._sigma)

        of_normal = [domains[axis] for axis, _ in normal]
        cells = [None if isinstance(domain, Interval) else domain.cells for domain in of_normal]
        self._smooth = np.array([c is None for c in cells], dtype=bool)
        self._log_scaled = np.array([isinstance(c, LogCells) for c in cells], dtype=bool)
        self._count = np.array([1.0 if c is None else float(c.count) for c in cells])
        self._start = np.array([c.start if isinstance(c, LogCells) else 1.0 for c in cells])
        self._log_range = np.log1p(self._count / self._start)

        weighted = [(axis, m.probabilities) for axis, m in enumerate(marginals) if isinstance(m, Weights)]
        self._weighted = np.array([axis for axis, _ in weighted], dtype=np.intp)
        counts = np.array([len(p) for _, p in weighted], dtype=np.int64)
        self._choices = counts
        self._offset = np.concatenate(([0], np.cumsum(counts)[:-1])) if weighted else counts
        flat = [math.log(share * len(p)) for _, p in weighted for share in p]
        self._log_weight = np.array(flat)
        self._shares = [np.array(p) for _, p in weighted]
        self._edges = [np.concatenate(([0.0], np.cumsum(p)[:-1], [1.0])) for _, p in weighted]

    def log_density(self, points: Array) -> Array:
        """The log densities at points of shape [n, dimensions]; axes that have NaN (inactive ones) count nothing."""
        total: Array = np.zeros(len(points))
        if self._normal.size:
            total = total + np.nansum(self._log_normal(points[:, self._normal]), axis=1)
        if self._weighted.size:
            u = points[:, self._weighted]
            inactive = np.isnan(u)
            cell = np.minimum((np.where(inactive, 0.0, u) * self._choices).astype(np.int64), self._choices - 1)
            total = total + np.where(inactive, 0.0, self._log_weight[self._offset + cell]).sum(axis=1)
        return total

    def quantile(self, points: Array) -> Array:
        """Maps uniform points, shape [n, dimensions], to points that follow this law, axis by axis and in order."""
        mapped = points.copy()
        if self._normal.size:
            p = points[:, self._normal]
            below, above = ndtr(-self._mean / self._sigma), ndtr((self._mean - 1) / self._sigma)
            inside = 1 - below - above
            left, right = below + p * inside, above + (1 - p) * inside
            z = np.where(left <= 0.5, ndtri(np.minimum(left, 0.5)), -ndtri(np.minimum(right, 0.5)))  # by the near tail
            mapped[:, self._normal] = np.clip(self._mean + self._sigma * z, 0.0, 1.0)
        for axis, edges, shares in zip(self._weighted, self._edges, self._shares, strict=True):
            p = points[:, axis]
            cell = np.minimum(np.searchsorted(edges, p, side="right") - 1, len(shares) - 1)
            within = np.clip((p - edges[cell]) / shares[cell], 0.0, 1 - 1e-9)
            mapped[:, axis] = (cell + within) / len(shares)
        return mapped

    def _log_normal(self, u: Array) -> Array:
        """Shape [n, normal axes]; NaN stays NaN."""
        with np.errstate(invalid="ignore"):
            z = (u - self._mean) / self._sigma
            log_density: Array = -(z**2) / 2 - _LOG_SQRT_TAU - np.log(self._sigma)
        if not self._smooth.all():
            low, high = self._cell_edges(u)
            within = log_interval((low - self._mean) / self._sigma, (high - self._mean) / self._sigma)
            log_density = np.where(self._smooth, log_density, within - np.log(high - low))
        return log_density - self._log_total

    def _cell_edges(self, u: Array) -> tuple[Array, Array]:
        """The ends of the cells that hold these coordinates; of axes without cells, the whole interval."""
        by_log = self._start * np.expm1(u * self._log_range)
        cell = np.minimum(np.floor(np.where(self._log_scaled, by_log, u * self._count)), self._count - 1)
        low, high = (
            np.where(self._log_scaled, np.log1p(edge / self._start) / self._log_range, edge / self._count)
            for edge in (cell, cell + 1)
        )
        return low, high
