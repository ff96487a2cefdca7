"""Has jobs carried out on the pool, whoever's studies they are of: a job has one owner at a time, by its own lease.

Jobs are few and short beside the runs; they come first.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable, Session
from service.datasets.references import objective_for_worker
from service.engagement import resources_of, training_seed
from service.jobs.checks import check_ended
from service.jobs.finalization import over, part_ended
from service.models import Job, Study, utcnow
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from service.repositories.runs import Runs
from service.specs import search_spec
from service.tracking import restore_fidelity
from workers.protocol import Assignment, Ended, Failed, FailureClass, Finished, Member, Pool, PoolEvent, Preempted
from workers.protocol import Job as Work

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
AT_ONCE = 64
LEASE_SECONDS = 30.0


class JobRunner:
    """Not thread-safe: all is called in the dispatcher's thread."""

    def __init__(self, database: Database, checkpoints: Checkpoints, owner: str, pool: Pool) -> None:
        self.database = database
        self.checkpoints = checkpoints
        self.owner = owner
        self.pool = pool
        self._keys: dict[str, tuple[int, int]] = {}
        self._waiting: Sequence[tuple[int, int]] = ()
        self._unneeded: list[str] = []

    def holds(self, key: str) -> bool:
        return key in self._keys

    def look(self, session: Session) -> None:
        """Notices jobs that wait, and ends those that somebody cancelled."""
        jobs = Jobs(session)
        self._waiting = jobs.waiting(utcnow(), AT_ONCE, set(self._keys.values()))
        if self._keys:
            held = {(job.study_id, job.number) for job in jobs.held(self.owner)}
            for key, (study_id, number) in [(key, job) for key, job in self._keys.items() if job not in held]:
                self.pool.kill(key)
                del self._keys[key]
                if jobs.get(study_id, number).state == RunState.CANCELLED:
                    self.checkpoints.remove(self.checkpoints.name_of_job(study_id, number))

    def fill(self) -> bool:
        """Has the pool carry out what waits, as far as it has room. Whether there was anything to do."""
        waiting, self._waiting = self._waiting, ()
        self._unneeded.clear()
        taken = False
        for study_id, number in waiting:
            with self._isolated(study_id, number):
                taken |= self._take(study_id, number)
        self._tidy()
        return taken

    def record(self, event: PoolEvent) -> None:
        """Stores how a job ended, and what follows from it."""
        study_id, number = self._keys[event.key]
        if not isinstance(event, Ended):
            return
        self._unneeded.clear()
        with self._isolated(study_id, number), self.database.session() as session:
            study = Owned(session).lock(study_id)
            job = Jobs(session).get(study_id, number)
            if job.key == event.key and job.state == RunState.RUNNING:
                self._end(session, study, job, event)
            elif job.state == RunState.CANCELLED:  # as it ended, before `look` saw it
                self._unneeded.append(self.checkpoints.name_of_job(study_id, number))
        del self._keys[event.key]
        self._tidy()

    def renew(self) -> None:
        """Keeps the leases of what is under way. What is ours without being under way was started by a commit of which
        only the answer was lost: it is given back."""
        mine = set(self._keys.values())
        with self.database.session() as session:
            forgotten = [job for job in Jobs(session).held(self.owner) if (job.study_id, job.number) not in mine]
            self._give_back(session, forgotten)
            if mine:
                Jobs(session).renew(self.owner, LEASE_SECONDS)

    def hand_over(self) -> None:
        """Ends everything and gives it back, for another dispatcher to begin anew."""
        for key in self._keys:
            self.pool.kill(key)
        with self.database.session() as session:
            self._give_back(session, Jobs(session).held(self.owner))
        self._keys.clear()

    def _give_back(self, session: Session, jobs: Sequence[Job]) -> None:
        """Nobody's fault: it does not count as an attempt."""
        for study_id in sorted({job.study_id for job in jobs}):
            Owned(session).lock(study_id)
        for job in jobs:
            session.refresh(job)
            if job.state == RunState.RUNNING and job.owner == self.owner:
                Jobs(session).end(job, RunState.PENDING)
                job.attempts -= 1

    @contextmanager
    def _isolated(self, study_id: int, number: int) -> Iterator[None]:
        """What goes wrong with one job ends that job, and neither the others nor the service."""
        try:
            yield
        except DatabaseUnavailable:
            raise
        except Exception as error:  # whatever it is, only this job may suffer
            log.exception("job %d of study %d failed", number, study_id)
            with self.database.session() as session:
                study, job = Owned(session).lock(study_id), Jobs(session).get(study_id, number)
                if not RunState(job.state).finished:
                    self._store_failure(session, job, FailureClass.ERROR, f"a fault of the service: {error!r}")
                    # what usually follows may be what failed: a check ends, and nothing more is made of a finalization
                    (over if job.finalization else check_ended)(session, study, job)

    def _take(self, study_id: int, number: int) -> bool:
        key = uuid.uuid4().hex
        with self.database.session() as session:
            study, jobs = Owned(session).lock(study_id), Jobs(session)
            job = jobs.get(study_id, number)
            if job.state == RunState.RUNNING and job.lease_expires is not None and job.lease_expires < utcnow():
                jobs.end(job, RunState.PENDING)
            under_way = sum(of == study_id for of, _ in self._keys.values())
            full = under_way >= study.spec["parallelism"] or not self.pool.capacity(resources_of(study))
            if job.state != RunState.PENDING or full:
                return False
            if job.attempts >= MOST_ATTEMPTS:
                self._fail(session, study, job, FailureClass.LOST, f"its worker was lost {job.attempts} times")
                return True
            jobs.start(job, key, self.owner, LEASE_SECONDS)
            assignment = self._assignment(session, study, job, key)
        self._keys[key] = (study_id, number)
        self.pool.submit(assignment)
        return True

    def _assignment(self, session: Session, study: Study, job: Job, key: str) -> Assignment:
        store = self.checkpoints.store
        members = tuple(self._member(session, study, number) for number in job.runs)
        if job.kind == "ensemble":
            confirmed = Jobs(session).kept(study.id, job.finalization)
            members += tuple(self._confirmed(study, one) for one in confirmed if one.state == RunState.SUCCEEDED)
        return Assignment(
            key=key,
            objective=study.spec["objective"]
            if store is None
            else objective_for_worker(study.spec["objective"], store),
            config=job.config,
            seed=job.seed,
            fidelity=self._fidelity(study, job),
            checkpoint=self._place(job),
            metrics=tuple(metric["name"] for metric in study.spec["metrics"]),
            task="job",
            job=Work(job.kind, job.options, members),
            resources=resources_of(study),
            store=self.checkpoints.store_url,
        )

    def _fidelity(self, study: Study, job: Job) -> tuple[str, float | int, float | int] | None:
        spec = search_spec(study)
        fidelity, value = spec.space.fidelity, restore_fidelity(spec, job.fidelity)
        return (fidelity.name, value, fidelity.high) if fidelity and value is not None else None

    def _place(self, job: Job) -> Path | None:
        """Where a job that makes a model leaves it, and one that an ensemble may be made of its weights."""
        if job.kind == "refit":
            return self.checkpoints.model(job.study_id, job.number)
        if job.options.get("keep"):
            return self.checkpoints.path(self.checkpoints.new_of_job(job.study_id, job.number))
        return None

    def _member(self, session: Session, study: Study, number: int) -> Member:
        row, spec = Runs(session).get(study.id, number), search_spec(study)
        assert row.run.checkpoint is not None, "a member of an ensemble has a checkpoint"
        fidelity, value = spec.space.fidelity, restore_fidelity(spec, row.run.fidelity)
        return Member(
            trial=row.run.trial,
            config=row.trial.config,
            seed=training_seed(spec, row.run),
            checkpoint=self.checkpoints.path(row.run.checkpoint),
            fidelity=(fidelity.name, value, fidelity.high) if fidelity and value is not None else None,
        )

    def _confirmed(self, study: Study, job: Job) -> Member:
        assert job.trial is not None, "a confirmation is of a trial"
        return Member(
            trial=job.trial,
            config=job.config,
            seed=job.seed,
            checkpoint=self.checkpoints.path(self.checkpoints.name_of_job(study.id, job.number)),
            fidelity=self._fidelity(study, job),
            source="confirmation",
        )

    def _end(self, session: Session, study: Study, job: Job, event: Ended) -> None:
        jobs = Jobs(session)
        match event:
            case Finished(result=result):
                job.metrics, job.details = dict(result.metrics), dict(result.details)
                if result.checkpointed and job.kind == "refit":
                    job.model = str(self.checkpoints.model(job.study_id, job.number))
                jobs.end(job, RunState.SUCCEEDED)
            case Preempted():
                self._give_back(session, [job])
                return
            case Failed(failure=FailureClass.LOST) if job.attempts < MOST_ATTEMPTS:
                jobs.end(job, RunState.PENDING)
                return
            case Failed(failure=failure, message=message, traceback=traceback):
                self._fail(session, study, job, failure, message, traceback)
                return
        self._followed(session, study, job)

    def _fail(
        self, session: Session, study: Study, job: Job, failure: FailureClass, message: str, traceback: str = ""
    ) -> None:
        self._store_failure(session, job, failure, message, traceback)
        log.warning("job %d (%s) of study %s failed: %s", job.number, job.kind, study.name, message)
        self._followed(session, study, job)

    def _store_failure(
        self, session: Session, job: Job, failure: FailureClass, message: str, traceback: str = ""
    ) -> None:
        job.failure = {"class": str(failure), "message": message, "traceback": traceback}
        Jobs(session).end(job, RunState.FAILED)

    def _followed(self, session: Session, study: Study, job: Job) -> None:
        (part_ended if job.finalization else check_ended)(session, study, job)
        self._unneeded += self._given_up(session, job)

    def _given_up(self, session: Session, job: Job) -> list[str]:
        """The checkpoints that confirmations kept, once the finalization of the job is over."""
        parts = Jobs(session).of(job.study_id, job.finalization) if job.finalization else []
        if any(not RunState(part.state).finished for part in parts):
            return []
        return [self.checkpoints.name_of_job(part.study_id, part.number) for part in parts if part.options.get("keep")]

    def _tidy(self) -> None:
        """Outside of any transaction: what was not stored may be wanted again."""
        for name in self._unneeded:
            self.checkpoints.remove(name)
        self._unneeded.clear()
