"""Who carries runs out: the attempts under way in a project, and those that workers lost. Indexes hold just these few,
however many attempts there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Attempt, Run, Study

_IS_LOST = Attempt.state == sa.literal_column("'lost'")  # not as a parameter: SQLite would not use the index


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt, with the name of its study and its trial's number."""

    attempt: Attempt
    study: str
    trial: int


class Workers:
    def __init__(self, session: Session, project_id: int) -> None:
        self.session = session
        self.project_id = project_id

    def holding(self, limit: int) -> Sequence[Held]:
        """The attempts that have not ended, those first that began first."""
        return self._read(self._attempts().where(Attempt.ended_at.is_(None)).order_by(Attempt.created_at), limit)

    def lost(self, since: datetime, limit: int) -> Sequence[Held]:
        """The attempts that workers have lost since then, latest first."""
        lost = self._attempts().where(_IS_LOST, Attempt.ended_at >= since)
        return self._read(lost.order_by(Attempt.ended_at.desc()), limit)

    def _attempts(self) -> sa.Select[Attempt, str, int]:
        return (
            sa.select(Attempt, Study.name, Run.trial)
            .join(Study, Study.id == Attempt.study_id)
            .join(Run, (Run.study_id == Attempt.study_id) & (Run.number == Attempt.run))
            .where(Study.project_id == self.project_id)
        )

    def _read(self, query: sa.Select[Attempt, str, int], limit: int) -> Sequence[Held]:
        return [Held(attempt, study, trial) for attempt, study, trial in self.session.execute(query.limit(limit))]
