"""Bayesian optimisation of architectures: a Gaussian process whose kernel compares architectures, not choices.

NASBOT (Kandasamy et al. 2018) compares them by optimal transport (`search.transport`); BANANAS (White et al. 2021) by
the paths that lead through them, one bit per path. What else the space has, the recipe, is compared by its columns
(`search.features`); the kernel is the product of both. Expected improvement is maximised by evolution: mutations of the
best trials, and of what promises most.

Scales and noise are chosen from a grid by the likelihood, so that round-off does not decide what is suggested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search import transport
from search.acquisition import log_expected_improvement
from search.actions import Sample
from search.features import Features
from search.history import Config, Ended, Event, History
from search.points import Points, points
from search.samplers import Origin, Streams
from search.samplers.random import RandomSampler
from search.samplers.variation import mutated
from search.surrogate import Data, standardised, training_data
from spaces import Space
from spaces.architectures import Architecture, of_space

Floats = NDArray[np.float64]
Comparison = Literal["transport", "paths"]

SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""How fast the covariance falls with the distance, per mean distance of two trials."""
NOISES = (1e-4, 1e-2, 1e-1, 0.5)
"""Variances of the noise, in those of the process."""
EDITS = (0.5, 0.25, 0.125, 0.075, 0.05)
"""The probabilities of 1, 2, ... mutations at once."""
ROUNDS = 5
PARENTS = 10
KEPT = 1000
"""So many encoded architectures are remembered."""


@dataclass(frozen=True, slots=True)
class Nasbot:
    """`initial`: uniform draws until so many trials have finished. `distance`: how architectures are compared.
    `candidates`: configs that are looked at per suggestion. `at_most`: trials that are learned from."""

    space: Space
    initial: int = 10
    distance: Comparison = "transport"
    candidates: int = 200
    at_most: int = 200

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        data = training_data(self.space, history, self.initial, self.at_most)
        if data is None:
            return RandomSampler(self.space).sample(request, history, streams)
        memory = history.view(self, lambda: _Memory(self.space, self.distance), sees="replicates")
        free, rng = points(self.space, history), streams("config")
        process = memory.process(data)
        promising = _promising(self, data, process, free, rng)
        score, exhausted = 0.0, False

        def draw(rng: np.random.Generator) -> Config:
            nonlocal score, exhausted
            best = next(promising, None)
            if best is None:
                exhausted = True
                return self.space.sample(rng)
            config, score = best
            return config

        config, left = free.new(rng, draw)
        if left is not None or exhausted:
            origin: dict[str, Any] = {"rule": "uniform", "probabilities": {"uniform": 1.0}}
            return config, origin if left is None else {**origin, "left": left}
        origin = {"rule": "model", "probabilities": {"model": 1.0}, "succeeded": data.successes, "failed": data.failed}
        # fewer digits than a sum has whose terms may be added in another order on another machine
        return config, {**origin, "pending": len(data.pending), "log_acquisition": float(f"{score:.5g}")}


