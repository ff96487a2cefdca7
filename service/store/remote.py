"""The store on other machines, such as an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.store.incoming import Incoming
from workers.storage import Entry, Remote, checked


class RemoteStore:
    """A `Store`. What comes in waits on this machine's disk until all of it is there."""

    local = False

    def __init__(self, url: str, scratch: Path) -> None:
        self._remote = Remote(url)
        self.waiting = scratch

    @property
    def url(self) -> str:
        return self._remote.url

    def incoming(self, limit: int) -> Incoming:
        return Incoming(self.waiting, limit)

    def put(self, source: Path, key: str) -> None:
        self._remote.put(source, key)
        source.unlink()

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        return self._remote.read(key, start, end)

    def entry(self, key: str) -> Entry:
        return self._remote.entry(key)

    def delete(self, key: str) -> None:
        self._remote.delete(key)

    def list(self, folder: str) -> Iterator[Entry]:
        return self._remote.list(folder)

    def location(self, key: str) -> str:
        return f"{self.url}/{checked(key)}"
