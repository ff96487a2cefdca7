"""Samplers decide what to try: they turn a `Sample` into a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from search.actions import Done, Sample
from search.history import Config, History
from search.streams import Streams

__all__ = ["Origin", "Sampler", "Streams"]

Origin = Mapping[str, Any]


class Sampler(Protocol):
    """A pure function of its arguments; derived state lives in views of the history, never in the sampler."""

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin] | Done:
        """A legal config for the requested slot, with the JSON that tells the user where it comes from.

        The origin has at least `rule`, the rule that was applied, and `probabilities`, of all rules it could have
        been. Called only while the space has configs that no trial has (see `search.points`), and must return such a
        one; runs that are still open count as taken. A sampler that draws from a part of the space only (a grid) says
        Done, for good, when that part is used up.
        """
