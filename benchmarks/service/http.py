"""A client that costs next to nothing: the machine that is measured is the machine that measures.

HTTP/1.1 over one connection that stays open; it knows what this API sends: a `Content-Length`, or chunks (the event
stream).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One request at a time. Opened by the first one, and anew after the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        return await self._request(f"GET {path}", b"")

    async def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        return await self._request(f"POST {path}", json.dumps(body).encode())

    async def first(self, path: str, mark: bytes, accept: str = "text/event-stream") -> bytes:
        """The beginning of an answer without end, up to the first piece that holds `mark`. Closes the connection."""
        reader, _ = await self._send(f"GET {path}", b"", accept)
        received = b""
        while mark not in received:
            piece = await reader.read(2**18)
            if not piece:
                raise ConnectionError(f"the answer to {path} ended without {mark!r}: {received[:300]!r}")
            received += piece
        self.close()
        return received

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _request(self, line: str, body: bytes) -> Answer:
        reader, _ = await self._send(line, body, "application/json")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = Answer(status, await reader.readexactly(length))
        if b"\r\nconnection: close" in head:
            self.close()
        return answer

    async def _send(self, line: str, body: bytes, accept: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port, limit=2**22)
        head = f"{line} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\nAccept: {accept}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._streams[1].write(head.encode() + b"\r\n" + body)
        return self._streams
