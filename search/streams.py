"""Randomness without state: every decision draws from a stream of its own, found by name.

A stream is keyed by (study seed, number, purpose), so what decision 17 draws does not depend on how many workers there
are, on what was drawn before, or on the process that asks.
"""

from __future__ import annotations

import hashlib

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
