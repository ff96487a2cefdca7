"""What the search decides for one study, stored: runs to carry out next, or the study's end."""

from __future__ import annotations

from search import ask, ask_many
from search.actions import Done, Wait
from service.database import Session
from service.models import Study
from service.observability.notes import telemetry_of
from service.repositories.events import Events
from service.repositories.quotas import Quotas
from service.repositories.runs import RunRow, Runs
from service.repositories.standings import Standings
from service.states import StudyState
from service.tracking import Tracked

OUT_OF_TIME = Done("budget", "max_seconds is used up")


def reason_of(answer: Wait | Done) -> str:
    """Why a study waits, or why it has ended, for people."""
    return f"{answer.reason}: {answer.detail}"


class Decisions:
    """Of one study whose row is locked by `session`, and whose history is up to date."""

    def __init__(self, session: Session, study: Study, tracked: Tracked) -> None:
        self.session = session
        self.study = study
        self.tracked = tracked
        self.runs = Runs(session)
        self._unlimited = False

    def decide(self, k: int) -> tuple[list[RunRow], Wait | Done | None]:
        """Up to `k` new runs, stored as pending; and why there are not more, if so."""
        with telemetry_of(self.session).asking(self.tracked.spec.algorithm.name):
            decided, answer = ask_many(self.tracked.spec, self.tracked.history, k)
        return list(self.runs.add(self.study, decided)) if decided else [], answer

    def over(self) -> Done | None:
        """Why nothing will ever be started again, if so; nothing is decided."""
        answer = ask(self.tracked.spec, self.tracked.history)
        return answer if isinstance(answer, Done) else None

    def allowed(self, wanted: int) -> tuple[int, str | None]:
        """How many of these further attempts the project's quota has room for, and what is in the way of more."""
        if self._unlimited:
            return wanted, None
        resources = self.study.spec["resources"]
        room = Quotas(self.session).room(self.study.project_id, resources.get("gpus", 0))
        self._unlimited = room is None
        if room is None or room.runs >= wanted:
            return wanted, None
        return room.runs, f"quota: {room.detail}"

    def finish(self, answer: Done) -> None:
        """Ends the study, of which no run is open."""
        assert not self.tracked.history.open_count, "a study ends when its runs have"
        events = Events(self.session)
        if Standings(self.session).leader(self.study) is not None:
            events.move_study(self.study, StudyState.COMPLETED, reason_of(answer))
            return
        reason = f"no run succeeded ({answer.detail})"
        last = self.runs.last_failure(self.study.id)
        if last is not None:
            reason += f"; the last one failed with {last.failure_class}: {last.failure_message}"
        events.move_study(self.study, StudyState.FAILED, reason)
