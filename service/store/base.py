"""What a store can do. Its methods block: in coroutines they are called in a thread. Any thread may call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from service.store.incoming import Incoming
from workers.storage import Entry


class Store(Protocol):
    """Files by key. Methods raise StorageError when the store fails, and Missing for a key that it does not have."""

    @property
    def url(self) -> str:
        """The folder or address."""

    @property
    def local(self) -> bool:
        """Whether files lie on a disk: then `location` is a path."""

    @property
    def waiting(self) -> Path:
        """The folder for what is on its way in. What is old there was left by a crash."""

    def incoming(self, limit: int) -> Incoming:
        """A new file of at most `limit` bytes, not yet in the store."""

    def put(self, source: Path, key: str) -> None:
        """Makes the file the content of the key, all of it or nothing, and takes it away from where it was."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in chunks. Raises Missing before the first one."""

    def entry(self, key: str) -> Entry:
        """Size and time. Raises Missing."""

    def delete(self, key: str) -> None:
        """A file that is not there is left at that."""

    def list(self, folder: str) -> Iterator[Entry]:
        """All files below a folder; those that come or go meanwhile may be left out."""

    def location(self, key: str) -> str:
        """Where workers find it: a path, or an address for fsspec."""
