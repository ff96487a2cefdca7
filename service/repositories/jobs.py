"""The jobs of studies. Those who change them hold the lock of the study's row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import RunState
from service.models import Job, Json, Study, utcnow
from service.repositories.errors import NotFound
from service.states import StudyState, check_transition

OPEN = (RunState.PENDING, RunState.RUNNING)


class Jobs:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, study: Study, **fields: Any) -> Job:
        """A new, pending job with the next number."""
        last = self.session.scalar(sa.select(sa.func.max(Job.number)).where(Job.study_id == study.id))
        job = Job(study_id=study.id, number=0 if last is None else last + 1, state=RunState.PENDING, **fields)
        self.session.add(job)
        self.session.flush()
        return job

    def get(self, study_id: int, number: int) -> Job:
        job = self.session.get(Job, (study_id, number))
        if job is None:
            raise NotFound(f"the study has no job {number}")
        return job

    def of(self, study_id: int, finalization: int | None = None) -> Sequence[Job]:
        """All jobs of a study, or of one finalization of it, by number."""
        query = sa.select(Job).where(Job.study_id == study_id).order_by(Job.number)
        if finalization is not None:
            query = query.where(Job.finalization == finalization)
        return self.session.scalars(query).all()

    def baseline(self, study_id: int) -> Json | None:
        """The metrics of the baseline that was made before the study's first run."""
        found = (Job.study_id == study_id) & (Job.kind == "baseline") & (Job.finalization == 0)
        return self.session.scalar(sa.select(Job.metrics).where(found))

    def open_checks(self, study_id: int) -> int:
        """How many of the checks before its first run have not ended."""
        query = sa.select(sa.func.count()).where(Job.study_id == study_id, Job.finalization == 0, Job.state.in_(OPEN))
        return self.session.scalar(query) or 0

    def kept(self, study_id: int, finalization: int | None = None) -> Sequence[Job]:
        """The confirmations that keep a checkpoint for the ensemble of a finalization that is under way, by number."""
        parts = [job for job in self.of(study_id, finalization) if job.finalization]
        open_ = {job.finalization for job in parts if not RunState(job.state).finished}
        return [job for job in parts if job.finalization in open_ and job.options.get("keep")]

    def last_finalization(self, study_id: int) -> int:
        """Its number; 0 where there is none."""
        return self.session.scalar(sa.select(sa.func.max(Job.finalization)).where(Job.study_id == study_id)) or 0

    def waiting(self, now: datetime, limit: int, but: Collection[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Up to `limit` jobs that somebody may take: pending ones, and those whose owner was not heard of any more.
        The checks of a study that rests wait for it; all checks come before finalizations."""
        lost = (Job.state == RunState.RUNNING) & (Job.lease_expires < now)
        rests = (Job.finalization == 0) & (Study.state != StudyState.ACTIVE)
        query = (
            sa.select(Job.study_id, Job.number)
            .join(Study, Study.id == Job.study_id)
            .where((Job.state == RunState.PENDING) | lost, ~rests)
            .order_by(Job.finalization > 0, Job.created_at, Job.study_id, Job.number)
            .limit(limit + len(but))
        )
        return [(study, number) for study, number in self.session.execute(query) if (study, number) not in but][:limit]

    def start(self, job: Job, key: str, owner: str, lease_seconds: float) -> None:
        check_transition(RunState(job.state), RunState.RUNNING)
        now = utcnow()
        job.state, job.key, job.owner = RunState.RUNNING, key, owner
        job.attempts += 1
        job.started_at = job.started_at or now
        job.lease_expires = now + timedelta(seconds=lease_seconds)

    def end(self, job: Job, state: RunState) -> None:
        """Ends an open job, or gives it back: it is nobody's then."""
        check_transition(RunState(job.state), state)
        job.state, job.owner, job.lease_expires = state, None, None
        if state.finished:
            job.finished_at = utcnow()

    def cancel(self, study_id: int, finalization: int | None = None) -> None:
        for job in self.of(study_id, finalization):
            if not RunState(job.state).finished:
                self.end(job, RunState.CANCELLED)

    def renew(self, owner: str, lease_seconds: float) -> None:
        until = utcnow() + timedelta(seconds=lease_seconds)
        mine = (Job.owner == owner) & (Job.state == RunState.RUNNING)
        self.session.execute(sa.update(Job).where(mine).values(lease_expires=until))

    def held(self, owner: str) -> Sequence[Job]:
        return self.session.scalars(sa.select(Job).where(Job.owner == owner, Job.state == RunState.RUNNING)).all()
