"""Removes files of the store that no row names: what a crash left behind, and what went with a study or a project.

A file comes into the store before its row is there, so nothing is looked at that is younger than a day.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice

from service.database import Database, DatabaseError, Session
from service.models import utcnow
from service.repositories.artifacts import attempts_under_way, known_artifact_keys
from service.repositories.datasets import known_dataset_keys
from service.store.base import Store
from service.store.keys import ARTIFACTS, DATASETS, LOGS, attempt_of_log
from workers.storage import StorageError

log = logging.getLogger(__name__)

GRACE = timedelta(days=1)
EVERY_SECONDS = 6 * 3600.0
BATCH = 500


def sweep(database: Database, store: Store, *, grace: timedelta = GRACE) -> int:
    """How many files were removed. Raises StorageError or DatabaseError; what was removed by then was garbage too."""
    before = utcnow() - grace
    removed = _sweep_waiting(store, before)
    for folder in (DATASETS, ARTIFACTS, LOGS):
        old = (entry for entry in store.list(folder) if entry.modified < before)
        while batch := list(islice(old, BATCH)):
            with database.session(write=False) as session:
                garbage = _garbage(session, [entry.key for entry in batch])
            for key in garbage:
                store.delete(key)
            removed += len(garbage)
    return removed


@contextmanager
def sweeping(database: Database, store: Store) -> Iterator[None]:
    """Sweeps in a thread of its own: now, and every few hours until the block ends."""
    ended = threading.Event()

    def run() -> None:
        while True:
            try:
                if removed := sweep(database, store):
                    log.info("removed %d files from the store that nothing refers to", removed)
            except (StorageError, DatabaseError) as error:
                log.warning("the store was not swept: %s", error)
            if ended.wait(EVERY_SECONDS):
                return

    # It is not waited for: it may be reading a long listing, and may end anywhere.
    threading.Thread(target=run, name="sweep", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _garbage(session: Session, keys: Collection[str]) -> list[str]:
    """Of these keys those that no row names; the log of an attempt that is under way has no row yet."""
    known = known_dataset_keys(session, keys) | known_artifact_keys(session, keys)
    unknown = [key for key in keys if key not in known]
    logs = {key: attempt for key in unknown if (attempt := attempt_of_log(key))}
    live = attempts_under_way(session, set(logs.values()))
    return [key for key in unknown if logs.get(key) not in live]


def _sweep_waiting(store: Store, before: datetime) -> int:
    """What was on its way in when a process ended."""
    removed = 0
    for path in store.waiting.glob("*"):
        try:
            if path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)
                removed += 1
        except OSError as error:
            log.warning("%s stays: %s", path, error.strerror)
    return removed
