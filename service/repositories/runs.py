"""Trials, runs and their attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from search.history import ENQUEUED, RunState
from search.history import Run as Decision
from service.models import Attempt, Enqueued, Evaluation, Json, Report, Run, Study, Trial, utcnow
from service.models.base import table_of
from service.observability.notes import note
from service.repositories.errors import NotFound
from service.repositories.events import Events
from service.repositories.trial_order import Cursor, TrialOrder
from service.states import AttemptState, check_transition

OPEN = (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with the config of its trial."""

    run: Run
    trial: Trial


@dataclass(frozen=True, slots=True)
class Begun:
    """What was decided when a run was added: only that, for a history may have a hundred thousand of them."""

    number: int
    trial: int
    kind: str
    bracket: int
    rung: int
    replicate: int
    fidelity: float | None
    origin: Json
    resume_from: int | None
    added_event: int
    config: Json


_OF_BEGUN = [field.name for field in fields(Begun) if field.name != "config"]


@dataclass(frozen=True, slots=True)
class Over:
    """How a run has ended."""

    number: int
    state: str
    metrics: Json | None
    failure_class: str | None
    ended_event: int
    kind: str
    details: Json | None


_OF_OVER = [field.name for field in fields(Over)]


@dataclass(frozen=True, slots=True)
class Held:
    """What there is to know of an attempt under way until it is heard of: there may be a thousand of them."""

    run: int
    number: int
    worker: str | None
    created_at: datetime
    lease_seconds: float | None
    lease_expires: datetime | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project uses now."""

    runs: int
    gpus: float


class Runs:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, study: Study, decisions: Sequence[Decision]) -> Sequence[RunRow]:
        """Pending runs, and the trials that begin with them. The study's row is locked by the caller."""
        fresh = {
            one.trial: Trial(study_id=study.id, number=one.trial, config=dict(one.config))
            for one in decisions
            if one.trial >= study.trials
        }
        self.session.add_all(fresh.values())
        study.trials += len(fresh)
        runs = [self._add(study, decision) for decision in decisions]
        return [RunRow(run, fresh.get(run.trial) or self._trial(run)) for run in runs]

    def _trial(self, run: Run) -> Trial:
        return self.session.get_one(Trial, (run.study_id, run.trial))

    def _add(self, study: Study, decision: Decision) -> Run:
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
        study.count(RunState.PENDING, 1)
        study.fidelity += self._fidelity_used(study, decision)
        return run

    def _fidelity_used(self, study: Study, decision: Decision) -> float:
        """What the run is started for; one that goes on from another costs the difference of their fidelities."""
        if decision.told:
            return 0.0
        if decision.fidelity is None:
            return 1.0
        if decision.resume_from is None:
            return decision.fidelity
        resumed = self.session.get(Run, (study.id, decision.resume_from))
        assert resumed is not None
        return decision.fidelity - (resumed.fidelity or 0.0)

    def lease(self, run: Run, token: str, owner: str) -> Attempt:
        """A new attempt at the run. The one before it has ended.

        What that one reported up to its checkpoint becomes a part of the new one, which goes on from there.
        """
        before = self.attempt(run) if run.attempts else None
        run.attempts += 1
        attempt = Attempt(
            study_id=run.study_id,
            run=run.number,
            number=run.attempts,
            token=token,
            state=AttemptState.LEASED,
            owner=owner,
        )
        if before is not None and before.checkpoint is not None:
            attempt.checkpoint, attempt.checkpoint_step = before.checkpoint, before.checkpoint_step
            if before.checkpoint_step is not None:
                self._inherit_reports(run, before.checkpoint_step)
        self.session.add(attempt)
        return attempt

    def _inherit_reports(self, run: Run, step: float) -> None:
        self.session.execute(
            sa.update(Report)
            .where(Report.study_id == run.study_id, Report.run == run.number, Report.attempt == run.attempts - 1)
            .where(Report.step <= step)
            .values(attempt=run.attempts)
        )

    def end_attempt(self, run: Run, state: AttemptState, message: str | None = None) -> None:
        """Ends the run's current attempt, if it is open."""
        attempt = self.session.get(Attempt, (run.study_id, run.number, run.attempts))
        if attempt is not None:
            self.end(attempt, state, message)

    def end(self, attempt: Attempt, state: AttemptState, message: str | None = None) -> None:
        """Ends an attempt, if it is open."""
        if attempt.ended_at is not None:
            return
        check_transition(AttemptState(attempt.state), state)
        attempt.state, attempt.ended_at, attempt.message = state, utcnow(), message
        note(self.session, lambda metrics: metrics.attempt_ended(state))

    def attempts_ended(self, run: Run, state: AttemptState) -> int:
        """How many attempts at the run ended in this state."""
        ended = (Attempt.study_id == run.study_id) & (Attempt.run == run.number) & (Attempt.state == state)
        return self.session.scalar(sa.select(sa.func.count()).where(ended)) or 0

    def attempts(self, run: Run, limit: int | None = None, after: int | None = None) -> Sequence[Attempt]:
        """The attempts at the run, oldest first; `after` is the number of the last one of the page before."""
        query = sa.select(Attempt).where(Attempt.study_id == run.study_id, Attempt.run == run.number)
        if after is not None:
            query = query.where(Attempt.number > after)
        return self.session.scalars(query.order_by(Attempt.number).limit(limit)).all()

    def attempt_of(self, token: str) -> Attempt | None:
        """The attempt with this token."""
        return self.session.scalar(sa.select(Attempt).where(Attempt.token == token))

    def renewal(self, attempt: Attempt, until: datetime | None) -> Mapping[str, Any]:
        """The lease of a stored attempt runs until then: at once as far as the object tells, and for `renew`."""
        set_committed_value(attempt, "lease_expires", until)
        return {"study": attempt.study_id, "of": attempt.run, "which": attempt.number, "until": until}

    def renew(self, leases: Sequence[Mapping[str, Any]]) -> None:
        """Stores renewals: all of them in one statement, which takes a fraction of what their objects would."""
        self.session.connection().execute(_RENEW, leases)

    def under_way(self, study_id: int) -> Sequence[Held]:
        """The attempts of a study that have not ended, by run, as they are in the database."""
        return [Held(*row) for row in self.session.connection().execute(_UNDER_WAY, {"study": study_id})]

    def under_way_in_project(self, project_id: int) -> Usage:
        """How many attempts a project's studies have under way, and the GPUs that they were promised."""
        gpus = sa.func.coalesce(sa.func.sum(Study.spec["resources"]["gpus"].as_float()), 0.0)
        row = self.session.execute(
            sa.select(sa.func.count(), gpus)
            .select_from(Attempt)
            .join(Study, Study.id == Attempt.study_id)
            .where(Attempt.ended_at.is_(None), Study.project_id == project_id)
        ).one()
        return Usage(row[0], row[1])

    def attempt(self, run: Run) -> Attempt:
        """The run's current attempt."""
        attempt = self.session.get(Attempt, (run.study_id, run.number, run.attempts))
        assert attempt is not None, "a run that is carried out has an attempt"
        return attempt

    def get(self, study_id: int, number: int) -> RunRow:
        row = self.session.execute(_ROW, {"study": study_id, "run": number}).one_or_none()
        if row is None:
            raise NotFound(f"the study has no run {number}")
        return RunRow(row[0], row[1])

    def with_attempts(self, study_id: int, numbers: Collection[int]) -> Iterator[tuple[Run, Attempt | None]]:
        """Those of these runs that there are, each with its current attempt."""
        rows = self.session.execute(_RUNS_AND_ATTEMPTS, {"study": study_id, "runs": numbers})
        return ((run, attempt) for run, attempt in rows)

    def open(self, study_id: int) -> Sequence[RunRow]:
        """The runs that have not ended, by number."""
        rows = self.session.execute(_rows().where(Run.study_id == study_id, Run.state.in_(OPEN)).order_by(Run.number))
        return [RunRow(run, trial) for run, trial in rows]

    def serving(self, study_id: int) -> dict[int, int]:
        """The runs that try enqueued configs, by the config's number."""
        rule, number = Run.origin["rule"].as_string(), Run.origin["number"].as_integer()
        query = sa.select(number, Run.number).where(Run.study_id == study_id, rule == ENQUEUED)
        return {wish: run for wish, run in self.session.execute(query) if wish is not None}

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

    def added(self, study_id: int, number: int) -> Iterator[Begun]:
        """The runs from this number on: those that were added when there were as many."""
        of_trial = (Trial.study_id == Run.study_id) & (Trial.number == Run.trial)
        query = sa.select(*(getattr(Run, name) for name in _OF_BEGUN), Trial.config).join(Trial, of_trial)
        query = query.where(Run.study_id == study_id, Run.number >= number).order_by(Run.number)
        return (Begun(*row) for row in self._read(query, all_of_it=number == 0))

    def ended(self, study_id: int, seq: int) -> Iterator[Over]:
        """The runs that ended after the event `seq`, in the order in which they did."""
        query = sa.select(*(getattr(Run, name) for name in _OF_OVER))
        query = query.where(Run.study_id == study_id, Run.ended_event > seq).order_by(Run.ended_event)
        return (Over(*row) for row in self._read(query, all_of_it=seq == 0))

    def _read(self, query: sa.Select[*tuple[Any, ...]], *, all_of_it: bool) -> Iterator[sa.Row[*tuple[Any, ...]]]:
        """The rows, bit by bit where they may be very many."""
        return iter(self.session.execute(query, execution_options={"yield_per": 1000} if all_of_it else {}))

    def invalidated(self, study_id: int, seq: int) -> Sequence[Trial]:
        """The trials that were invalidated after the event `seq`, in the order in which they were."""
        query = sa.select(Trial).where(Trial.study_id == study_id, Trial.invalidated_event > seq)
        return self.session.scalars(query.order_by(Trial.invalidated_event)).all()

    def enqueued(self, study_id: int, seq: int = -1) -> Sequence[Enqueued]:
        """The configs that were enqueued after the event `seq`, in the order in which they were."""
        query = sa.select(Enqueued).where(Enqueued.study_id == study_id, Enqueued.event > seq)
        return self.session.scalars(query.order_by(Enqueued.number)).all()

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
        begin = None if after is None else Cursor(0.0, None, after)
        found = TrialOrder(study_id, state=state).read(self.session, limit, begin)
        return self.trials_numbered(study_id, [one.number for one in found])

    def trials_numbered(self, study_id: int, numbers: Sequence[int]) -> Sequence[tuple[Trial, Sequence[Run]]]:
        """These trials, in this order, each with its runs."""
        query = sa.select(Trial).where(Trial.study_id == study_id, Trial.number.in_(numbers))
        trials = {trial.number: trial for trial in self.session.scalars(query)}
        return self.with_runs(study_id, [trials[number] for number in numbers])

    def with_runs(self, study_id: int, trials: Sequence[Trial]) -> Sequence[tuple[Trial, Sequence[Run]]]:
        """These trials of one study, each with its runs by number."""
        found: dict[int, list[Run]] = {trial.number: [] for trial in trials}
        # Put in order here: SQLite would go through all runs in the order of their numbers.
        query = sa.select(Run).where(Run.study_id == study_id, Run.trial.in_(found))
        for run in sorted(self.session.scalars(query), key=lambda run: run.number):
            found[run.trial].append(run)
        return [(trial, found[trial.number]) for trial in trials]

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

    def evaluations(self, study_ids: Collection[int]) -> dict[int, Evaluation]:
        """Those of these studies, by study."""
        rows = self.session.scalars(sa.select(Evaluation).where(Evaluation.study_id.in_(study_ids)))
        return {row.study_id: row for row in rows}

    def add_evaluation(self, run: Run, metrics: dict[str, float]) -> None:
        self.session.add(Evaluation(study_id=run.study_id, run=run.number, trial=run.trial, metrics=metrics))


