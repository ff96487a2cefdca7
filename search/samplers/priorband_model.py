"""The model of PriorBand with Bayesian optimisation (Mallik et al. 2023, appendix E): a Gaussian process over configs
and fidelities, fitted to the results of all rungs.

A config for a run at fidelity z is chosen in two steps. Climbs from uniform configs, from the best trials and from
draws of the user's prior look for a large expected improvement at z, where the cheap run is to tell something; of the
best ends the one is tried whose expected improvement is the largest at the highest fidelity, where it has to prove
itself.
The improvement is over the best expectation, at that fidelity, for any trial. Pending runs have the loss that the
process expects of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from botorch.models import SingleTaskGP
from numpy.typing import NDArray

from search.acquisition import log_expected_improvement
from search.actions import Sample
from search.features import Features
from search.graded import GradedData, graded_data, shares
from search.history import Config, Ended, Event, History
from search.maximizer import Effort, Proposals, Score
from search.points import points
from search.samplers import Origin, Streams
from search.samplers.gp import BATCH, calm, fantasised, fitted
from search.surrogate import standardised
from spaces import Space

Floats = NDArray[np.float64]

AT_MOST = 500
"""Runs that are learned from; the cost grows with the cube."""
EFFORT = Effort(candidates=1000, climbs=10)
FROM_PRIOR = 5
"""So many of the climbs from known places begin at draws from the prior, the others at the best trials."""


def suggest(space: Space, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin] | None:
    """A config for the request; None while too little has succeeded for a model."""
    data = graded_data(space, history, AT_MOST)
    if data is None:
        return None
    with calm(int(streams("gp").integers(2**31 - 1))):
        fit = history.view(("graded process", space), lambda: _Fit(space), sees="replicates")
        process = fit.process(data)
        at = np.array([request.slot.fidelity], dtype=np.float64)
        here, top = process.improvement(float(shares(space, at)[0])), process.improvement(1.0)
        tried = np.concatenate((process.best(EFFORT.climbs - FROM_PRIOR), _from_prior(space, streams("prior"))))
        proposals = Proposals(space, here, tried, EFFORT, final=top)
        config, left = points(space, history).new(streams("config"), proposals)
    if left is not None or proposals.exhausted:
        taken: Origin = {
            "rule": "uniform",
            "probabilities": {"uniform": 1.0},
            "reason": "what the model likes was taken",
        }
        return config, taken if left is None else {**taken, "left": left}
    origin: dict[str, Any] = {"rule": "model", "probabilities": {"model": 1.0}}
    origin |= {"succeeded": data.successes, "failed": data.failed, "pending": len(data.pending)}
    if isfinite(proposals.score):
        # fewer digits than a sum has whose terms may be added in another order on another machine
        origin["log_acquisition"] = float(f"{proposals.score:.5g}")
    return config, origin


def _from_prior(space: Space, rng: np.random.Generator) -> Floats:
    return np.array([space.encode(space.sample_prior(rng)) for _ in range(FROM_PRIOR)])


class _Fit:
    """The view of the last fit, which holds until the next result: pending runs do not change it."""

    def __init__(self, space: Space) -> None:
        self._features = Features(space)
        self._model: SingleTaskGP | None = None

    def apply(self, event: Event, history: History) -> None:
        if isinstance(event, Ended):
            self._model = None

    def process(self, data: GradedData) -> Process:
        inputs = self._inputs(data.points, data.shares)
        losses = torch.from_numpy(standardised(data.losses))[:, None]
        if self._model is None:
            self._model = fitted(inputs, losses)
        _, first = np.unique(data.trials, return_index=True)
        pending = self._inputs(data.pending, data.pending_shares) if len(data.pending) else None
        model, _ = fantasised(self._model, inputs, losses, pending)
        return Process(model, self._features, data.points[first])

    def _inputs(self, points: Floats, at: Floats) -> torch.Tensor:
        return torch.from_numpy(np.concatenate((self._features(points), at[:, None]), axis=1))


@dataclass(frozen=True, slots=True)
class Process:
    """A fitted process; `known` are the configs of the trials that it learned from, shape [trials, parameters]."""

    model: SingleTaskGP
    features: Features
    known: Floats

    def predict(self, points: Floats, share: float) -> tuple[Floats, Floats]:
        """The mean and standard deviation of the standardised loss at a fidelity, each shape [n]."""
        columns = np.full((len(points), 1), share)
        inputs = torch.from_numpy(np.concatenate((self.features(points), columns), axis=1))
        with torch.no_grad():
            each = [self.model.posterior(batch) for batch in torch.split(inputs, BATCH)]
            mean, variance = torch.cat([one.mean for one in each]), torch.cat([one.variance for one in each])
        return mean[:, 0].numpy(), np.sqrt(variance[:, 0].numpy())

    def improvement(self, share: float) -> Score:
        """The log of the expected improvement at a fidelity."""
        best = float(self.predict(self.known, share)[0].min())
        return lambda points: log_expected_improvement(*self.predict(points, share), best)

    def best(self, number: int) -> Floats:
        """The configs of the best trials at the highest fidelity, as far as the process knows."""
        return self.known[np.argsort(self.predict(self.known, 1.0)[0], kind="stable")[:number]]
