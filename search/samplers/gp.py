"""Bayesian optimisation with a Gaussian process, through BoTorch (Balandat et al. 2020).

The losses of the trials, standardised, are explained by a process with one length scale per column of
`search.features`, fitted for each new result; the config with the best (log) expected improvement is tried next
(Ament et al. 2023). Pending trials are part of the improvement: the noisy form integrates over what they may bring, the
plain one takes the process's own expectation for their result (a "fantasy"), and so does the confidence bound. A draw
from the process (Thompson sampling) differs from trial to trial anyway.

The acquisition is maximised over real configs, in any space (`search.maximizer`); then the numbers of the best ones are
moved along its gradient, their choices fixed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement, UpperConfidenceBound
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.exceptions.warnings import BotorchWarning, OptimizationWarning
from botorch.models import SingleTaskGP
from botorch.optim.fit import fit_gpytorch_mll_scipy
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.sampling.pathwise import draw_matheron_paths
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.utils.warnings import GPInputWarning, NumericalWarning
from linear_operator.utils.errors import NanError, NotPSDError
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch.nn.functional import softplus

from search.acquisition import exploration
from search.actions import Sample
from search.features import Features
from search.history import Config, Ended, Event, History
from search.maximizer import Effort
from search.samplers import Origin, Streams
from search.samplers.model_based import ModelBased
from search.samplers.torch_scope import reproducible
from search.surrogate import Data, initial_trials, standardised, suggestion_number
from spaces import Space

Floats = NDArray[np.float64]
Form = Literal["noisy", "plain", "bound", "thompson"]
Function = Callable[[torch.Tensor], torch.Tensor]
"""From inputs, shape [n, 1, columns], to log acquisition values, shape [n]; larger is better."""

FIT_STEPS = 75
FIT_TOLERANCE = 1e-6
"""Of the log likelihood per trial: length scales no longer move by more than a percent or so."""
FIT_AT_MOST = 300
"""Trials that the length scales are fitted to, evenly chosen: more of them cost their cube and tell little more."""
POLISH_STEPS = 50
SAMPLES = 64
"""Draws from the posterior that the noisy form averages over."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class GPSampler:
    """`initial`: finished trials before the process is asked (None: max(d + 1, 5)). `acquisition`: expected improvement
    over the noisy or the plain incumbent, a confidence bound, or a draw from the process. `at_most`: trials that are
    learned from. `candidates`, `climbs`: see `search.maximizer`."""

    space: Space
    initial: int | None = None
    acquisition: Form = "noisy"
    at_most: int = 1000
    candidates: int = 1000
    climbs: int = 5
    prior_weight: float = 10.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        initial = initial_trials(len(self.space)) if self.initial is None else self.initial
        effort = Effort(self.candidates, self.climbs)
        base = ModelBased(self.space, initial, 0.0, self.prior_weight, self.at_most, effort)
        seed = int(streams("gp").integers(2**31 - 1))
        with calm(seed):
            fitted = history.view(self, lambda: _Fitted(self.space), sees="replicates")

            def fit(data: Data) -> _Improvement:
                beta = exploration(suggestion_number(history), len(self.space))
                return fitted.acquisition(data, self.acquisition, beta, seed)

            return base.sample(request, history, streams, fit)


@contextmanager
def calm(seed: int) -> Iterator[None]:
    """`reproducible`, and nothing warns of what is expected: a fit that stops early, jitter on a diagonal."""
    with reproducible(seed), warnings.catch_warnings():
        for expected in (BotorchWarning, OptimizationWarning, GPInputWarning, NumericalWarning):
            warnings.simplefilter("ignore", expected)
        yield


class _Fitted:
    """The view of the last fit, which holds until the next result: pending trials do not change it."""

    def __init__(self, space: Space) -> None:
        self._features = Features(space)
        self._model: SingleTaskGP | None = None

    def apply(self, event: Event, history: History) -> None:
        if isinstance(event, Ended):
            self._model = None

    def acquisition(self, data: Data, form: Form, beta: float, seed: int) -> _Improvement:
        inputs = torch.from_numpy(self._features(data.points))
        gains = torch.from_numpy(-standardised(data.losses))[:, None]
        if self._model is None:
            self._model = fitted(inputs, gains)
        model = self._model
        pending = torch.from_numpy(self._features(data.pending)) if len(data.pending) else None
        match form:
            case "noisy":
                function: Function = noisy(model, inputs, pending)
            case "plain":
                function = plain(model, inputs, gains, pending)
            case "bound":
                function = bound(model, inputs, gains, pending, beta)
            case "thompson":
                function = draw(model, gains, seed)
        return _Improvement(function, self._features)


