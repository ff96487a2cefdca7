"""Randomness without state: every decision draws from a stream of its own, found by name.

A stream is keyed by (study seed, number, purpose), so what decision 17 draws does not depend on how many workers there
are, on what was drawn before, or on the process that asks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


def stream(seed: int, number: int, purpose: str) -> np.random.Generator:
    """The random stream of one decision, always from its start.

    `seed` is any non-negative integer. Samplers pass the number of the trial that they decide: a scheduler hands out
    its places in a fixed order, so a trial draws the same whatever the order in which the open runs ended.
    Philox (Salmon et al. 2011) is counter-based: any 128-bit key gives an independent stream.
    """
    assert seed >= 0
    assert number >= 0
    name = f"{seed}/{number}/{purpose}".encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "big")
    return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams of the decision at hand, by purpose: `streams("config")`. `trial` is the next new trial's number."""

    seed: int
    trial: int

    def __call__(self, purpose: str) -> np.random.Generator:
        return stream(self.seed, self.trial, purpose)

    def of(self, trial: int) -> Streams:
        """The streams of another trial, for what is derived from it once and for all (its neighbours)."""
        return Streams(self.seed, trial)

    def of_study(self, purpose: str) -> np.random.Generator:
        """A stream that all decisions of the study share (an order, a scrambling)."""
        return stream(self.seed, 0, f"study/{purpose}")
