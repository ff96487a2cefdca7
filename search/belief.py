"""What the user believes, as samplers with a model take it: piBO (Hvarfner et al. 2022).

Before the model has trials to learn from, the mode of the prior is tried, and then draws from it. After that the values
by which the model compares candidates are multiplied by prior^(beta / t) at its t-th suggestion: the belief rules at
first, and fades as results come in. While it counts, some candidates are drawn from the prior, or a narrow one would
never be among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.acquisition import prior_weight
from search.history import Config, History
from search.points import points
from search.samplers import Origin
from search.surrogate import suggestion_number
from spaces import Space

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Belief:
    """The prior of a space at the t-th suggestion of the model, t from 1, with the weight `beta`."""

    space: Space
    beta: float
    number: int

    @property
    def exponent(self) -> float:
        return self.beta / self.number

    def weighted(self, log_values: Floats, at: Floats) -> Floats:
        """Log values weighted by the belief in the points of the unit cube that they belong to, shape [n, parameters].

        Parameters that are inactive, NaN, do not count.
        """
        return prior_weight(log_values, self.space.prior.log_density(at), self.beta, self.number)

    def candidates(self, rng: np.random.Generator, others: int) -> Floats:
        """Draws from the prior to compare with so many other candidates, shape [n, parameters], nothing inactive: as
        many while the exponent is 1 or more, then a share of them that falls with it, and at last none."""
        number = int(others * min(1.0, self.exponent))
        return self.space.prior.quantile(rng.random((number, len(self.space))))


def belief(space: Space, beta: float, history: History) -> Belief | None:
    """What is believed at the next suggestion; None where there are no priors, or no weight for them."""
    return Belief(space, beta, suggestion_number(history)) if space.has_prior and beta else None


def from_prior(space: Space, history: History, rng: np.random.Generator) -> tuple[Config, Origin]:
    """The prior's mode or, once a trial has it, a draw."""
    free, mode = points(space, history), space.prior_mode()
    if not free.taken(mode):
        return mode, {"rule": "prior", "probabilities": {"prior": 1.0}, "mode": True}
    config, left = free.new(rng, space.sample_prior)
    if left is not None:
        return config, {"rule": "uniform", "probabilities": {"uniform": 1.0}, "left": left}
    return config, {"rule": "prior", "probabilities": {"prior": 1.0}}
