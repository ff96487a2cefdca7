"""Studies as dispatchers see them, whatever project they are of: a study has one owner at a time, the dispatcher that
holds its lease.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Attempt, Json, Study
from service.models.base import table_of
from service.models.studies import elapsed
from service.observability.notes import note
from service.repositories.errors import NotFound
from service.states import StudyState

UNFINISHED = tuple(state.value for state in StudyState if not state.finished)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a dispatcher keeps an eye on; the fields are columns of `Study`."""

    id: int
    name: str
    state: str
    priority: int
    counts: Json
    last_event: int
    owner: str | None
    lease_expires: datetime | None
    active_seconds: float
    active_since: datetime | None

    def elapsed(self, now: datetime) -> float:
        """As of the study."""
        return elapsed(self.active_seconds, self.active_since, now)


class Owned:
    """For those who carry studies out; routes have `Studies`, which know no other project's."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def lock(self, study_id: int, known: Study | None = None) -> Study:
        """The study's row, locked until the transaction ends, with its current content. Raises NotFound.

        `known` is the study as an earlier transaction has left it: taken again if nobody has changed it since.
        """
        if known is not None:
            row = self.session.connection().execute(_LOCK_CHANGING, {"study": study_id}).one_or_none()
            if row is not None and tuple(row) == _changing(known):
                self.session.add(known)
                return known
        study = self.session.scalar(_LOCK, {"study": study_id})
        if study is None:
            raise NotFound(f"there is no study with the id {study_id}")
        return study

    def unfinished(self) -> Sequence[Glance]:
        """All studies that have not ended: what changes of them, without what is large."""
        columns = [getattr(Study, field.name) for field in fields(Glance)]
        rows = self.session.execute(sa.select(*columns).where(Study.state.in_(UNFINISHED)).order_by(Study.id))
        return [Glance(*row) for row in rows]

    def overdue(self, ids: Collection[int], now: datetime) -> Sequence[int]:
        """Those of these studies that have an attempt whose lease has run out."""
        expired = Attempt.study_id.in_(ids) & Attempt.ended_at.is_(None) & (Attempt.lease_expires < now)
        return self.session.scalars(sa.select(Attempt.study_id).where(expired).distinct()).all()

    def claim(self, owner: str, now: datetime, lease_seconds: float, *, exclusive: bool) -> Sequence[Study]:
        """Takes or renews the lease of every unfinished study that is free, and returns all that are now owned.

        `exclusive` says that no other dispatcher can be alive: leases that somebody else left are taken at once.
        """
        free = Study.owner.is_(None) | (Study.owner == owner) | (Study.lease_expires < now)
        query = sa.select(Study.id).where(Study.state.in_(UNFINISHED)).order_by(Study.id)
        ids = self.session.scalars((query if exclusive else query.where(free)).with_for_update(skip_locked=True)).all()
        taken = Study.id.in_(ids) & Study.owner.is_not(None) & (Study.owner != owner)
        expired = self.session.scalar(sa.select(sa.func.count()).where(taken)) or 0
        note(self.session, lambda metrics: metrics.lease_expired("study", expired))
        self.session.execute(
            sa.update(Study)
            .where(Study.id.in_(ids))
            .values(owner=owner, lease_expires=now + timedelta(seconds=lease_seconds))
        )
        return self.session.scalars(
            sa.select(Study).where(Study.id.in_(ids)).order_by(Study.id).execution_options(populate_existing=True)
        ).all()

    def renew(self, owner: str, now: datetime, lease_seconds: float) -> None:
        """Renews the leases of this owner, and takes no others."""
        until = now + timedelta(seconds=lease_seconds)
        self.session.execute(sa.update(Study).where(Study.owner == owner).values(lease_expires=until))

    def finished_among(self, ids: Collection[int]) -> Sequence[int]:
        """Of these studies those that have ended, or are not there at all."""
        query = sa.select(Study.id).where(Study.id.in_(ids), Study.state.in_(UNFINISHED))
        return sorted(set(ids) - set(self.session.scalars(query)))

    def owned(self, owner: str) -> Sequence[Study]:
        """The studies that this owner holds, their rows locked."""
        return self.session.scalars(
            sa.select(Study).where(Study.owner == owner).order_by(Study.id).with_for_update()
        ).all()

    def release(self, owner: str) -> None:
        """Gives back every lease of this owner."""
        self.session.execute(sa.update(Study).where(Study.owner == owner).values(owner=None, lease_expires=None))


_LOCK = (
    sa.select(Study)
    .where(Study.id == sa.bindparam("study"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_STUDIES = table_of(Study)
_CHANGING = [column for column in _STUDIES.c if column.name not in ("spec", "sources")]
"""What is large stays as it is."""
_changing = attrgetter(*(column.name for column in _CHANGING))
_LOCK_CHANGING = sa.select(*_CHANGING).where(_STUDIES.c.id == sa.bindparam("study")).with_for_update()
