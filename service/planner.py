"""What happens next in one study: one transaction that asks the algorithm and stores its decisions.

Nothing is submitted here: the caller carries a plan out after its transaction has been committed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from search import ask_many
from search.actions import Done, Wait
from search.history import Ended, RunState
from service.checkpoints import Checkpoints
from service.database import Session
from service.engagement import Engagement, outcome, stored_history
from service.models import Study
from service.repositories.events import Events
from service.repositories.runs import RunRow, Runs
from service.repositories.standings import Standings
from service.states import AttemptState, StudyState
from workers.protocol import Assignment

OUT_OF_TIME = Done("budget", "max_seconds is used up")


def reason_of(answer: Wait | Done) -> str:
    """Why a study waits, or why it has ended, for people."""
    return f"{answer.reason}: {answer.detail}"


class Planner:
    """Plans one study whose row is locked by `session`."""

    def __init__(
        self, session: Session, study: Study, engagement: Engagement, checkpoints: Checkpoints, owner: str
    ) -> None:
        self.session = session
        self.study = study
        self.engagement = engagement
        self.checkpoints = checkpoints
        self.owner = owner
        self.runs = Runs(session)
        self.events = Events(session)
        self.assignments: list[Assignment] = []
        self._keys: dict[str, int] = {}
        self._test_key: str | None = None
        self._settled = False
        self._gone: set[int] = set()

    def plan(self, room: int) -> None:
        """Stores up to `room` new attempts, to be submitted after the commit; or the study's end."""
        engagement = self.engagement
        if engagement.stale:
            self._read_again()
        started: list[int] = engagement.pending[:room]
        answer: Wait | Done | None = None
        if engagement.out_of_time:
            started, answer = [], OUT_OF_TIME
            self._cancel(engagement.pending)
        elif len(started) < room:
            added, answer = self._ask(room - len(started))
            started += added
        self._settled = answer is not None
        if isinstance(answer, Done) and not engagement.under_way and not started:
            assert not engagement.history.open_count, "a study ends when its runs have"
            self._finish(answer)
            return
        self.study.waiting = self._waiting(room, answer)
        for number in started:
            self._lease(self.runs.get(self.study.id, number))

    def commit(self) -> None:
        """Carries over into memory what the transaction has stored; called after the commit."""
        engagement = self.engagement
        engagement.keys.update(self._keys)
        engagement.pending = [number for number in engagement.pending if number not in self._gone]
        engagement.test_key = self._test_key
        engagement.settled = self._settled and self._test_key is None
        engagement.waiting = self.study.waiting

    def _read_again(self) -> None:
        """After a transaction of which nobody knows whether it was stored: what is stored counts."""
        engagement = self.engagement
        engagement.history = stored_history(self.session, engagement.spec, self.study.id)
        under_way = set(engagement.keys.values())
        forgotten = [row.run for row in self.runs.open(self.study.id) if row.run.number not in under_way]
        for run in forgotten:
            self.runs.end_attempt(run, AttemptState.SUPERSEDED)
        engagement.pending = [run.number for run in forgotten]
        engagement.stale = False

    def _ask(self, k: int) -> tuple[list[int], Wait | Done | None]:
        engagement = self.engagement
        decisions, answer = ask_many(engagement.spec, engagement.history, k)
        for decision in decisions:
            self.runs.add(self.study, decision)
        return [decision.number for decision in decisions], answer

    def _waiting(self, room: int, answer: Wait | Done | None) -> str | None:
        """Why the study starts nothing just now, for people."""
        if isinstance(answer, Wait):
            return reason_of(answer)
        if room == 0 and not self.engagement.under_way:
            resources = self.engagement.resources
            return f"workers: waiting for one with {resources.cpus:g} CPUs and {resources.gpus:g} GPUs"
        return None

    def _lease(self, row: RunRow) -> None:
        run = row.run
        key = uuid.uuid4().hex
        self.runs.lease(run, key, self.owner)
        source = self.runs.get(self.study.id, run.resume_from).run.checkpoint if run.resume_from is not None else None
        target = self.checkpoints.new(self.study.id, run.number, run.attempts)
        self.assignments.append(
            self.engagement.assignment(
                row, key, self.checkpoints.path(source) if source else None, self.checkpoints.path(target)
            )
        )
        self._keys[key] = run.number
        self._gone.add(run.number)

    def _cancel(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            run = self.runs.get(self.study.id, number).run
            self.events.move_run(self.study, run, RunState.CANCELLED, {"rule": "max_seconds"})
            self.engagement.history.append(Ended(number, outcome(self.engagement.spec, run)))
            self._gone.add(number)

    def _finish(self, answer: Done) -> None:
        """Completes the study; before that, its best run is evaluated on the test split, once."""
        best = Standings(self.session).leader(self.study)
        if best is None:
            reason = f"no run succeeded ({answer.detail})"
            last = self.runs.last_failure(self.study.id)
            if last is not None:
                reason += f"; the last one failed with {last.failure_class}: {last.failure_message}"
            self.events.move_study(self.study, StudyState.FAILED, reason)
            return
        untested = self.engagement.untested and self.runs.evaluation(self.study.id) is None
        checkpoint = best.row.run.checkpoint
        if checkpoint and untested:
            self._test_key = uuid.uuid4().hex
            path = self.checkpoints.path(checkpoint)
            self.assignments.append(self.engagement.assignment(best.row, self._test_key, path, None))
            return
        self.events.move_study(self.study, StudyState.COMPLETED, reason_of(answer))
