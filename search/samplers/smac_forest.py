"""SMAC (Hutter et al. 2011; Lindauer et al. 2022): expected improvement under a random forest.

The forest is SMAC's own (10 trees, whose spread is the uncertainty; losses on a log scale), fitted for each suggestion.
SMAC's optimizer around it is not used: it keeps its state in an object and in files, does not allow for pending trials,
and its expected improvement raises an error where round-off makes it negative. What it does is done here as a pure
function: the percentile-scaled log of the losses, the interleaved uniform draws, and the local search. Told the same
trials, its optimizer has the same forest. Only the loss to improve on differs: the least seen, not the least predicted.

Pending trials are taken to have the median loss. Source of the constants: `HyperparameterOptimizationFacade`, 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ConfigSpace import ConfigurationSpace
from numpy.typing import NDArray
from smac.model.random_forest.random_forest import RandomForest

from search.acquisition import log_expected_improvement_of_logs
from search.actions import Sample
from search.history import Config, History
from search.maximizer import Effort
from search.samplers import Origin, Streams
from search.samplers.model_based import ModelBased
from search.samplers.threads import one_thread
from search.surrogate import Data
from spaces import Space

Floats = NDArray[np.float64]

INACTIVE = -1.0
"""The coordinate of an inactive parameter: apart from all values, so one split tells it from them."""
PERCENTILE = 5
AT_MOST = 5000


@dataclass(frozen=True, slots=True)
class ForestSampler:
    """`initial`: finished trials before the forest is asked (None: 2 more than there are parameters). `uniform`: share
    of uniform draws after that. `trees`, `candidates` and `climbs`: see the forest and `search.maximizer`."""

    space: Space
    initial: int | None = None
    trees: int = 10
    uniform: float = 0.2
    candidates: int = 2000
    climbs: int = 10
    prior_weight: float = 10.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        initial = len(self.space) + 2 if self.initial is None else self.initial
        effort = Effort(self.candidates, self.climbs)
        base = ModelBased(self.space, initial, self.uniform, self.prior_weight, AT_MOST, effort)
        with one_thread():
            return base.sample(request, history, streams, lambda data: _Forest(data, self.trees, streams))


class _Forest:
    """The expected improvement of the loss under the forest."""

    def __init__(self, data: Data, trees: int, streams: Streams) -> None:
        space = ConfigurationSpace({str(axis): (0.0, 1.0) for axis in range(data.points.shape[1])})
        points = np.concatenate((data.points, data.pending))
        self._model = RandomForest(
            space, n_trees=trees, ratio_features=1.0, min_samples_split=2, min_samples_leaf=1, bootstrapping=True,
            # as good as no limit, which would make room for a million leaves per tree
            max_leaf_nodes=2 * len(points),
            log_y=True, n_jobs=1, seed=int(streams("forest").integers(2**31 - 1)),
        )  # fmt: skip
        logs = scaled_logs(data.losses)
        pending = np.full(len(data.pending), np.median(logs))
        self._model.train(_complete(points), np.concatenate((logs, pending))[:, None])
        self._best = float(logs.min())

    def score(self, points: Floats) -> Floats:
        mean, variance = self._model.predict_marginalized(_complete(points))
        return log_expected_improvement_of_logs(mean[:, 0], np.sqrt(variance[:, 0]), self._best)

    def polish(self, points: Floats) -> Floats:
        return points  # a forest is flat between its splits


def scaled_logs(losses: Floats) -> Floats:
    """log((y - low) / (high - low)) with `low` as far below the least loss as the 5th percentile is above it.

    So the differences among the best losses count as much as those among the worst, whatever their sign and unit.
    """
    least, high = losses.min(), losses.max()
    low = least - (np.percentile(losses, PERCENTILE) - least) - 1e-10 * max(1.0, abs(least))
    return np.asarray(np.log((losses - low) / (high - low)), dtype=np.float64)


def _complete(points: Floats) -> Floats:
    return np.nan_to_num(points, nan=INACTIVE)
