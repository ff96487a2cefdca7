"""A store on other machines, such as an S3 bucket: files by key, through fsspec.

Where the files lie on a shared disk nobody needs this. Credentials and endpoints come from the environment of the
process, as the store's own tools have them (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...): they are never sent around.

StorageError        the store cannot be reached, refuses, or is none
└── Missing         there is no file with this key
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

CHUNK = 8 * 1024**2
"""How much of a file is in memory at once, in bytes."""
MOST_PARTS = 9_000  # of one upload to S3, which takes 10,000

WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
"""Stores in which a file appears when all of it is there; in others it is written beside its place and moved."""

KEEP_SECONDS = 7 * 86_400.0
"""How long a dataset stays on a worker's disk after its last use."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class StorageError(RuntimeError):
    pass


class Missing(StorageError):
    def __init__(self, key: str) -> None:
        super().__init__(f"the store has no {key}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a store. `modified` is when it was put there."""

    key: str
    bytes: int
    modified: datetime


def checked(key: str) -> str:
    """The key, which leads nowhere but below the root of its store. Raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a store")
    return key


def is_folder(url: str) -> bool:
    """Whether this names a folder of this machine, and no store behind fsspec."""
    return "://" not in url or url.startswith("file://")


class Remote:
    """A store behind fsspec. May be shared by threads. Every method may raise StorageError."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Nothing is connected yet. Raises StorageError when this Python has nothing for such addresses."""
        self.url = url.rstrip("/")
        scheme = url.partition("://")[0]
        try:
            # Other processes write too: a listing that was kept would be wrong.
            found = fsspec.url_to_fs(self.url, **{"use_listings_cache": False, **(options or {})})
        except ImportError as error:
            extra = "install assay with the extra s3" if scheme in ("s3", "s3a") else str(error)
            raise StorageError(f"{scheme}:// needs a package that is not installed: {extra}") from error
        except ValueError as error:
            raise StorageError(f"{url!r} is not the address of a store: {error}") from error
        self._fs: fsspec.AbstractFileSystem = found[0]
        self._root: str = found[1].rstrip("/")
        self._whole = scheme in WHOLE

    def put(self, source: Path, key: str) -> None:
        """Copies a file into the store: all of it or nothing."""
        target = self._path(key)
        with _failures(key):
            if self._whole:
                part = max(CHUNK, source.stat().st_size // MOST_PARTS)
                self._fs.put_file(str(source), target, chunksize=part, max_concurrency=1)
                return
            beside = self._path(f"incoming/{uuid.uuid4().hex}")
            for path in (beside, target):
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(source), beside)
            self._fs.mv(beside, target)

    def fetch(self, key: str, target: Path) -> None:
        """Copies a file out of the store: all of it or nothing."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            beside = Path(file.name)
            try:
                for chunk in self.read(key):
                    file.write(chunk)
                file.close()
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in chunks. Raises Missing at once."""
        last = self.entry(key).bytes if end is None else end
        first = self._piece(key, start, min(last, start + CHUNK))

        def chunks() -> Iterator[bytes]:
            if first:
                yield first
            for position in range(start + CHUNK, last, CHUNK):
                yield self._piece(key, position, min(last, position + CHUNK))

        return chunks()

    def entry(self, key: str) -> Entry:
        """Raises Missing."""
        path = self._path(key)
        with _failures(key):
            return self._entry(self._fs.info(path))

    def delete(self, key: str) -> None:
        """A file that is not there is left at that."""
        path = self._path(key)
        with suppress(Missing), _failures(key):
            self._fs.rm_file(path)

    def list(self, folder: str) -> Iterator[Entry]:
        """All files below a folder, one subfolder after the other."""
        path = self._path(folder)
        try:
            with _failures(folder):
                found = self._fs.ls(path, detail=True)
        except Missing:
            return
        for info in found:
            if info["type"] == "directory":
                yield from self.list(self._key(info["name"]))
            else:
                yield self._entry(info)

    def _piece(self, key: str, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        path = self._path(key)
        with _failures(key):
            piece: bytes = self._fs.cat_file(path, start=start, end=end)
        return piece

    def _path(self, key: str) -> str:
        return f"{self._root}/{checked(key)}"

    def _key(self, path: str) -> str:
        return path.removeprefix(self._root).strip("/")

    def _entry(self, info: Mapping[str, Any]) -> Entry:
        modified = next((info[name] for name in ("LastModified", "mtime", "created") if name in info), None)
        if not isinstance(modified, datetime):
            modified = datetime.fromtimestamp(modified, UTC) if modified is not None else datetime.now(UTC)
        aware = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
        return Entry(self._key(info["name"]), int(info["size"]), aware)


def dataset_path(dataset: Mapping[str, Any]) -> Path:
    """Where the dataset of an objective lies on this machine; fetched first, if it lies elsewhere, and then checked.

    `dataset` has `url` (a path or an address for fsspec), `sha256` and `format`. Raises StorageError.
    """
    url, digest = str(dataset["url"]), str(dataset["sha256"])
    if is_folder(url):
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise StorageError(f"this worker finds no {path}: datasets must lie on a disk that all workers share")
        return path
    cached = _cache() / f"{checked(digest)}.{checked(str(dataset['format']))}"
    if not cached.exists():
        _forget_old(cached.parent)
        root, _, key = url.rpartition("/")
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            fetched = Path(folder) / cached.name
            Remote(root).fetch(key, fetched)
            with fetched.open("rb") as file:
                if (found := hashlib.file_digest(file, "sha256").hexdigest()) != digest:
                    raise StorageError(f"{url} has the SHA-256 {found}, not {digest}: it is not the dataset it was")
            fetched.chmod(0o444)
            fetched.replace(cached)
    os.utime(cached)
    return cached


def _cache() -> Path:
    """A folder for datasets that nobody but this user can write to."""
    folder = Path(tempfile.gettempdir()) / f"assay-datasets-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StorageError(f"{folder} belongs to somebody else: remove it, or set TMPDIR")
    return folder


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > KEEP_SECONDS:
            path.unlink(missing_ok=True)


@contextmanager
def _failures(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Missing(key) from error
    except StorageError:
        raise
    except Exception as error:  # each store behind fsspec has errors of its own
        raise StorageError(f"the store failed at {key}: {type(error).__name__}: {error}") from error
