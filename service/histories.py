"""Histories for those who only look: kept from one question to the next, so that only what is newer is read.

Without them a front of a hundred thousand trials would be made of all of them again, at every refresh of its chart.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.database import Database, Session
from service.models import Study
from service.repositories.studies import Studies
from service.tracking import Tracked

MOST_RUNS = 50_000
"""So many are kept of all studies together, some 1.5 KB each; one study alone may have more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A study and its history, as of one transaction that reads."""

    session: Session
    study: Study
    tracked: Tracked


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    tracked: Tracked | None = None

    @property
    def runs(self) -> int:
        return len(self.tracked.history.runs) if self.tracked else 0


class Histories:
    """May be used by many threads; those who want the same study wait for each other."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    @contextmanager
    def see(self, project_id: int, name: str) -> Iterator[Seen]:
        """The study of that name, while the block lasts. Raises NotFound, or InvalidInput as `Tracked.of` does."""
        with self.database.session(write=False) as session:
            study_id = Studies(session, project_id).get(name).id
        kept = self._take(study_id)
        # The transaction begins when nobody else adds to the history: so it never sees less than what is known already.
        with kept.lock, self.database.session(write=False) as session:
            study = session.get_one(Study, study_id)
            kept.tracked = kept.tracked or Tracked.of(study)
            kept.tracked.catch_up(session, study)
            yield Seen(session, study, kept.tracked)
        self._make_room()

    def _take(self, study_id: int) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(study_id, _Kept())
            self._kept.move_to_end(study_id)
            return kept

    def _make_room(self) -> None:
        with self._lock:
            while len(self._kept) > 1 and sum(kept.runs for kept in self._kept.values()) > MOST_RUNS:
                self._kept.popitem(last=False)
