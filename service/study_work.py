"""One study in one transaction: its row locked, its history up to date, and what may be done to it."""

from __future__ import annotations

from datetime import datetime

from service.checkpoints import Checkpoints
from service.database import Session
from service.decisions import Decisions
from service.models import Study, utcnow
from service.outcomes import Outcomes
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.tracking import Tracked


class StudyWork:
    """What operations on a study share.

    `now` is the time for all of it. `listening_since`: before that, this process has heard nobody, alive or not.
    """

    def __init__(
        self,
        session: Session,
        study: Study,
        tracked: Tracked,
        checkpoints: Checkpoints,
        now: datetime | None = None,
        listening_since: datetime | None = None,
    ) -> None:
        self.session = session
        self.study = study
        self.tracked = tracked
        self.runs = Runs(session)
        self.events = Events(session)
        self.now = now or utcnow()
        self.listening_since = listening_since
        self.outcomes = Outcomes(session, study, tracked, checkpoints, self.now)
        self.decisions = Decisions(session, study, tracked)

    def conclude(self) -> list[str]:
        """Stores what all of it comes to; returns checkpoints to remove once that is committed."""
        return self.outcomes.conclude()
