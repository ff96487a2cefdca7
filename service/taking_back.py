"""Runs that nobody carries out any more, since their owner was killed or has lost count of them."""

from __future__ import annotations

from collections.abc import Collection

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Session
from service.models import Study
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.states import AttemptState


def take_back(
    session: Session, study: Study, checkpoints: Checkpoints, ended: AttemptState, but: Collection[int] = ()
) -> None:
    """Ends the open attempts at the study's runs but these, with what they saved on their way: their runs are pending
    again. The study's row is locked."""
    runs, events = Runs(session), Events(session)
    for row in runs.open(study.id):
        if row.run.number in but:
            continue
        attempt = runs.attempt(row.run) if row.run.attempts else None
        if attempt and attempt.ended_at is None and (saved := checkpoints.saved_by(attempt, row.run)):
            attempt.checkpoint, attempt.checkpoint_step = saved
        runs.end_attempt(row.run, ended)
        if row.run.state == RunState.RUNNING:
            events.move_run(study, row.run, RunState.PENDING, {"after": str(ended)})
