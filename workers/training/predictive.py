"""Predicted distributions of numbers: mixtures of Gaussians, and what the task `uncertainty` judges them by.

    p(y) = sum over k of w_k N(y; m_k, s_k²)

One Gaussian is a mixture of one; the answers of several networks are a mixture, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

CENTRAL = 0.9  # the part of the distribution that the interval of `coverage_error` is to hold


LEAST = 1e-30  # a weight of 0 would have no gradient


@dataclass(frozen=True, slots=True)
class Mixture:
    """`weights` (that sum to 1), `means` and positive `deviations`, all [n, outputs, components]."""

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    def gaussian(cls, mean: Tensor, deviation: Tensor) -> Mixture:
        """One component; both [n, outputs]."""
        return cls(torch.ones_like(mean)[..., None], mean[..., None], deviation.expand_as(mean)[..., None])

    def log_density(self, y: Tensor) -> Tensor:
        """[n, outputs] for y [n, outputs]."""
        z = (y[..., None] - self.means) / self.deviations
        logs = self.weights.clamp_min(LEAST).log() - z.square() / 2 - self.deviations.log() - math.log(2 * math.pi) / 2
        return torch.logsumexp(logs, dim=-1)

    def cdf(self, y: Tensor) -> Tensor:
        """P(Y <= y), [n, outputs] for y [n, outputs]."""
        z = (y[..., None] - self.means) / self.deviations
        return (self.weights * _below(z)).sum(dim=-1)

    @property
    def mean(self) -> Tensor:
        """[n, outputs]"""
        return (self.weights * self.means).sum(dim=-1)

    @property
    def deviation(self) -> Tensor:
        """[n, outputs]: of the whole distribution, by the law of total variance."""
        spread = (self.means - self.mean[..., None]).square()
        return (self.weights * (self.deviations.square() + spread)).sum(dim=-1).sqrt()

    def crps(self, y: Tensor) -> Tensor:
        """The continuous ranked probability score E|Y - y| - E|Y - Y'|/2, [n, outputs]; Y and Y' are independent.

        In closed form: E|Z| of a Gaussian Z is known, and so are all the differences here (E. Grimit, T. Gneiting,
        V. Berrocal and N. Johnson, The continuous ranked probability score for circular variables, 2006).
        """
        apart = self.means[..., :, None] - self.means[..., None, :]
        both = (self.deviations[..., :, None].square() + self.deviations[..., None, :].square()).sqrt()
        pairs = self.weights[..., :, None] * self.weights[..., None, :]
        near = (self.weights * _mean_magnitude(y[..., None] - self.means, self.deviations)).sum(dim=-1)
        return near - (pairs * _mean_magnitude(apart, both)).sum(dim=(-2, -1)) / 2

    def scores(self, y: Tensor, unit: Tensor) -> Mapping[str, float]:
        """The task's scores for standardized targets y [n, outputs]; `unit` [outputs] is what they were divided by.

        A target lies in the central 90 % interval where the distribution has 5 to 95 % below it.
        """
        margin = (1 - CENTRAL) / 2
        below = self.cdf(y)
        covered = ((below >= margin) & (below <= 1 - margin)).double().mean()
        return {
            "nll": float(-self.log_density(y).sum(dim=-1).mean()),
            "crps": float(self.crps(y).mean()),
            "coverage_error": abs(float(covered) - CENTRAL),
            "rmse": math.sqrt(float(((self.mean - y) * unit).square().mean())),
        }


def _mean_magnitude(mean: Tensor, deviation: Tensor) -> Tensor:
    """E|Z| for Z ~ N(mean, deviation²)."""
    z = mean / deviation
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return 2 * deviation * density + mean * (2 * _below(z) - 1)


def _below(z: Tensor) -> Tensor:
    """P(Z <= z) for Z ~ N(0, 1)."""
    share: Tensor = torch.special.ndtr(z)
    return share
