"""What the samplers with a surrogate model share: the first trials, some uniform ones, and the model's best otherwise.

The first trials are points of a Sobol sequence, or draws from the prior where there is one, its mode first. Then a
model is fitted to the losses (`search.surrogate`) and the config with the best acquisition value is tried
(`search.maximizer`). The user's prior weighs the acquisition, less and less (`search.belief`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.belief import Belief, belief, from_prior
from search.history import Config, History
from search.maximizer import Effort, Polish, Proposals, Score
from search.points import points
from search.samplers import Origin, Streams
from search.samplers.sobol import SobolSampler
from search.surrogate import Data, training_data
from spaces import Space

Floats = NDArray[np.float64]


class Acquisition(Protocol):
    """What a fitted model thinks of points, on a log scale."""

    def score(self, points: Floats) -> Floats:
        """Shape [n, parameters], in the unit cube, NaN where inactive, to shape [n]; larger is better."""

    def polish(self, points: Floats) -> Floats:
        """Better points close to these, by gradients; the same ones where the model has none."""


@dataclass(frozen=True, slots=True)
class ModelBased:
    """`initial`: finished trials before the model is asked (at the same fidelity). `uniform`: share of uniform draws
    after that. `prior_weight`: the beta of piBO, 0 to ignore the prior. `at_most`: trials that are learned from."""

    space: Space
    initial: int
    uniform: float
    prior_weight: float
    at_most: int
    effort: Effort

    def sample(
        self, request: Sample, history: History, streams: Streams, fit: Callable[[Data], Acquisition]
    ) -> tuple[Config, Origin]:
        data = training_data(self.space, history, self.initial, self.at_most)
        if data is None:
            return self._first(request, history, streams)
        chances = {"model": 1 - self.uniform, "uniform": self.uniform} if self.uniform else {"model": 1.0}
        free, rng = points(self.space, history), streams("config")
        if self.uniform and streams("rule").random() < self.uniform:
            config, left = free.new(rng, self.space.sample)
            return config, _origin("uniform", chances, {}, left)
        acquisition = fit(data)
        score: Score = acquisition.score
        polish: Polish | None = acquisition.polish
        believed = belief(self.space, self.prior_weight, history)
        if believed is not None:
            score = _weighted(score, believed)
            polish = None  # its gradient knows nothing of the prior
        tried = data.points[np.argsort(data.losses, kind="stable")[: self.effort.climbs]]
        proposals = Proposals(self.space, score, tried, self.effort, polish)
        config, left = free.new(rng, proposals)
        if left is not None or proposals.exhausted:
            return config, _origin("uniform", {"uniform": 1.0}, {"reason": "what the model likes was taken"}, left)
        learned: dict[str, Any] = {
            "succeeded": data.successes,
            "failed": data.failed,
            "pending": len(data.pending),
        }
        if data.fidelity is not None:
            learned["fidelity"] = data.fidelity
        if isfinite(proposals.score):
            # fewer digits than a sum has whose terms may be added in another order on another machine
            learned["log_acquisition"] = float(f"{proposals.score:.5g}")
        return config, _origin("model", chances, learned, None)

    def _first(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        if belief(self.space, self.prior_weight, history) is None:
            return SobolSampler(self.space).sample(request, history, streams)
        return from_prior(self.space, history, streams("config"))


def _weighted(score: Score, believed: Belief) -> Score:
    return lambda points: believed.weighted(score(points), points)


def _origin(rule: str, chances: dict[str, float], more: dict[str, Any], left: int | None) -> Origin:
    origin = {"rule": rule, "probabilities": chances, **more}
    return origin if left is None else {**origin, "rule": "uniform", "probabilities": {"uniform": 1.0}, "left": left}
