"""DNGO: Bayesian linear regression on the last layer of a neural network (Snoek et al. 2015).

A small network learns features of a config by fitting the losses; on these features a linear model gives mean and
uncertainty. The cost grows linearly with the trials (a Gaussian process's with their cube), so it is for long studies.

The precisions of the weights (alpha) and of the noise (beta) are integrated out on a grid: with the eigenvalues of the
features at hand, the evidence of each pair is a sum, so the grid is exact to its mesh where sampling would be noisy.
Pending trials are taken to have the loss that the model expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.acquisition import Kind, exploration, log_acquisition, log_gain
from search.actions import Sample
from search.features import Features
from search.history import Config, Ended, Event, History
from search.maximizer import Effort
from search.samplers import Origin, Streams
from search.samplers.model_based import ModelBased
from search.samplers.threads import one_thread
from search.surrogate import Data, standardised, suggestion_number
from spaces import Space

Floats = NDArray[np.float64]

WIDTH = 50
LEARNING_RATE = 0.01
BATCH = 10
MAX_BATCHES = 20
"""Per epoch. With more than BATCH * MAX_BATCHES trials the batches grow instead, so the time does not."""
LOG_ALPHA = np.linspace(-8.0, 8.0, 25)
LOG_BETA = np.linspace(-2.0, 12.0, 25)
LEAST_SHARE = 1e-3
"""Pairs that explain the losses worse than the best one by more than this factor are left out."""


@dataclass(frozen=True, slots=True)
class DngoSampler:
    """`initial`: finished trials before the network is asked (None: max(d + 1, 10)). `epochs`: of its training.
    `acquisition`: expected improvement, its probability, a confidence bound, or a draw from the posterior (Thompson
    sampling). `at_most`: trials that are learned from. `candidates`, `climbs`: see `search.maximizer`."""

    space: Space
    initial: int | None = None
    epochs: int = 500
    acquisition: Kind | Literal["thompson"] = "ei"
    at_most: int = 5000
    candidates: int = 2000
    climbs: int = 10
    prior_weight: float = 10.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        initial = max(len(self.space) + 1, 10) if self.initial is None else self.initial
        effort = Effort(self.candidates, self.climbs)
        base = ModelBased(self.space, initial, 0.0, self.prior_weight, self.at_most, effort)
        trained = history.view(self, lambda: _Trained(self), sees="replicates")
        # the network is trained once per result, so its stream has the number of the result, not of the trial
        rng = streams.of(trained.results)("network")

        def fit(data: Data) -> _Improvement | _Draw:
            network, model, best = trained.on(data, rng)
            if self.acquisition == "thompson":
                return _Draw(network, model.draw(streams("weights")), trained.features, best)
            beta = exploration(suggestion_number(history), len(self.space))
            return _Improvement(network, model, trained.features, best, self.acquisition, beta)

        with one_thread():
            return base.sample(request, history, streams, fit)


class _Trained:
    """The view of the last network, which holds until the next result: pending trials do not change it."""

    def __init__(self, sampler: DngoSampler) -> None:
        self.results = 0
        self.features = Features(sampler.space)
        self._epochs = sampler.epochs
        self._network: Network | None = None

    def apply(self, event: Event, history: History) -> None:
        if isinstance(event, Ended):
            self.results += 1
            self._network = None

    def on(self, data: Data, rng: np.random.Generator) -> tuple[Network, Regression, float]:
        """The network, the regression on its features (pending trials included), and the least loss, standardised."""
        inputs, targets = self.features(data.points), standardised(data.losses)
        if self._network is None:
            self._network = Network.trained(inputs, targets, self._epochs, rng)
        basis = self._network.basis(inputs)
        model = Regression.integrated(basis, targets)
        if len(data.pending):
            pending = self._network.basis(self.features(data.pending))
            fantasies, _ = model.predict(pending)
            model = model.given(np.concatenate((basis, pending)), np.concatenate((targets, fantasies)))
        return self._network, model, float(targets.min())


@dataclass(frozen=True, slots=True)
class _Improvement:
    network: Network
    model: Regression
    features: Features
    best: float
    kind: Kind
    beta: float

    def score(self, points: Floats) -> Floats:
        mean, variance = self.model.predict(self.network.basis(self.features(points)))
        return log_acquisition(self.kind, mean, np.sqrt(variance), self.best, self.beta)

    def polish(self, points: Floats) -> Floats:
        return points  # the climbs' last steps are as fine as such a model deserves


@dataclass(frozen=True, slots=True)
class _Draw:
    """The gain over the best loss under one draw of the weights (Thompson 1933)."""

    network: Network
    weights: Floats
    features: Features
    best: float

    def score(self, points: Floats) -> Floats:
        return log_gain(self.best - self.network.basis(self.features(points)) @ self.weights)

    def polish(self, points: Floats) -> Floats:
        return points


class Network:
    """Three tanh layers of 50 units on standardised inputs; `basis` is the last of them, with a column of ones."""

    def __init__(self, inputs: Floats, rng: np.random.Generator) -> None:
        self._mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        sizes = [inputs.shape[1], WIDTH, WIDTH, WIDTH, 1]
        self._shapes = [(size + 1, width) for size, width in pairwise(sizes)]
        # uniform within 1 / sqrt(inputs) of the unit, the biases (the last rows) too
        draws = [rng.uniform(-1, 1, shape) / np.sqrt(shape[0] - 1) for shape in self._shapes]
        self._parameters = np.concatenate([draw.ravel() for draw in draws])
        self._layers = self._matrices(self._parameters)

    @classmethod
    def trained(cls, inputs: Floats, targets: Floats, epochs: int, rng: np.random.Generator) -> Network:
        """Fitted to targets of unit variance by least squares, with Adam (Kingma and Ba 2015)."""
        network = cls(inputs, rng)
        x = network._standardised(inputs)
        gradient = np.empty_like(network._parameters)
        first, second = np.zeros_like(gradient), np.zeros_like(gradient)
        step, batches = 0, min(-(-len(x) // BATCH), MAX_BATCHES)
        for _ in range(epochs):
            for rows in np.array_split(rng.permutation(len(x)), batches):
                step += 1
                network._backward(x[rows], targets[rows], gradient)
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                rate = LEARNING_RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                network._parameters -= rate * first / (np.sqrt(second) + 1e-8)
        return network

    def basis(self, inputs: Floats) -> Floats:
        """Shape [n, columns] to shape [n, 51]."""
        return _with_ones(self._hidden(self._standardised(inputs))[-1])

    def _standardised(self, inputs: Floats) -> Floats:
        return np.asarray((inputs - self._mean) / self._scale, dtype=np.float64)

    def _matrices(self, flat: Floats) -> list[Floats]:
        """The layers' parts of a vector of all parameters, as views of it."""
        ends = np.cumsum([rows * columns for rows, columns in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), self._shapes, strict=True)]

    def _hidden(self, x: Floats) -> list[Floats]:
        """The input and the values of the hidden layers."""
        values = [x]
        for layer in self._layers[:-1]:
            values.append(np.tanh(values[-1] @ layer[:-1] + layer[-1]))
        return values

    def _backward(self, x: Floats, targets: Floats, gradient: Floats) -> None:
        """Writes the gradient of the mean squared error."""
        values, layers, parts = self._hidden(x), self._layers, self._matrices(gradient)
        predicted = values[-1] @ layers[-1][:-1] + layers[-1][-1]
        error = 2 / len(x) * (predicted - targets[:, None])
        for depth in range(len(layers) - 1, -1, -1):
            parts[depth][:-1], parts[depth][-1] = values[depth].T @ error, error.sum(axis=0)
            if depth:
                error = error @ layers[depth][:-1].T * (1 - values[depth] ** 2)


