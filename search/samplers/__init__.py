"""Samplers decide what to try: they turn a `Sample` into a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from search.actions import Sample
from search.history import Config, History

Origin = Mapping[str, Any]
Streams = Callable[[str], np.random.Generator]
"""The random streams of the decision at hand, by purpose."""


class Sampler(Protocol):
    """A pure function of its arguments; derived state lives in views of the history, never in the sampler."""

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        """A legal config for the requested slot, with the JSON that tells the user where it comes from.

        The origin has at least `rule`, the rule that was applied, and `probabilities`, of all rules it could have
        been. Called only while the space has configs that no trial has (see `search.points`), and must return such a
        one; runs that are still open count as taken.
        """
