"""Trying again: what a worker does when the service does not answer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from assay.errors import AssayError, ConnectionFailed, ProblemError, UnexpectedAnswer

log = logging.getLogger("assay")

T = TypeVar("T")
SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


def is_passing(error: AssayError) -> bool:
    """Whether the same request may well succeed later: nobody answered, or somebody who has too much to do."""
    if isinstance(error, ProblemError):
        return error.status >= 500 or error.status == 429
    return isinstance(error, ConnectionFailed | UnexpectedAnswer)


def persistently(call: Callable[[], T], patience: float) -> T:
    """Calls until there is an answer, with longer and longer pauses. Raises what is no passing failure; and what is,
    after `patience` seconds."""
    until, pause = time.monotonic() + patience, SHORTEST_PAUSE
    while True:
        try:
            return call()
        except AssayError as error:
            if not is_passing(error) or time.monotonic() + pause > until:
                raise
            wanted = error.retry_after if isinstance(error, ProblemError) else None
            # Not all workers at once, when a service comes back.
            wait = max(wanted or 0.0, pause * random.uniform(0.5, 1.0))
            log.warning("%s; trying again in %.1f s", error, wait)
        time.sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE)
