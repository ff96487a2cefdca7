"""What a client can do with datasets: those that come with the service, and those that are uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import quote

from assay.errors import AssayError
from assay.http import API, Connection
from assay.wire import Dataset, UploadedDataset

FORMATS = {".csv": "csv", ".parquet": "parquet", ".npz": "npz"}


class Datasets:
    """The datasets of a project. Methods raise `NotFound` for a name that the service does not know."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def upload(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        target: str | None = None,
        format: str | None = None,  # noqa: A002  # the word of the API
        replace: bool = False,
    ) -> UploadedDataset:
        """Uploads a CSV, Parquet or NPZ file. Without `name` and `format` those of the file are taken.

        The same file again is no error. Raises `Invalid` (the file is not what it is said to be, or `target` is none of
        its columns) or `Conflict` (the name is another dataset's; `replace` takes its place, if no study uses it).
        """
        path = Path(path)
        kind = format or FORMATS.get(path.suffix.lower())
        if kind is None:
            raise AssayError(f"{path.name} says not what it is: give a format, one of {', '.join(FORMATS.values())}")
        if not path.is_file():
            raise AssayError(f"there is no file {path}")
        params = {"name": name or path.stem, "format": kind, "target": target, "replace": "true" if replace else None}
        return cast(UploadedDataset, self._http.upload(f"{API}datasets", path, params))

    def list(self) -> Iterator[Dataset]:
        """All datasets: first those that come with the service."""
        return self._http.pages(f"{API}datasets")

    def get(self, name: str) -> Dataset:
        return cast(Dataset, self._http.get(_path(name)))

    def download(self, name: str, target: Path | str | None = None) -> Path:
        """Writes the file as it was uploaded; into the working directory if no `target` (a file or folder) is given."""
        dataset = self.get(name)
        file = f"{name}.{dataset['format']}" if dataset["kind"] == "uploaded" else name
        path = Path(target or file)
        path = path / file if path.is_dir() else path
        self._http.download(_path(name, "content"), path)
        return path

    def delete(self, name: str) -> None:
        """Raises `Conflict` while an unfinished study uses it."""
        self._http.delete(_path(name))


def _path(name: str, *rest: str) -> str:
    return API + "/".join(["datasets", quote(name, safe=""), *rest])
