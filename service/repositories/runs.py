"""Trials, runs and their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import Run as Decision
from search.history import RunState
from service.models import Attempt, Evaluation, Run, Study, Trial, utcnow
from service.repositories.errors import NotFound
from service.repositories.events import Events
from service.states import AttemptState, check_transition

OPEN = (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with the config of its trial."""

    run: Run
    trial: Trial


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study has used up; `fidelity` counts a continued trial once, up to its highest rung."""

    runs: int
    trials: int
    fidelity: float | None


class Runs:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, study: Study, decision: Decision) -> Run:
        """A pending run, and its trial when it is the first run of one. The study's row is locked by the caller."""
        if decision.resume_from is None:
            self.session.add(Trial(study_id=study.id, number=decision.trial, config=dict(decision.config)))
            self.session.flush()
        run = Run(
            study_id=study.id,
            number=decision.number,
            trial=decision.trial,
            state=RunState.PENDING,
            kind=decision.kind,
            bracket=decision.slot.bracket,
            rung=decision.slot.rung,
            fidelity=decision.slot.fidelity,
            origin=dict(decision.origin),
            resume_from=decision.resume_from,
            attempts=0,
        )
        run.added_event = Events(self.session).append(study, "run.pending", run)
        self.session.add(run)
        return run

    def lease(self, run: Run, token: str, owner: str) -> Attempt:
        """A new attempt at the run. The one before it has ended."""
        run.attempts += 1
        attempt = Attempt(
            study_id=run.study_id,
            run=run.number,
            number=run.attempts,
            token=token,
            state=AttemptState.LEASED,
            owner=owner,
        )
        self.session.add(attempt)
        return attempt

    def end_attempt(self, run: Run, state: AttemptState) -> None:
        """Ends the run's current attempt, if it is open."""
        attempt = self.session.get(Attempt, (run.study_id, run.number, run.attempts))
        if attempt is None or attempt.ended_at is not None:
            return
        check_transition(AttemptState(attempt.state), state)
        attempt.state, attempt.ended_at = state, utcnow()

    def lost_attempts(self, run: Run) -> int:
        """How many attempts at the run ended with the loss of their worker."""
        return (
            self.session.scalar(
                sa.select(sa.func.count()).where(
                    Attempt.study_id == run.study_id,
                    Attempt.run == run.number,
                    Attempt.state == AttemptState.LOST,
                )
            )
            or 0
        )

    def attempt(self, run: Run) -> Attempt:
        """The run's current attempt."""
        attempt = self.session.get(Attempt, (run.study_id, run.number, run.attempts))
        assert attempt is not None, "a run that is carried out has an attempt"
        return attempt

    def get(self, study_id: int, number: int) -> RunRow:
        row = self.session.execute(_rows().where(Run.study_id == study_id, Run.number == number)).one_or_none()
        if row is None:
            raise NotFound(f"the study has no run {number}")
        return RunRow(row[0], row[1])

    def open(self, study_id: int) -> Sequence[RunRow]:
        """The runs that have not ended, by number."""
        rows = self.session.execute(_rows().where(Run.study_id == study_id, Run.state.in_(OPEN)).order_by(Run.number))
        return [RunRow(run, trial) for run, trial in rows]

    def page(
        self,
        study_id: int,
        limit: int,
        after: int | None = None,
        state: RunState | None = None,
        trial: int | None = None,
    ) -> Sequence[RunRow]:
        """Runs by number; `after` is the last number of the page before."""
        query = _rows().where(Run.study_id == study_id).order_by(Run.number).limit(limit)
        if after is not None:
            query = query.where(Run.number > after)
        if state is not None:
            query = query.where(Run.state == state)
        if trial is not None:
            query = query.where(Run.trial == trial)
        return [RunRow(run, trial) for run, trial in self.session.execute(query)]

    def all(self, study_id: int) -> Sequence[RunRow]:
        """Every run of a study, by number: the whole history."""
        rows = self.session.execute(_rows().where(Run.study_id == study_id).order_by(Run.number))
        return [RunRow(run, trial) for run, trial in rows]

    def trial(self, study_id: int, number: int) -> tuple[Trial, Sequence[Run]]:
        """A trial and its runs, by number."""
        trial = self.session.get(Trial, (study_id, number))
        if trial is None:
            raise NotFound(f"the study has no trial {number}")
        return self.with_runs(study_id, [trial])[0]

    def trials(
        self, study_id: int, limit: int, after: int | None = None, state: RunState | None = None
    ) -> Sequence[tuple[Trial, Sequence[Run]]]:
        """Trials by number, each with its runs; a trial's state is that of its latest run."""
        query = sa.select(Trial).where(Trial.study_id == study_id).order_by(Trial.number).limit(limit)
        if after is not None:
            query = query.where(Trial.number > after)
        if state is not None:
            latest = newest_of_each_trial(study_id)
            query = query.join(latest, latest.c.trial == Trial.number).where(latest.c.state == state)
        return self.with_runs(study_id, self.session.scalars(query).all())

    def with_runs(self, study_id: int, trials: Sequence[Trial]) -> Sequence[tuple[Trial, Sequence[Run]]]:
        """These trials of one study, each with its runs by number."""
        found: dict[int, list[Run]] = {trial.number: [] for trial in trials}
        query = sa.select(Run).where(Run.study_id == study_id, Run.trial.in_(found)).order_by(Run.number)
        for run in self.session.scalars(query):
            found[run.trial].append(run)
        return [(trial, found[trial.number]) for trial in trials]

    def counts(self, study_ids: Iterable[int]) -> dict[int, dict[str, int]]:
        """For each study the number of runs per state (only states that occur)."""
        counts: dict[int, dict[str, int]] = {study_id: {} for study_id in study_ids}
        query = (
            sa.select(Run.study_id, Run.state, sa.func.count())
            .where(Run.study_id.in_(counts.keys()))
            .group_by(Run.study_id, Run.state)
        )
        for study_id, state, count in self.session.execute(query):
            counts[study_id][state] = count
        return counts

    def spent(self, study_id: int) -> Spent:
        """What the study has used up, open runs included at what they will use."""
        per_trial = (
            sa.select(sa.func.count().label("runs"), sa.func.max(Run.fidelity).label("fidelity"))
            .where(Run.study_id == study_id)
            .group_by(Run.trial)
            .subquery()
        )
        row = self.session.execute(
            sa.select(
                sa.func.coalesce(sa.func.sum(per_trial.c.runs), 0),
                sa.func.count(),
                sa.func.sum(per_trial.c.fidelity),
            )
        ).one()
        return Spent(int(row[0]), int(row[1]), row[2])

    def best(self, study_id: int, *, maximize: bool) -> RunRow | None:
        """The incumbent: the best value at the highest fidelity that has results; ties go to the lower trial."""
        succeeded = (Run.study_id == study_id) & (Run.state == RunState.SUCCEEDED) & (Run.kind == "train")
        highest = self.session.scalar(sa.select(sa.func.max(Run.fidelity)).where(succeeded))
        query = _rows().where(succeeded)
        if highest is not None:
            query = query.where(Run.fidelity == highest)
        value = Run.value.desc() if maximize else Run.value.asc()
        row = self.session.execute(query.order_by(value, Run.trial).limit(1)).one_or_none()
        return RunRow(row[0], row[1]) if row else None

    def kept_checkpoint(self, study_id: int) -> str | None:
        """The checkpoint worth keeping of a study that has ended: that of its best run."""
        study = self.session.get(Study, study_id)
        if study is None:
            return None
        best = self.best(study_id, maximize=study.spec["metrics"][0]["direction"] == "maximize")
        return best.run.checkpoint if best else None

    def beaten(self, run: Run, *, maximize: bool) -> Sequence[Run]:
        """Of the runs with a checkpoint at this run's fidelity, itself included, all but the best."""
        rivals = self.session.scalars(
            sa.select(Run)
            .where(Run.study_id == run.study_id, Run.state == RunState.SUCCEEDED, Run.checkpoint.is_not(None))
            .where(Run.fidelity.is_not_distinct_from(run.fidelity))
            .order_by(Run.value.desc() if maximize else Run.value.asc(), Run.trial)
        )
        return rivals.all()[1:]

    def leaders(self, study_id: int, *, maximize: bool) -> Sequence[int]:
        """The numbers of the runs that took the lead, in that order: `search.incumbents`, from the rows."""
        results = self.session.execute(
            sa.select(Run.number, Run.fidelity, Run.value, Run.trial)
            .where(Run.study_id == study_id, Run.state == RunState.SUCCEEDED, Run.kind == "train")
            .order_by(Run.ended_event)
        )
        numbers: list[int] = []
        leader: tuple[float, float, int] | None = None
        for number, fidelity, value, trial in results:
            assert value is not None, "a run that succeeded has a value"
            rank = (-(fidelity or 0), -value if maximize else value, trial)
            if leader is None or rank < leader:
                leader = rank
                numbers.append(number)
        return numbers

    def incumbents(self, study_id: int, *, maximize: bool) -> Sequence[RunRow]:
        """The runs that took the lead, oldest first; the last one is the best."""
        # As literals: a database counts parameters, and there is no bound on how often the lead changes.
        leaders: sa.BindParameter[Sequence[int]] = sa.bindparam(
            "leaders", self.leaders(study_id, maximize=maximize), expanding=True, literal_execute=True
        )
        rows = self.session.execute(
            _rows().where(Run.study_id == study_id, Run.number.in_(leaders)).order_by(Run.ended_event)
        )
        return [RunRow(run, trial) for run, trial in rows]

    def last_failure(self, study_id: int) -> Run | None:
        """The run that failed last."""
        failed = (Run.study_id == study_id) & (Run.state == RunState.FAILED)
        return self.session.scalar(sa.select(Run).where(failed).order_by(Run.ended_event.desc()).limit(1))

    def evaluation(self, study_id: int) -> Evaluation | None:
        return self.session.get(Evaluation, study_id)

    def add_evaluation(self, run: Run, metrics: dict[str, float]) -> None:
        self.session.add(Evaluation(study_id=run.study_id, run=run.number, trial=run.trial, metrics=metrics))


def _rows() -> sa.Select[Run, Trial]:
    return sa.select(Run, Trial).join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))


def newest_of_each_trial(study_id: int, state: RunState | None = None) -> sa.Subquery:
    """The latest run of each trial (of those in `state`): its trial, state and value."""
    newest = sa.select(sa.func.max(Run.number)).where(Run.study_id == study_id).group_by(Run.trial)
    if state is not None:
        newest = newest.where(Run.state == state)
    return sa.select(Run.trial, Run.state, Run.value).where(Run.study_id == study_id, Run.number.in_(newest)).subquery()
