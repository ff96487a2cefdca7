"""The process in which an uploaded file is read: `python -m service.datasets.child FORMAT PATH MEGABYTES SECONDS`.

It prints the schema as JSON, or what is wrong with the file. Whatever a file does to the libraries that read it, it
does to this process alone: its memory and its time are bounded.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from service.datasets.schema import Malformed, Schema


def _csv(path: Path) -> Schema:
    from service.datasets.csv_file import read_csv

    return read_csv(path)


def _parquet(path: Path) -> Schema:
    from service.datasets.parquet_file import read_parquet

    return read_parquet(path)


def _npz(path: Path) -> Schema:
    from service.datasets.npz_file import read_npz

    return read_npz(path)


READERS: Mapping[str, Callable[[Path], Schema]] = {"csv": _csv, "parquet": _parquet, "npz": _npz}


def inspect(format_: str, path: Path) -> dict[str, Any]:
    """The answer: `schema`, or `malformed` with what is wrong."""
    try:
        return {"schema": READERS[format_](path).to_json()}
    except Malformed as error:
        return {"malformed": str(error)}
    except MemoryError:
        return {"malformed": "it takes too much memory to read; are its parts (row groups, pages) very large?"}


def main() -> None:
    format_, path, megabytes, seconds = sys.argv[1:]
    limit = int(megabytes) * 1024**2
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(inspect(format_, Path(path))))  # noqa: T201  # this is how it answers


if __name__ == "__main__":
    main()