def _rows() -> sa.Select[Run, Trial]:
    return sa.select(Run, Trial).join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))


# Asked for all the time, and so written only once: to put a statement together takes as long as to carry it out.
_ROW = _rows().where(Run.study_id == sa.bindparam("study"), Run.number == sa.bindparam("run"))
_RUNS_AND_ATTEMPTS = (
    sa.select(Run, Attempt)
    .outerjoin(
        Attempt,
        (Attempt.study_id == Run.study_id) & (Attempt.run == Run.number) & (Attempt.number == Run.attempts),
    )
    .where(Run.study_id == sa.bindparam("study"), Run.number.in_(sa.bindparam("runs", expanding=True)))
)
_ATTEMPTS = table_of(Attempt)
_UNDER_WAY = (
    sa.select(*(_ATTEMPTS.c[field.name] for field in fields(Held)))
    .where(_ATTEMPTS.c.study_id == sa.bindparam("study"), _ATTEMPTS.c.ended_at.is_(None))
    .order_by(_ATTEMPTS.c.run)
)
_RENEW = (
    sa.update(_ATTEMPTS)
    .where(_ATTEMPTS.c.study_id == sa.bindparam("study"))
    .where(_ATTEMPTS.c.run == sa.bindparam("of"), _ATTEMPTS.c.number == sa.bindparam("which"))
    .values(lease_expires=sa.bindparam("until"))
)
