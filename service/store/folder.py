"""The store in a folder of a disk, which all machines share if there are several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from service.store.incoming import Incoming
from workers.storage import Entry, Missing, StorageError, checked

CHUNK = 1024**2


class FolderStore:
    """A `Store`. Files are moved into place when they are on the disk, and cannot be written to from then on."""

    local = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return str(self.folder)

    @property
    def waiting(self) -> Path:
        return self.folder / "incoming"  # on the same disk, so that a move is one step

    def incoming(self, limit: int) -> Incoming:
        return Incoming(self.waiting, limit)

    def put(self, source: Path, key: str) -> None:
        target = self._path(key)
        with _failures(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.chmod(0o444)
            source.replace(target)
            _sync(target.parent)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with _failures(key):
            file = self._path(key).open("rb")
        return _chunks(file, start, end)

    def entry(self, key: str) -> Entry:
        with _failures(key):
            return self._entry(self._path(key))

    def delete(self, key: str) -> None:
        with _failures(key):
            self._path(key).unlink(missing_ok=True)

    def list(self, folder: str) -> Iterator[Entry]:
        for path in self._path(folder).rglob("*"):
            try:
                if path.is_file():
                    yield self._entry(path)
            except FileNotFoundError:
                continue  # removed meanwhile

    def location(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self.folder / checked(key)

    def _entry(self, path: Path) -> Entry:
        found = path.stat()
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return Entry(path.relative_to(self.folder).as_posix(), found.st_size, modified)


def _chunks(file: BinaryIO, start: int, end: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = end - start if end is not None else None
        while chunk := file.read(CHUNK if left is None else min(CHUNK, left)):
            left = left - len(chunk) if left is not None else None
            yield chunk


def _sync(folder: Path) -> None:
    """A name in a folder is on the disk when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failures(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Missing(key) from error
    except OSError as error:
        raise StorageError(f"the store failed at {key}: {error.strerror}") from error
