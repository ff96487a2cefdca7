"""A file on its way in: on a disk, counted and hashed while it is written, never in memory as a whole."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from workers.storage import StorageError


class TooLarge(ValueError):
    """More came than may come."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit} bytes are taken")
        self.limit = limit


class Incoming:
    """A context manager; what was not put into a store by its end is gone."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Raises StorageError when the disk does not take it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=folder)
        except OSError as error:
            raise StorageError(f"{folder} cannot be written to: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb")
        self._hash = hashlib.sha256()
        self._limit = limit
        self.path = Path(name)
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge, or StorageError when the disk is full."""
        if self.bytes + len(chunk) > self._limit:
            raise TooLarge(self._limit)
        self._hash.update(chunk)
        self.bytes += len(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise StorageError(f"{self.path.parent} cannot be written to: {error.strerror}") from error

    def finish(self) -> None:
        """Everything has come, and is on the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise StorageError(f"{self.path.parent} cannot be written to: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # the disk was full before: what is lost here was given up already
            self._file.close()
        self.path.unlink(missing_ok=True)
