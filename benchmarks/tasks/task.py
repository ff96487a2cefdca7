"""What a task is: a space, what an evaluation shows, and what is true."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import stream

Config = Mapping[str, Any]


class Missing(Exception):
    """The task cannot be opened on this machine; the message says what is missing and where it would be found."""


class Task(ABC):
    """A loss to be minimised over `space`, a space on the wire (with its fidelity, if it has one).

    `best` is the least true loss, `median` the true loss of the median random config: the two ends of the normalized
    regret. `eta` is the reduction factor that fits the fidelities which the task has. `known_best` is the config of the
    least loss where a formula says it.
    """

    name: str
    space: Mapping[str, Any]
    best: float
    median: float
    eta: float = 3.0
    known_best: Config | None = None

    @abstractmethod
    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        """The loss that one evaluation shows, noise included; equal arguments give equal answers.

        `seed` is the repetition of the whole comparison, so two methods that evaluate the same config in the same
        repetition see the same loss. A fidelity of None is the highest.
        """

    @abstractmethod
    def true(self, config: Config) -> float:
        """The loss at the highest fidelity without noise: the mean over the training seeds."""

    def true_all(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """The true losses of several configs."""
        return np.array([self.true(config) for config in configs])

    @property
    def max_fidelity(self) -> float | None:
        """The highest fidelity, None when the task has none."""
        fidelity = self.space.get("fidelity")
        return None if fidelity is None else float(fidelity["high"])

    def regret(self, config: Config) -> float:
        """The normalized regret: 0 is the best config, 1 the median random one or worse."""
        return float(np.clip((self.true(config) - self.best) / (self.median - self.best), 0.0, 1.0))

    def noise(self, config: Config, seed: int, what: str) -> np.random.Generator:
        """The random stream of what one evaluation of a config shows in this repetition."""
        values = ",".join(f"{name}={config[name]!r}" for name in sorted(config))
        return stream(seed, 0, f"{self.name}/{what}/{values}")
