"""Events: every transition, numbered per study. Also the one place where a study or a run changes its state."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import RunState
from service.models import Event, Json, Run, Study, utcnow
from service.models.base import table_of
from service.observability.metrics import Metrics
from service.observability.notes import note
from service.repositories.webhooks import Outbox
from service.states import StudyState, check_transition
from service.webhooks.messages import EVENTS as WEBHOOK_EVENTS

log = logging.getLogger(__name__)

PENDING_EVENTS = "assay_events"
"""The key in a session's `info` of the rows that are stored when it commits: all of them in one statement."""


class Events:
    """Callers hold the lock of the study's row: that is what keeps the sequence without gaps or doubles."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def append(self, study: Study, type_: str, run: Run | None = None, data: Json | None = None) -> int:
        """Records that something happened and returns its sequence number."""
        study.last_event += 1
        ids = {"study": study.name} | ({"run": run.number, "trial": run.trial} if run else {})

        def told(metrics: Metrics) -> None:
            metrics.happened(type_)
            log.log(logging.DEBUG if run else logging.INFO, type_, extra={"fields": ids})

        note(self.session, told)
        row = {
            "study_id": study.id,
            "seq": study.last_event,
            "type": type_,
            "run": run.number if run else None,
            "trial": run.trial if run else None,
            "data": data or {},
            "created_at": utcnow(),
        }
        self.session.info.setdefault(PENDING_EVENTS, []).append(row)
        if type_ in WEBHOOK_EVENTS:
            Outbox(self.session).post(study, Event(**row))
        return study.last_event

    def move_study(self, study: Study, state: StudyState, reason: str | None = None) -> None:
        """Applies one transition of a study. Raises NotAllowed."""
        check_transition(StudyState(study.state), state)
        now = utcnow()
        study.active_seconds = study.elapsed(now)
        study.active_since = now if state is StudyState.ACTIVE else None
        resumed = state is StudyState.ACTIVE
        study.state, study.reason, study.waiting = state, reason, None
        if state.finished:
            study.finished_at, study.owner, study.lease_expires = now, None, None
        self.append(
            study, "study.resumed" if resumed else f"study.{state}", data={"reason": reason} if reason else None
        )

    def move_run(self, study: Study, run: Run, state: RunState, data: Json | None = None) -> None:
        """Applies one transition of a run. Raises NotAllowed."""
        check_transition(RunState(run.state), state)
        study.count(run.state, -1)
        study.count(state, 1)
        run.state = state
        type_ = "run.retried" if state is RunState.PENDING else f"run.{state}"
        seq = self.append(study, type_, run, data)
        if state is RunState.RUNNING:
            run.started_at = run.started_at or utcnow()
        if state.finished:
            run.finished_at, run.ended_event = utcnow(), seq

    def after(self, study_id: int, seq: int, limit: int) -> Sequence[Event]:
        """The events that follow sequence number `seq`, oldest first."""
        return self.session.scalars(
            sa.select(Event).where(Event.study_id == study_id, Event.seq > seq).order_by(Event.seq).limit(limit)
        ).all()

    def last(self, study_id: int, type_: str) -> int | None:
        """The sequence number of the last event of this type."""
        query = sa.select(sa.func.max(Event.seq)).where(Event.study_id == study_id, Event.type == type_)
        return self.session.scalar(query)


def store_events(session: Session) -> None:
    """Right before the commit."""
    if rows := session.info.pop(PENDING_EVENTS, None):
        session.connection().execute(_INSERT, rows)


_INSERT = sa.insert(table_of(Event))
