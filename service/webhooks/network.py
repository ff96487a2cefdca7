"""Connections for webhooks: names are resolved and judged here, and the connection goes to what was judged.

The host keeps its name everywhere else: in the header Host, in the name that TLS asks for and in the certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore

from service.webhooks.targets import Guard, unresolved


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The only way out of a `sender`: it cannot connect to what the guard refuses. Raises TargetRefused."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.wrap_future(self._guard.lookup(host, port))
        except OSError as error:
            raise unresolved(host) from error
        self._guard.judge(host, addresses)
        failure: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        assert failure is not None, "the guard lets no empty list of addresses through"
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AssertionError("webhooks go to hosts")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
