"""Studies as files: written as they come, and known to be whole."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Literal, cast
from urllib.parse import urlencode

from assay.errors import AssayError, ConnectionFailed
from assay.http import API, Connection
from assay.wire import Study

Format = Literal["jsonl", "csv"]
Rows = Literal["trials", "runs", "reports"]
LONGEST_END = 1000  # bytes


def export_study(connection: Connection, path: str, target: IO[bytes], format_: Format, of: Rows) -> None:
    """Writes an exported study to `target`; `path` is the export's. Raises `ConnectionFailed` when it broke off."""
    query = urlencode({"format": format_} | ({"of": of} if format_ == "csv" else {}))
    with connection.stream(f"{path}?{query}", {"Accept": "*/*"}) as chunks:
        for chunk in checked(chunks) if format_ == "jsonl" else chunks:
            target.write(chunk)


def export_to(connection: Connection, path: str, target: Path, format_: Format, of: Rows) -> None:
    """As `export_study`, to a file that is there as a whole, or as it was. Raises `AssayError` if it cannot be
    written."""
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".assay-", delete=False) as file:
            part = Path(file.name)
            try:
                export_study(connection, path, file, format_, of)
                file.close()
                part.chmod(0o644)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise AssayError(f"cannot write {target}: {error.strerror}") from error


def import_study(connection: Connection, file: Path, name: str | None) -> Study:
    return cast(Study, connection.upload(f"{API}studies/import", file, {"name": name}))


def checked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks; raises `ConnectionFailed` after the last one unless the end of the lines is there, and right."""
    digest, last, rest = hashlib.sha256(), b"", b""
    for chunk in chunks:
        yield chunk
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            digest.update(last)
            last = line + b"\n"
    if rest or _end(last) != digest.hexdigest():
        raise ConnectionFailed("the export broke off, or was damaged on its way: try again")


def _end(line: bytes) -> str | None:
    """The checksum in the last line."""
    try:
        return str(json.loads(line[:LONGEST_END])["end"]["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
