"""Reports: the learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Report, Run
from service.repositories.inserts import insert_or_ignore


class Reports:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Many reports in one statement; a step that the attempt has reported before is left as it is.

        Each row holds study_id, run, attempt, step, metrics and seconds, and after_event where a history is made of it.
        """
        rows = list(rows)
        if rows:
            self.session.flush()  # the runs that they are of
            self.session.connection().execute(insert_or_ignore(self.session, Report), rows)

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
            # Of a run or a trial there are few: SQLite would rather go through all of the study, in this order.
            .order_by(Report.id if run is None and trial is None else Report.id + 0)
            .limit(limit)
        )
        if after is not None:
            query = query.where(Report.id > after)
        if run is not None:
            query = query.where(Report.run == run)
        if trial is not None:
            runs = sa.select(Run.number).where(Run.study_id == study_id, Run.trial == trial)
            query = query.where(Report.run.in_(runs))
        return [(report, number) for report, number in self.session.execute(query)]

    def after(self, study_id: int, report: int) -> Sequence[Report]:
        """The reports of a study, of all attempts, that were stored after the one with this id, in order."""
        query = sa.select(Report).where(Report.study_id == study_id, Report.id > report)
        return self.session.scalars(query.order_by(Report.id)).all()

    def last(self, run: Run) -> Report | None:
        """The report of the highest step of the run's current attempt; None if there is none."""
        mine = (Report.study_id == run.study_id) & (Report.run == run.number) & (Report.attempt == run.attempts)
        return self.session.scalar(sa.select(Report).where(mine).order_by(Report.step.desc()).limit(1))

    def last_before(self, study_id: int, event: int) -> int:
        """The id of the newest report that was stored before this event of the study; 0 without any."""
        query = sa.select(Report.id).where(Report.study_id == study_id, Report.after_event < event)
        return self.session.scalar(query.order_by(Report.after_event.desc(), Report.id.desc()).limit(1)) or 0
