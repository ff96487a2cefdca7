"""From what an objective raised to the class of its run's failure. Names torch's errors without importing torch."""

from __future__ import annotations

import traceback

from workers.protocol import Failed, Failure, FailureClass

MESSAGE_LIMIT = 2_000  # characters; what is stored and shown stays readable whatever the user's code raised
TRACEBACK_LIMIT = 20_000


def failed(key: str, error: BaseException) -> Failed:
    """How an attempt that ended with `error` is told.

    A `Failure` speaks for itself, so it carries a traceback only when something else caused it.
    """
    if isinstance(error, Failure):
        trace = _traceback(error) if error.__cause__ else ""
        return Failed(key, error.failure, _head(error.message), trace)
    return Failed(key, classify(error), _head(f"{type(error).__name__}: {error}".removesuffix(": ")), _traceback(error))


def classify(error: BaseException) -> FailureClass:
    """OOM for memory, DIVERGED for arithmetic that left the finite numbers, ERROR for everything else."""
    if isinstance(error, MemoryError) or _is_torch_oom(error):
        return FailureClass.OOM
    if isinstance(error, FloatingPointError | OverflowError):
        return FailureClass.DIVERGED
    return FailureClass.ERROR


def _is_torch_oom(error: BaseException) -> bool:
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    # On a CPU torch raises a bare RuntimeError that names its allocator.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _head(text: str) -> str:
    text = _storable(text)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _traceback(error: BaseException) -> str:
    text = _storable("".join(traceback.format_exception(error)))
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[1 - TRACEBACK_LIMIT :]


def _storable(text: str) -> str:
    """The text without what no database stores: halves of surrogate pairs (odd file names) and NUL."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
