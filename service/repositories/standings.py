"""Who leads a study, as the search judges it: written when a run ends, so that it is read without the whole history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search import History, Standing, StudySpec, incumbents, schedule, standing
from service.models import Incumbent, Json, Run, Study, Trial
from service.repositories.runs import RunRow, Runs


@dataclass(frozen=True, slots=True)
class Leader:
    """A run that is in the running, with its standing; and the schedule of configs behind it, where it is not one."""

    row: RunRow
    standing: Standing
    schedule: Sequence[Json] = ()

    @property
    def metrics(self) -> Json:
        """All that the run reported; over several replicates the means of the study's own."""
        return dict(self.standing.metrics if self.standing.results > 1 else self.row.run.metrics or {})


class Standings:
    def __init__(self, session: Session) -> None:
        self.session = session

    def update(self, study: Study, spec: StudySpec, history: History) -> None:
        """Stores who leads after the last event of a history. The study's row is locked by the caller."""
        found = standing(spec, history)
        study.standing = asdict(found) | {"schedule": _schedule(history, found.run)} if found else None
        trace, known = incumbents(spec, history), self._count(study.id)
        for place, run in enumerate(trace[known:], start=known):
            self.session.add(Incumbent(study_id=study.id, place=place, run=run, event=study.last_event))

    def leader(self, study: Study) -> Leader | None:
        """The best run; None while no run has succeeded."""
        if study.standing is None:
            return None
        found = Standing(**{field.name: study.standing[field.name] for field in fields(Standing)})
        return Leader(Runs(self.session).get(study.id, found.run), found, study.standing["schedule"])

    def leaders(self, study: Study, spec: StudySpec, history: History, numbers: Sequence[int]) -> Sequence[Leader]:
        """These runs of the study's front, in this order."""
        rows = Runs(self.session).numbered(study.id, numbers)
        found = [standing(spec, history, number) for number in numbers]
        return [Leader(rows[one.run], one, _schedule(history, one.run)) for one in found if one]

    def trace(self, study_id: int) -> Sequence[tuple[Incumbent, RunRow]]:
        """The runs that took the lead, oldest first; one that lost it and took it again is there twice."""
        rows = self.session.execute(
            sa.select(Incumbent, Run, Trial)
            .join(Run, (Run.study_id == Incumbent.study_id) & (Run.number == Incumbent.run))
            .join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))
            .where(Incumbent.study_id == study_id)
            .order_by(Incumbent.place)
        )
        return [(incumbent, RunRow(run, trial)) for incumbent, run, trial in rows]

    def numbers(self, study_id: int) -> Sequence[int]:
        """The numbers of the runs that took the lead, oldest first."""
        query = sa.select(Incumbent.run).where(Incumbent.study_id == study_id).order_by(Incumbent.place)
        return self.session.scalars(query).all()

    def _count(self, study_id: int) -> int:
        query = sa.select(sa.func.count()).select_from(Incumbent).where(Incumbent.study_id == study_id)
        return self.session.scalar(query) or 0


def _schedule(history: History, run: int) -> list[Json]:
    segments = schedule(history, run)
    return [segment.to_json() for segment in segments] if len(segments) > 1 else []
