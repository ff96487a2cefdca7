"""Attempts as their own workers name them: by a run's id and the token that they were given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Attempt, Run, Study, utcnow
from service.repositories.errors import NotFound


class StaleToken(ValueError):
    """The attempt with this token was given up, or has ended. `current` is what stands now, as the API says it."""

    def __init__(self, run: Run, attempt: Attempt) -> None:
        self.current = {
            "run": run.number,
            "trial": run.trial,
            "state": run.state,
            "attempt": attempt.number,
            "attempt_state": attempt.state,
        }
        super().__init__(
            f"run {run.number} is {run.state}, and its latest attempt, number {attempt.number}, is {attempt.state}: "
            "this token counts no longer"
        )


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that is under way, in the hands of whoever has its token."""

    study: Study
    run: Run
    attempt: Attempt

    def renew(self) -> None:
        """Its worker was heard of."""
        seconds = self.attempt.lease_seconds
        self.attempt.lease_expires = None if seconds is None else utcnow() + timedelta(seconds=seconds)


class Attempts:
    def __init__(self, session: Session, project_id: int) -> None:
        self.session = session
        self.project_id = project_id

    def run(self, study_id: int, number: int, *, lock: bool = False) -> tuple[Study, Run]:
        """A run of the project, the row of its study locked if asked for. Raises NotFound."""
        query = sa.select(Study).where(Study.id == study_id, Study.project_id == self.project_id)
        study = self.session.scalar(query.with_for_update() if lock else query)
        run = self.session.get(Run, (study_id, number)) if study is not None else None
        if study is None or run is None:
            raise NotFound(f"there is no run {study_id}-{number}")
        return study, run

    def held(self, study_id: int, number: int, token: str, *, lock: bool = False) -> Held:
        """The attempt at the run that has this token. Raises NotFound or StaleToken."""
        study, run = self.run(study_id, number, lock=lock)
        attempt = self.session.get(Attempt, (study_id, number, run.attempts))
        if attempt is None:
            raise NotFound(f"run {study_id}-{number} was not begun yet")
        if attempt.token != token or attempt.ended_at is not None:
            raise StaleToken(run, attempt)
        return Held(study, run, attempt)
