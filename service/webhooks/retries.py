"""When a delivery that failed is tried again, and when a webhook that always fails is turned off."""

from __future__ import annotations

import hashlib
from datetime import timedelta

ATTEMPTS = 8
"""The last one comes about nine and a half hours after the first."""
FIRST_SECONDS = 15.0
FACTOR = 4
LONGEST_SECONDS = 4 * 3600.0
JITTER = 0.25

GIVE_UP = timedelta(days=3)
"""A webhook to which nothing could be delivered for so long is turned off."""


def delay(delivery: int, attempts: int) -> timedelta | None:
    """How long to wait after so many attempts; None when there is to be no other.

    It is spread by a quarter both ways, so that what failed at one time is not all sent again at one time; by the
    delivery's own number, so that every process comes to the same.
    """
    if attempts >= ATTEMPTS:
        return None
    seconds = min(FIRST_SECONDS * FACTOR ** (attempts - 1), LONGEST_SECONDS)
    digest = hashlib.sha256(f"{delivery}/{attempts}".encode()).digest()
    fraction = int.from_bytes(digest[:8]) / 2**64
    return timedelta(seconds=seconds * (1 + JITTER * (2 * fraction - 1)))
