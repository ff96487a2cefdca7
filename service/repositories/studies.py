"""The studies of one project. Nobody gets at another project's through here: they are as if they were not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Json, Study
from service.repositories.errors import NameTaken, NotFound
from service.states import StudyState


class Studies:
    """The only way of routes to studies; dispatchers have `Owned`."""

    def __init__(self, session: Session, project_id: int) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, name: str, spec: Json, sources: list[Json] | None = None) -> Study:
        """A new, active study. Raises NameTaken."""
        if self.find(name) is not None:
            raise NameTaken(name)
        study = Study(project_id=self.project_id, name=name, spec=spec, sources=sources, state=StudyState.ACTIVE)
        try:
            with self.session.begin_nested():
                self.session.add(study)
        except sa.exc.IntegrityError as error:  # another writer was faster
            raise NameTaken(name) from error
        return study

    def find(self, name: str) -> Study | None:
        return self.session.scalar(self._all.where(Study.name == name))

    def get(self, name: str, *, lock: bool = False) -> Study:
        """The study of that name, its row locked if asked for. Raises NotFound with near names."""
        query = self._all.where(Study.name == name)
        study = self.session.scalar(query.with_for_update() if lock else query)
        if study is None:
            recent = sa.select(Study.name).where(Study.project_id == self.project_id).order_by(Study.id.desc())
            names = self.session.scalars(recent.limit(1000)).all()
            raise NotFound(f"there is no study named {name!r}", difflib.get_close_matches(name, names, 3))
        return study

    def page(self, limit: int, after: int | None = None) -> Sequence[Study]:
        """Newest first; `after` is the id of the last study of the page before."""
        query = self._all.order_by(Study.id.desc()).limit(limit)
        return self.session.scalars(query if after is None else query.where(Study.id < after)).all()

    @property
    def _all(self) -> sa.Select[Study]:
        return sa.select(Study).where(Study.project_id == self.project_id)
