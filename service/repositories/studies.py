"""Studies and their leases: a study has one owner at a time, the dispatcher that holds its lease."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Json, Study
from service.repositories.errors import NameTaken, NotFound
from service.states import StudyState

UNFINISHED = tuple(state.value for state in StudyState if not state.finished)


class Studies:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, name: str, spec: Json, sources: list[Json] | None = None) -> Study:
        """A new, active study. Raises NameTaken."""
        if self.find(name) is not None:
            raise NameTaken(name)
        study = Study(name=name, spec=spec, sources=sources, state=StudyState.ACTIVE)
        try:
            with self.session.begin_nested():
                self.session.add(study)
        except sa.exc.IntegrityError as error:  # another writer was faster
            raise NameTaken(name) from error
        return study

    def find(self, name: str) -> Study | None:
        return self.session.scalar(sa.select(Study).where(Study.name == name))

    def get(self, name: str, *, lock: bool = False) -> Study:
        """The study of that name, its row locked if asked for. Raises NotFound with near names."""
        query = sa.select(Study).where(Study.name == name)
        study = self.session.scalar(query.with_for_update() if lock else query)
        if study is None:
            names = self.session.scalars(sa.select(Study.name).order_by(Study.id.desc()).limit(1000)).all()
            raise NotFound(f"there is no study named {name!r}", difflib.get_close_matches(name, names, 3))
        return study

    def lock(self, study_id: int) -> Study:
        """The study's row, locked until the transaction ends, with its current content."""
        query = sa.select(Study).where(Study.id == study_id).with_for_update()
        study = self.session.scalar(query.execution_options(populate_existing=True))
        assert study is not None, f"study {study_id} is never deleted while it is dispatched"
        return study

    def page(self, limit: int, after: int | None = None) -> Sequence[Study]:
        """Newest first; `after` is the id of the last study of the page before."""
        query = sa.select(Study).order_by(Study.id.desc()).limit(limit)
        return self.session.scalars(query if after is None else query.where(Study.id < after)).all()

    def unfinished(self) -> Sequence[Study]:
        return self.session.scalars(sa.select(Study).where(Study.state.in_(UNFINISHED)).order_by(Study.id)).all()

    def claim(self, owner: str, now: datetime, lease_seconds: float, *, exclusive: bool) -> Sequence[Study]:
        """Takes or renews the lease of every unfinished study that is free, and returns all that are now owned.

        `exclusive` says that no other dispatcher can be alive: leases that somebody else left are taken at once.
        """
        free = Study.owner.is_(None) | (Study.owner == owner) | (Study.lease_expires < now)
        query = sa.select(Study.id).where(Study.state.in_(UNFINISHED)).order_by(Study.id)
        ids = self.session.scalars((query if exclusive else query.where(free)).with_for_update(skip_locked=True)).all()
        self.session.execute(
            sa.update(Study)
            .where(Study.id.in_(ids))
            .values(owner=owner, lease_expires=now + timedelta(seconds=lease_seconds))
        )
        return self.session.scalars(
            sa.select(Study).where(Study.id.in_(ids)).order_by(Study.id).execution_options(populate_existing=True)
        ).all()

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
