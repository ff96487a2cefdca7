"""How much there is of everything, over all projects, at a cost that does not grow with the number of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import RunState
from service.models import Attempt, Delivery, Run, Study
from service.repositories.owned import UNFINISHED
from service.states import AttemptState, StudyState

DELIVERIES_UNDER_WAY = ("pending", "sending")


@dataclass(frozen=True)
class Census:
    """By state; `oldest_pending` is when the run was added that has waited longest."""

    studies: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    deliveries: int = 0
    oldest_pending: datetime | None = None


def take_census(session: Session) -> Census:
    """Reads the row of every study, and of runs, attempts and deliveries only those under way, by their indexes."""
    studies = {state.value: 0 for state in StudyState}
    runs = {state.value: 0 for state in RunState}
    sums = [sa.func.coalesce(sa.func.sum(Study.counts[state].as_integer()), 0) for state in runs]
    for row in session.execute(sa.select(Study.state, sa.func.count(), *sums).group_by(Study.state)):
        state, count, *numbers = row
        studies[state] = count
        for name, number in zip(runs, numbers, strict=True):
            runs[name] += int(number)
    attempts = {AttemptState.LEASED.value: 0, AttemptState.REPORTING.value: 0}
    under_way = sa.select(Attempt.state, sa.func.count()).where(Attempt.ended_at.is_(None)).group_by(Attempt.state)
    attempts |= {row[0]: row[1] for row in session.execute(under_way)}
    oldest = session.scalar(
        sa.select(sa.func.min(Run.created_at))
        .join(Study, Study.id == Run.study_id)
        .where(Study.state.in_(UNFINISHED), Run.state == RunState.PENDING)
    )
    deliveries = sa.select(sa.func.count()).where(Delivery.state.in_(DELIVERIES_UNDER_WAY))
    return Census(studies, runs, attempts, session.scalar(deliveries) or 0, oldest)
