"""What a command writes: in a file while it runs, and an artifact of its run from then on.

The file has its place in the store from the beginning; so nothing is copied when it becomes an artifact. With a store
on other machines it arrives there with the end of the attempt (`workers.staging`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from service.database import Session
from service.models import Artifact, Run
from service.repositories.artifacts import Artifacts
from service.repositories.errors import NotFound
from service.store import Missing, Store, keys

NAME = "log.txt"
MEDIA_TYPE = "text/plain; charset=utf-8"


def log_path(store: Store, study_id: int, run: int, attempt: int) -> Path:
    """For `Assignment.log`: a path, or a key where the store is on other machines (then `Assignment.store` has it)."""
    key = keys.log(study_id, run, attempt)
    return Path(store.location(key)) if store.local else Path(key)


def register_log(session: Session, store: Store, study_id: int, run: int, attempt: int) -> Artifact | None:
    """Makes the log of an attempt that has ended an artifact; None when it wrote nothing. May raise StorageError."""
    key = keys.log(study_id, run, attempt)
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in store.read(key):
            digest.update(chunk)
            size += len(chunk)
    except Missing:
        return None
    if size == 0:
        return None
    artifact = Artifact(
        study_id=study_id,
        run=run,
        attempt=attempt,
        kind="log",
        name=NAME,
        media_type=MEDIA_TYPE,
        bytes=size,
        sha256=digest.hexdigest(),
        path=key,
    )
    Artifacts(session).add(artifact)
    return artifact


@dataclass(frozen=True, slots=True)
class Log:
    """Where a log is in the store, and how long it was when it was looked at; `live` while it is being written."""

    key: str
    bytes: int
    live: bool


def find_log(store: Store, run: Run, stored: Artifact | None, attempt: int | None = None) -> Log:
    """Of the attempt, or of the latest one that wrote any; `stored` is the artifact that it is already, if it is one.

    Raises NotFound, or StorageError.
    """
    latest = keys.log(run.study_id, run.number, attempt or run.attempts)
    # While the latest attempt is under way its log is no artifact yet; the file is there already.
    key = latest if stored is None or (attempt is None and stored.attempt < run.attempts) else stored.path
    try:
        return Log(key, store.entry(key).bytes, live=stored is None or key != stored.path)
    except Missing:
        if stored is None:
            raise NotFound(f"run {run.number} has no log") from None
        return Log(stored.path, stored.bytes, live=False)


def begin_of_tail(store: Store, key: str, size: int, lines: int) -> int:
    """Where the last `lines` lines of the first `size` bytes begin. Reads from the end, a piece at a time."""
    piece = 64 * 1024
    position, wanted = size, lines
    while position > 0:
        begin = max(0, position - piece)
        data = b"".join(store.read(key, begin, position))
        at = len(data) - 1 if position == size and data.endswith(b"\n") else len(data)
        while (at := data.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return begin + at + 1
        position = begin
    return 0
