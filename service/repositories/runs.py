"""Trials, runs and their attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from search.history import Run as Decision
from search.history import RunState
from service.models import Attempt, Evaluation, Json, Run, Study, Trial, utcnow
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
    """What a study has used up; a run that goes on from another one costs the difference of their fidelities."""

    runs: int
    trials: int
    fidelity: float | None


class Runs:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, study: Study, decision: Decision) -> Run:
        """A pending run, and its trial when it is the first run of one. The study's row is locked by the caller."""
        if self.session.get(Trial, (study.id, decision.trial)) is None:
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
            replicate=decision.slot.replicate,
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
        resumed = aliased(Run)
        fresh = Run.fidelity - sa.func.coalesce(resumed.fidelity, 0)
        row = self.session.execute(
            sa.select(sa.func.count(), sa.func.count(Run.trial.distinct()), sa.func.sum(fresh))
            .select_from(Run)
            .outerjoin(resumed, (resumed.study_id == Run.study_id) & (resumed.number == Run.resume_from))
            .where(Run.study_id == study_id)
        ).one()
        return Spent(row[0], row[1], row[2])

    def kept_checkpoints(self, study_id: int) -> Sequence[str]:
        """The checkpoints worth keeping of a study that has ended: of its best run, and of the other `contenders`."""
        study = self.session.get(Study, study_id)
        if study is None or study.standing is None:
            return []
        best = self.get(study.id, study.standing["run"]).run
        fidelity = study.spec["space"].get("fidelity")
        at_the_top = fidelity is None or best.fidelity == fidelity["high"]  # where others were given up on the way
        kept = self.with_checkpoint(best) if at_the_top else [best]
        return [run.checkpoint for run in kept if run.checkpoint]

    def stops(self, study_id: int) -> dict[int, Json]:
        """What a stopping rule said, of each run that it ended."""
        query = sa.select(Run.number, Run.stopped_by).where(Run.study_id == study_id, Run.stopped_by.is_not(None))
        return {number: stop for number, stop in self.session.execute(query) if stop is not None}

    def numbered(self, study_id: int, numbers: Collection[int]) -> dict[int, RunRow]:
        """These runs, by number."""
        # As literals: a database counts parameters, and there is no bound on how many are asked for.
        wanted: sa.BindParameter[Collection[int]] = sa.bindparam(
            "numbers", list(numbers), expanding=True, literal_execute=True
        )
        rows = self.session.execute(_rows().where(Run.study_id == study_id, Run.number.in_(wanted)))
        return {run.number: RunRow(run, trial) for run, trial in rows}

    def with_checkpoint(self, run: Run) -> Sequence[Run]:
        """The runs with a checkpoint at this run's fidelity, itself included."""
        return self.session.scalars(
            sa.select(Run)
            .where(Run.study_id == run.study_id, Run.state == RunState.SUCCEEDED, Run.checkpoint.is_not(None))
            .where(Run.fidelity.is_not_distinct_from(run.fidelity))
        ).all()

    def continued_by(self, run: Run) -> Sequence[Run]:
        """The runs that go on from this run's checkpoint."""
        return self.session.scalars(
            sa.select(Run).where(Run.study_id == run.study_id, Run.resume_from == run.number)
        ).all()

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
    """The latest run of each trial (of those in `state`): its trial, state, value and violation."""
    newest = sa.select(sa.func.max(Run.number)).where(Run.study_id == study_id).group_by(Run.trial)
    if state is not None:
        newest = newest.where(Run.state == state)
    columns = (Run.trial, Run.state, Run.value, Run.violation)
    return sa.select(*columns).where(Run.study_id == study_id, Run.number.in_(newest)).subquery()