@dataclass(frozen=True, slots=True)
class Regression:
    """Bayesian linear regressions on the same data, mixed: weights N(0, 1 / alpha), noise N(0, 1 / beta).

    With B'B = V diag(eigenvalues) V', the precision of the weights beta B'B + alpha I is diagonal along V for every
    alpha and beta, so all of them together cost little more than one. Column k of `means` and `variances`, shape
    [width, k], is the posterior of the weights along V; `shares`, shape [k], sum to one.
    """

    axes: Floats
    means: Floats
    variances: Floats
    alpha: Floats
    beta: Floats
    shares: Floats

    @classmethod
    def of(cls, basis: Floats, targets: Floats, alpha: Floats, beta: Floats, shares: Floats) -> Regression:
        axes, eigenvalues, along = _along_axes(basis, targets)
        variances = 1 / (alpha + beta * eigenvalues[:, None])
        return cls(axes, beta * variances * along[:, None], variances, alpha, beta, shares)

    @classmethod
    def integrated(cls, basis: Floats, targets: Floats) -> Regression:
        """Mixed over the grid of precisions, by how well each pair explains the targets."""
        alpha, beta = (grid.ravel() for grid in np.meshgrid(np.exp(LOG_ALPHA), np.exp(LOG_BETA)))
        evidence = log_evidence(basis, targets, alpha, beta)
        shares = np.exp(evidence - evidence.max())
        kept = shares >= LEAST_SHARE
        return cls.of(basis, targets, alpha[kept], beta[kept], shares[kept] / shares[kept].sum())

    def given(self, basis: Floats, targets: Floats) -> Regression:
        """The same precisions and shares, other data."""
        return self.of(basis, targets, self.alpha, self.beta, self.shares)

    def predict(self, basis: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the noiseless value at each row."""
        along = basis @ self.axes
        means = along @ self.means
        mean = means @ self.shares
        spread = (means - mean[:, None]) ** 2 @ self.shares
        variance = along**2 @ (self.variances @ self.shares) + spread
        return mean, np.maximum(variance, 1e-12)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Weights drawn from the mixture of posteriors, shape [width]."""
        pair = rng.choice(len(self.shares), p=self.shares)
        along = self.means[:, pair] + np.sqrt(self.variances[:, pair]) * rng.standard_normal(len(self.means))
        return np.asarray(self.axes @ along, dtype=np.float64)


def log_evidence(basis: Floats, targets: Floats, alpha: Floats, beta: Floats) -> Floats:
    """log p(targets | basis, alpha, beta) for each pair, shape [pairs]."""
    _, eigenvalues, along = _along_axes(basis, targets)
    precision = alpha + beta * eigenvalues[:, None]
    # beta |y - Bm|^2 + alpha |m|^2 at the posterior mean m
    misfit = beta * (targets @ targets) - beta**2 * (along[:, None] ** 2 / precision).sum(axis=0)
    gain = basis.shape[1] * np.log(alpha) - np.log(precision).sum(axis=0)
    return np.asarray((gain + len(targets) * np.log(beta / (2 * np.pi)) - misfit) / 2, dtype=np.float64)


def _along_axes(basis: Floats, targets: Floats) -> tuple[Floats, Floats, Floats]:
    """The eigenvectors and eigenvalues of B'B, and B'y along the former."""
    eigenvalues, axes = np.linalg.eigh(basis.T @ basis)
    return axes, np.maximum(eigenvalues, 0.0), axes.T @ (basis.T @ targets)


def _with_ones(columns: Floats) -> Floats:
    return np.concatenate((columns, np.ones((len(columns), 1))), axis=1)