class _Improvement:
    """An acquisition function on points of the space."""

    def __init__(self, function: Function, features: Features) -> None:
        self._function, self._features = function, features

    def score(self, points: Floats) -> Floats:
        inputs = torch.from_numpy(self._features(points))[:, None]
        with torch.no_grad():
            return np.concatenate([self._function(batch).numpy() for batch in torch.split(inputs, BATCH)])

    def polish(self, points: Floats) -> Floats:
        """Moves the numbers that are active along the gradient."""
        axes, columns = self._features.smooth, self._features.columns
        moving = ~np.isnan(points[:, axes])
        if not moving.any():
            return points
        inputs = torch.from_numpy(self._features(points))[:, None]
        free = torch.zeros_like(inputs, dtype=torch.bool)
        free[:, 0, torch.from_numpy(columns)] = torch.from_numpy(moving)

        def loss(values: Floats) -> tuple[float, Floats]:
            moved = torch.from_numpy(values).requires_grad_()
            total = -self._function(inputs.masked_scatter(free, moved)).sum()  # each point has its own term
            (gradient,) = torch.autograd.grad(total, moved)
            return float(total.detach()), gradient.numpy()

        start = inputs[free].numpy()
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(start),
            options={"maxiter": POLISH_STEPS},
        )
        polished = points.copy()
        polished[:, axes] = inputs.masked_scatter(free, torch.from_numpy(found.x))[:, 0, columns].numpy()
        polished[np.isnan(points)] = np.nan
        return polished


def fitted(inputs: torch.Tensor, gains: torch.Tensor) -> SingleTaskGP:
    """The process with the most probable length scales and noise (BoTorch's priors, which allow for many columns).

    Always from the same start, so it depends on the data alone; where the optimisation fails, the start is kept.
    """
    rows = torch.linspace(0, len(inputs) - 1, min(len(inputs), FIT_AT_MOST)).round().long()
    model = SingleTaskGP(inputs[rows], gains[rows], outcome_transform=None)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
    try:
        fit_gpytorch_mll_scipy(likelihood, options={"maxiter": FIT_STEPS, "ftol": FIT_TOLERANCE})
    except (NotPSDError, NanError):
        model.load_state_dict(start)
    model.eval()
    return model if len(rows) == len(inputs) else _given(model, inputs, gains)


def _given(model: SingleTaskGP, inputs: torch.Tensor, gains: torch.Tensor) -> SingleTaskGP:
    """The process with the same length scales and noise, on other data."""
    other = SingleTaskGP(inputs, gains, outcome_transform=None)
    other.load_state_dict(model.state_dict())
    other.eval()
    return other


def noisy(model: SingleTaskGP, inputs: torch.Tensor, pending: torch.Tensor | None) -> Function:
    """Log expected improvement over the best of what all trials may truly be, pending ones included."""
    sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=0)
    return qLogNoisyExpectedImprovement(model, inputs, sampler, X_pending=pending, prune_baseline=True)


def plain(model: SingleTaskGP, inputs: torch.Tensor, gains: torch.Tensor, pending: torch.Tensor | None) -> Function:
    """Log expected improvement over the best expectation of a trial, pending ones having theirs."""
    model, expected = fantasised(model, inputs, gains, pending)
    return LogExpectedImprovement(model, best_f=expected.max())


def bound(
    model: SingleTaskGP, inputs: torch.Tensor, gains: torch.Tensor, pending: torch.Tensor | None, beta: float
) -> Function:
    """The upper confidence bound of the gain, mean + sqrt(beta) sd (Srinivas et al. 2010), as a log."""
    model, expected = fantasised(model, inputs, gains, pending)
    upper = UpperConfidenceBound(model, beta)
    return lambda points: _log_gain(upper(points) - expected.max())


def draw(model: SingleTaskGP, gains: torch.Tensor, seed: int) -> Function:
    """One function drawn from the process (Thompson 1933; pathwise, Wilson et al. 2020), as a log of its gain."""
    with reproducible(seed):  # whether the model had to be fitted just now makes no difference
        path = draw_matheron_paths(model, torch.Size([1]))
    return lambda points: _log_gain(path(points.squeeze(-2))[0] - gains.max())


def fantasised(
    model: SingleTaskGP, inputs: torch.Tensor, gains: torch.Tensor, pending: torch.Tensor | None
) -> tuple[SingleTaskGP, torch.Tensor]:
    """The process given that pending trials bring what it expects, and the expectations of all trials."""
    with torch.no_grad():
        expected = model.posterior(inputs).mean
        if pending is None:
            return model, expected
        fantasies = model.posterior(pending).mean
        extended = _given(model, torch.cat((inputs, pending)), torch.cat((gains, fantasies)))
        return extended, torch.cat((expected, fantasies))


def _log_gain(difference: torch.Tensor) -> torch.Tensor:
    """As `search.acquisition.log_gain`, with gradients."""
    return torch.where(difference < -30, difference, softplus(difference.clamp(min=-30)).log())
