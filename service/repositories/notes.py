"""What people wrote about studies and trials."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Note


class Notes:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, study_id: int, trial: int | None, author: str, text: str) -> Note:
        note = Note(study_id=study_id, trial=trial, author=author, text=text)
        self.session.add(note)
        self.session.flush()
        return note

    def page(self, study_id: int, limit: int, after: int | None = None, trial: int | None = None) -> Sequence[Note]:
        """Oldest first; `after` is the id of the last note of the page before."""
        query = sa.select(Note).where(Note.study_id == study_id).order_by(Note.id).limit(limit)
        if after is not None:
            query = query.where(Note.id > after)
        if trial is not None:
            query = query.where(Note.trial == trial)
        return self.session.scalars(query).all()