def _promising(
    options: Nasbot, data: Data, process: Process, free: Points, rng: np.random.Generator
) -> Iterator[tuple[Config, float]]:
    """New configs with their log expected improvement, the best first: half of them uniform and from the best trials,
    then rounds of mutations of those that promise most."""
    space = options.space
    best = [space.decode(point) for point in data.points[np.argsort(data.losses, kind="stable")[:PARENTS]]]
    found: dict[str, tuple[Config, float]] = {}

    def look(configs: Sequence[Config]) -> None:
        new = {space.key(config): config for config in configs if not free.taken(config)}
        new = {key: config for key, config in new.items() if key not in found}
        scores = process.improvement(list(new.values())) if new else ()
        found.update({key: (new[key], float(score)) for key, score in zip(new, scores, strict=True)})

    def child(parents: Sequence[Config]) -> Config:
        config = parents[int(rng.integers(len(parents)))]
        for _ in range(1 + int(rng.choice(len(EDITS), p=EDITS))):
            config = mutated(space, config, rng)
        return config

    size = max(options.candidates // (ROUNDS + 1), 1)
    look([*(space.sample(rng) for _ in range(size // 2)), *(child(best) for _ in range(size - size // 2))])
    for _ in range(ROUNDS):
        leading = sorted(found.values(), key=lambda each: -each[1])[:PARENTS]
        look([child([config for config, _ in leading] or best) for _ in range(size)])
    return iter(sorted(found.values(), key=lambda each: -each[1]))


class _Memory:
    """The view of the last fit, which holds until the next result, and of what architectures were encoded as."""

    def __init__(self, space: Space, comparison: Comparison) -> None:
        self._compare = Comparer(space, comparison)
        self._process: Process | None = None

    def apply(self, event: Event, history: History) -> None:
        if isinstance(event, Ended):
            self._process = None

    def process(self, data: Data) -> Process:
        if self._process is None:
            self._process = Process.fitted(self._compare, data)
        return self._process.given(data.pending)


class Comparer:
    """Distances between configs, from points of the unit cube: those of the architectures, and of the recipes."""

    def __init__(self, space: Space, comparison: Comparison) -> None:
        architecture = of_space(space)
        assert architecture is not None, "refused before"
        self.space = space
        self._architecture: Architecture = architecture
        self._transported = comparison == "transport"
        self._encoded: dict[str, Any] = {}
        self._features = Features(space)
        # of an architecture the choices make the graph; its numbers, such as widths, are told apart like others
        own = {each["name"] for each in architecture.parameters()}
        recipe = [p.name not in own or p.domain.ordered for p in space]
        self._recipe = np.array(recipe, dtype=np.bool_)[self._features.axes]

    @property
    def has_recipe(self) -> bool:
        return bool(self._recipe.any())

    def recipes(self, one: Floats, other: Floats) -> Floats:
        """Squared distances, shape [one, other]."""
        a, b = (self._features(each)[:, self._recipe] for each in (one, other))
        return np.asarray(np.square(a[:, None] - b).sum(axis=2), dtype=np.float64)

    def architectures(self, one: Sequence[Config], other: Sequence[Config]) -> Floats:
        """Shape [one, other]: the costs of transport, or how many paths only one of the two has."""
        a, b = ([self._code(config) for config in configs] for configs in (one, other))
        if self._transported and one is other:
            half = np.zeros((len(a), len(a)))
            for row, x in enumerate(a):
                half[row, :row] = [transport.distance(x, y) for y in a[:row]]
            return half + half.T
        if self._transported:
            return np.array([[transport.distance(x, y) for y in b] for x in a], dtype=np.float64)
        x, y = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)
        return np.asarray(x.sum(axis=1)[:, None] + y.sum(axis=1) - 2 * x @ y.T, dtype=np.float64)

    def _code(self, config: Config) -> Any:
        key = self._architecture.genotype(config)
        if key not in self._encoded:
            if len(self._encoded) >= KEPT:
                del self._encoded[next(iter(self._encoded))]
            graphs = self._architecture.operations(config)
            coded = [transport.layers(graph) for graph in graphs] if self._transported else None
            self._encoded[key] = coded if coded is not None else self._architecture.path_encoding(config)
        return self._encoded[key]


@dataclass(frozen=True, slots=True)
class Process:
    """A Gaussian process with unit prior variance, times `variance`, given `gains` (negative losses, standardised) at
    `points`; `weights` and `inverse` are of its covariance matrix with noise."""

    compare: Comparer
    points: Floats
    gains: Floats
    rates: tuple[float, float]
    noise: float
    variance: float
    inverse: Floats

    @classmethod
    def fitted(cls, compare: Comparer, data: Data) -> Process:
        gains = -standardised(data.losses)
        configs = [compare.space.decode(point) for point in data.points]
        distances = compare.architectures(configs, configs), compare.recipes(data.points, data.points)
        means = [float(each.mean()) or 1.0 for each in distances]
        rates = product(
            [scale / means[0] for scale in SCALES],
            [scale / means[1] for scale in SCALES] if compare.has_recipe else [0.0],
        )
        fits = []
        for rate in rates:
            values, vectors = _positive(_covariance(distances, rate))
            turned = vectors.T @ gains
            for noise in NOISES:
                spectrum = values + noise
                variance = max(float((turned**2 / spectrum).mean()), 1e-12)
                likelihood = -0.5 * (len(gains) * np.log(variance) + np.log(spectrum).sum())
                fits.append((float(f"{likelihood:.9g}"), rate, noise, variance))
        _, rate, noise, variance = max(fits, key=lambda fit: fit[0])
        values, vectors = _positive(_covariance(distances, rate))
        inverse = (vectors / (values + noise)) @ vectors.T
        return cls(compare, data.points, gains, rate, noise, variance, inverse)

    def given(self, pending: Floats) -> Process:
        """The process given that pending trials bring what it expects of them."""
        if not len(pending):
            return self
        expected, _ = self.predicted([self.compare.space.decode(point) for point in pending])
        points = np.concatenate((self.points, pending))
        configs = [self.compare.space.decode(point) for point in points]
        distances = self.compare.architectures(configs, configs), self.compare.recipes(points, points)
        values, vectors = _positive(_covariance(distances, self.rates))
        inverse = (vectors / (values + self.noise)) @ vectors.T
        gains = np.concatenate((self.gains, expected))
        return Process(self.compare, points, gains, self.rates, self.noise, self.variance, inverse)

    def predicted(self, configs: Sequence[Config]) -> tuple[Floats, Floats]:
        """The expected gains and their standard deviations, without the noise; shape [configs] each."""
        space = self.compare.space
        seen = [space.decode(point) for point in self.points]
        there = np.array([space.encode(config) for config in configs])
        distances = self.compare.architectures(configs, seen), self.compare.recipes(there, self.points)
        between = _covariance(distances, self.rates)
        mean = between @ (self.inverse @ self.gains)
        explained = np.einsum("ij,jk,ik->i", between, self.inverse, between)
        return mean, np.sqrt(self.variance * np.maximum(1 - explained, 1e-12))

    def improvement(self, configs: Sequence[Config]) -> Floats:
        """The log of the expected improvement over the best expectation of a trial, shape [configs]."""
        best = (self.gains - self.noise * (self.inverse @ self.gains)).max()
        mean, sd = self.predicted(configs)
        return log_expected_improvement(-mean, sd, -float(best))


def _covariance(distances: tuple[Floats, Floats], rates: tuple[float, float]) -> Floats:
    return np.asarray(np.exp(-rates[0] * distances[0] - rates[1] * distances[1]), dtype=np.float64)


def _positive(matrix: Floats) -> tuple[Floats, Floats]:
    """Its eigenvalues, those below 0 as 0, and eigenvectors: transport does not promise a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values, 0.0), vectors
