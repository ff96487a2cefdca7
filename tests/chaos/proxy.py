"""A network that loses requests, loses and cuts answers, delays both, and delivers requests twice.

Stands before the replicas of the API, as a load balancer would. Speaks just enough HTTP/1.1 to tell one request from
the next: one per connection.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

PATIENCE_SECONDS = 30.0
NOISE: Mapping[str, float] = {
    "drop request": 0.02,
    "drop answer": 0.03,
    "cut answer": 0.01,
    "delay": 0.04,
    "repeat": 0.04,
}
STORM: Mapping[str, float] = {"drop request": 0.15, "drop answer": 0.2, "cut answer": 0.05, "delay": 0.2, "repeat": 0.2}
QUIET: Mapping[str, float] = {}


class FaultyProxy:
    """Listens on `port` once it was started. `weather` holds the chances of each fault for a request; requests never
    reach the replicas in `unreachable`. `done` counts the faults."""

    def __init__(self, replicas: Sequence[int], seed: int) -> None:
        self.replicas = tuple(replicas)
        self.weather = NOISE
        self.unreachable: set[int] = set()
        self.done: Counter[str] = Counter()
        self.port = 0
        self._random = random.Random(f"proxy/{seed}")
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10), "the proxy listens"

    def stop(self) -> None:
        if self._ready.is_set():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self._deliver(await _request(reader))
                writer.write(answer)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client sees the same: nothing
        finally:
            writer.close()

    async def _deliver(self, request: bytes) -> bytes:
        """The answer, or as much of it as arrives."""
        fault = self._draw()
        if fault:
            self.done[fault] += 1
        if fault == "drop request":
            return b""
        if fault == "delay":
            await asyncio.sleep(self._random.uniform(0.05, 1.5))
        if fault == "repeat":
            answers = await asyncio.gather(self._forward(request), self._again(request), return_exceptions=True)
            heard = [answer for answer in answers if isinstance(answer, bytes)]
            return self._random.choice(heard) if heard else b""
        answer = await self._forward(request)
        if fault == "drop answer":
            return b""
        if fault == "cut answer":
            return answer[: self._random.randrange(len(answer) + 1)]
        return answer

    def _draw(self) -> str | None:
        chance = self._random.random()
        for fault, share in self.weather.items():
            chance -= share
            if chance < 0:
                return fault
        return None

    async def _again(self, request: bytes) -> bytes:
        """A second time: at once, or when the client has long gone on."""
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.1, 1.0)))
        return await self._forward(request)

    async def _forward(self, request: bytes) -> bytes:
        port = self._random.choice(self.replicas)
        if port in self.unreachable:
            raise OSError("unreachable")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One whole request, which asks the server to close the connection after its answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + b"\r\nConnection: close\r\n\r\n" + await reader.readexactly(length)
