"""Reports: the learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Report, Run


class Reports:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Many reports in one statement; a step that the attempt has reported before is left as it is.

        Each row holds study_id, run, attempt, step, metrics and seconds, and after_event where a history is made of it.
        """
        rows = list(rows)
        if rows:
            dialect = self.session.get_bind().dialect.name
            insert = _INSERTS[dialect](Report).on_conflict_do_nothing()
            self.session.execute(insert, rows)

    def page(
        self,
        study_id: int,
        limit: int,
        after: int | None = None,
        run: int | None = None,
        trial: int | None = None,
    ) -> Sequence[tuple[Report, int]]:
        """Reports of the current attempts with their trial's number, in the order in which they were stored."""
        query = (
            sa.select(Report, Run.trial)
            .join(Run, (Run.study_id == Report.study_id) & (Run.number == Report.run))
            .where(Report.study_id == study_id, Report.attempt == Run.attempts)
            .order_by(Report.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(Report.id > after)
        if run is not None:
            query = query.where(Report.run == run)
        if trial is not None:
            query = query.where(Run.trial == trial)
        return [(report, number) for report, number in self.session.execute(query)]

    def all(self, study_id: int) -> Sequence[Report]:
        """Every report of a study, of all attempts, in the order in which they were stored."""
        return self.session.scalars(sa.select(Report).where(Report.study_id == study_id).order_by(Report.id)).all()

    def last_id_before(self, study_id: int, moment: datetime) -> int:
        """The id of the newest report that was stored before `moment`; 0 without any."""
        query = sa.select(Report.id).where(Report.study_id == study_id, Report.created_at < moment)
        return self.session.scalar(query.order_by(Report.id.desc()).limit(1)) or 0


def _sqlite(table: type[Report]) -> Any:
    from sqlalchemy.dialects.sqlite import insert

    return insert(table)


def _postgresql(table: type[Report]) -> Any:
    from sqlalchemy.dialects.postgresql import insert

    return insert(table)


_INSERTS = {"sqlite": _sqlite, "postgresql": _postgresql}
