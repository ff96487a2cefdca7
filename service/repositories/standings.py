"""Who leads a study, as the search judges it: written when a run ends, so that it is read without the whole history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search import History, Standing, StudySpec, incumbents, schedule, standing
from search.history import RunState
from service.models import Incumbent, Json, Run, Study, Trial, utcnow
from service.repositories.events import Events
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
        """Stores who leads after the last event of a history, and tells of every new leader by an event of its own.

        The study's row is locked by the caller.
        """
        found = standing(spec, history)
        trace, known, last = incumbents(spec, history), self._known(study), study.last_event
        said = {"schedule": _schedule(history, found.run), "incumbents": len(trace)} if found else {}
        study.standing = asdict(found) | said if found else None
        for place, number in enumerate(trace[known:], start=known):
            run = self.session.get_one(Run, (study.id, number))
            self.session.add(Incumbent(study_id=study.id, place=place, run=number, event=last))
            data = {"metrics": run.metrics, "fidelity": run.fidelity}
            Events(self.session).append(study, "study.incumbent", run, data)

    def rewrite(self, study: Study, spec: StudySpec, history: History) -> None:
        """As `update`, when results were taken out: others may have led from the beginning. Nobody is told of these."""
        self.session.execute(sa.delete(Incumbent).where(Incumbent.study_id == study.id))
        rows = Runs(self.session).numbered(study.id, trace := incumbents(spec, history))
        for place, number in enumerate(trace):
            run = rows[number].run
            assert run.ended_event is not None, "who led has ended"
            taken = Incumbent(study_id=study.id, place=place, run=number, event=run.ended_event)
            taken.created_at = run.finished_at or utcnow()
            self.session.add(taken)
        study.standing = (study.standing or {}) | {"incumbents": len(trace)}
        self.update(study, spec, history)

    def leader(self, study: Study) -> Leader | None:
        """The best run; None while no run has succeeded."""
        return self.leader_of_each([study]).get(study.id)

    def best_of_trials(self, study: Study, most: int) -> Sequence[RunRow]:
        """The runs of the best trials at the fidelity of the leader, the best first; replicates do not count."""
        leader = self.leader(study)
        if leader is None:
            return []
        order = Run.value.desc() if study.spec["metrics"][0]["direction"] == "maximize" else Run.value
        rows = self.session.execute(
            sa.select(Run, Trial)
            .join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))
            .where(Run.study_id == study.id, Run.state == RunState.SUCCEEDED, Run.replicate == 0)
            .where(Run.fidelity.is_not_distinct_from(leader.row.run.fidelity), Trial.invalidated_event.is_(None))
            .order_by(Run.violation, order, Run.trial)
            .limit(most)
        )
        return [RunRow(run, trial) for run, trial in rows]

    def leader_of_each(self, studies: Collection[Study]) -> dict[int, Leader]:
        """The best run of each of these studies, by study; none for those in which no run has succeeded."""
        standings = {study.id: study.standing for study in studies if study.standing is not None}
        rows = self.session.execute(
            sa.select(Run, Trial)
            .select_from(Study)
            .join(Run, (Run.study_id == Study.id) & (Run.number == Study.standing["run"].as_integer()))
            .join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))
            .where(Study.id.in_(standings))
        )
        leaders: dict[int, Leader] = {}
        for run, trial in rows:
            stored = standings[run.study_id]
            found = Standing(**{field.name: stored[field.name] for field in fields(Standing)})
            leaders[run.study_id] = Leader(RunRow(run, trial), found, stored["schedule"])
        return leaders

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

    def _known(self, study: Study) -> int:
        """How many incumbents are stored; the standing says so, but for those of earlier versions."""
        if study.standing is not None and "incumbents" in study.standing:
            return int(study.standing["incumbents"])
        query = sa.select(sa.func.count()).select_from(Incumbent).where(Incumbent.study_id == study.id)
        return self.session.scalar(query) or 0


def _schedule(history: History, run: int) -> list[Json]:
    segments = schedule(history, run)
    return [segment.to_json() for segment in segments] if len(segments) > 1 else []
