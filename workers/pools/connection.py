"""A process's connection to a Ray: where its head is, whether it answers, and whose SIGTERM stays."""

from __future__ import annotations

import ctypes
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PROBE_SECONDS = 1.0


def endpoint(address: str) -> tuple[str, int]:
    """(host, port) of `host:port`."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"{address} is not host:port")
    return host, int(port)


def answers(endpoint: tuple[str, int]) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(endpoint, timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def own_sigterm() -> Iterator[None]:
    """Keeps what this process does on SIGTERM: Ray puts a handler in its place that prints a stack and ends it.

    Python sets handlers in its main thread only, and the pool may be made (and made anew) in another; there the C
    library, which knows no such rule, puts the former one back.
    """
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
    else:
        sigaction = ctypes.CDLL(None).sigaction
        saved = ctypes.create_string_buffer(1024)  # a struct sigaction, which is smaller on every platform
        sigaction(signal.SIGTERM, None, saved)
        try:
            yield
        finally:
            sigaction(signal.SIGTERM, saved, None)
