"""What happens next in one study on the pool: one transaction that asks the algorithm and leases what it decides.

Nothing is submitted here: the caller carries a plan out after its transaction has been committed.
"""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime
from pathlib import Path

from search.actions import Done, Wait
from search.history import INHERITS
from service.checkpoints import Checkpoints
from service.database import Session
from service.decisions import OUT_OF_TIME, Decisions, reason_of
from service.engagement import Engagement
from service.models import Attempt, Run, Study, utcnow
from service.outcomes import Outcomes
from service.repositories.runs import RunRow, Runs
from service.repositories.standings import Standings
from service.states import AttemptState
from service.taking_back import take_back
from workers.protocol import Assignment

log = logging.getLogger(__name__)

QUOTA_SECONDS = 1.0


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
        self.decisions = Decisions(session, study, engagement.tracked)
        self.assignments: list[Assignment] = []
        self.to_kill: list[str] = []
        self._keys: dict[str, int] = {}
        self._test_key: str | None = None
        self._settled = False
        self._limited: str | None = None
        self._next_retry: datetime | None = None

    def plan(self, room: int) -> None:
        """Stores up to `room` new attempts, to be submitted after the commit; or the study's end."""
        engagement = self.engagement
        engagement.tracked.catch_up(self.session, self.study)
        history = engagement.tracked.history
        if self.study.checks:
            self._settled = True
            self.study.waiting = f"checks: {self.study.checks} to be made before the first run"
            return
        self.to_kill = [key for key, run in engagement.keys.items() if history.outcome(run) is not None]
        if engagement.stale:
            # nobody knows which transaction was the last that was stored: what is not under way is to be started
            take_back(
                self.session, self.study, self.checkpoints, AttemptState.SUPERSEDED, set(engagement.keys.values())
            )
        # without room too: whom the quota holds, no worker would help
        allowed, self._limited = self.decisions.allowed(max(room, 1))
        room = min(room, allowed)
        free = self._free()
        answer: Wait | Done | None = None
        started: list[RunRow] = []
        if engagement.out_of_time:
            answer = OUT_OF_TIME
            self._cancel(free)
        else:
            ready = [row for row in free if row.run.not_before is None or row.run.not_before <= utcnow()]
            self._next_retry = min((row.run.not_before for row in free if row.run.not_before is not None), default=None)
            started = ready[:room]
            if len(started) < room:
                added, answer = self.decisions.decide(room - len(started))
                started += added
        self._settled = answer is not None
        if isinstance(answer, Done) and not engagement.under_way and not engagement.tracked.history.open_count:
            self._finish(answer)
            return
        self.study.waiting = self._waiting(room, answer)
        for row in started:
            self._lease(row)

    def commit(self) -> None:
        """Carries over into memory what the transaction has stored; called after the commit."""
        engagement = self.engagement
        engagement.tracked.seq = engagement.seen = self.study.last_event
        for key in self.to_kill:
            del engagement.keys[key]
        engagement.keys.update(self._keys)
        leased = set(engagement.keys.values())
        engagement.pending = [number for number in engagement.tracked.history.open if number not in leased]
        engagement.test_key = self._test_key
        engagement.settled = self._settled and self._test_key is None
        engagement.limited = self._limited is not None
        engagement.waiting = self.study.waiting
        engagement.retry_at = self._retry_at()
        engagement.stale = engagement.changed = False

    def _retry_at(self) -> float:
        """When there may be something to start again, although no run has ended."""
        if self._limited is not None:
            return time.monotonic() + QUOTA_SECONDS
        if self._settled and self._next_retry is not None:
            return time.monotonic() + (self._next_retry - utcnow()).total_seconds()
        return 0.0

    def _free(self) -> list[RunRow]:
        """The open runs that no worker has."""
        under_way = set(self.engagement.keys.values())
        numbers = [number for number in self.engagement.tracked.history.open if number not in under_way]
        return list(self.runs.numbered(self.study.id, numbers).values()) if numbers else []

    def _waiting(self, room: int, answer: Wait | Done | None) -> str | None:
        """Why the study starts nothing just now, for people."""
        if isinstance(answer, Wait):
            return reason_of(answer)
        if room == 0 and self._limited is not None:
            return self._limited
        if room == 0 and not self.engagement.under_way:
            resources = self.engagement.resources
            return f"workers: waiting for one with {resources.cpus:g} CPUs and {resources.gpus:g} GPUs"
        return None

    def _lease(self, row: RunRow) -> None:
        run = row.run
        key = uuid.uuid4().hex
        attempt = self.runs.lease(run, key, self.owner)
        target = self.checkpoints.new(self.study.id, run.number, run.attempts)
        saved = self._saved(run, attempt)
        self.assignments.append(
            self.engagement.assignment(
                row,
                key,
                saved or self._source(run),
                self.checkpoints.path(target),
                self.checkpoints.store,
                self._parent(run),
                own=saved is not None,
            )
        )
        self._keys[key] = run.number

    def _saved(self, run: Run, attempt: Attempt) -> Path | None:
        """The run's own checkpoint, where an attempt was preempted."""
        return None if attempt.checkpoint is None else self._found(run, attempt.checkpoint)

    def _source(self, run: Run) -> Path | None:
        """The checkpoint of another run to go on from. One that is not there any more, after a backup was restored for
        instance, costs time only, since a trial comes to the same from its beginning; but not the trial of another that
        it takes over.
        """
        if run.resume_from is None:
            return None
        source = self.runs.get(self.study.id, run.resume_from).run
        if source.checkpoint is None:
            return None
        if source.trial == run.trial:
            return self._found(run, source.checkpoint)
        return self.checkpoints.path(source.checkpoint)

    def _found(self, run: Run, checkpoint: str) -> Path | None:
        path = self.checkpoints.path(checkpoint)
        if self.checkpoints.store_url is None and not path.exists():
            log.warning("run %d does not go on from its checkpoint %s: it is gone", run.number, path)
            return None
        return path

    def _parent(self, run: Run) -> Path | None:
        """The checkpoint whose weights the run's trial begins with. One that is gone is named all the same: the worker
        fails with it, for a training that began with nothing would be another one than was decided."""
        history = self.engagement.tracked.history
        number = history.runs[history.runs_of(run.trial)[0]].origin.get(INHERITS)
        if number is None:
            return None
        parent = self.runs.get(self.study.id, number).run
        return self.checkpoints.path(
            parent.checkpoint or self.checkpoints.name(self.study.id, parent.number, parent.attempts)
        )

    def _cancel(self, free: list[RunRow]) -> None:
        outcomes = Outcomes(self.session, self.study, self.engagement.tracked, self.checkpoints)
        for row in free:
            outcomes.cancelled(row.run, {"rule": "max_seconds"})
        outcomes.conclude()

    def _finish(self, answer: Done) -> None:
        """Completes the study; before that, its best run is evaluated on the test split, once."""
        best = Standings(self.session).leader(self.study)
        untested = self.engagement.untested and self.runs.evaluation(self.study.id) is None
        if best is not None and best.row.run.checkpoint and untested:
            self._test_key = uuid.uuid4().hex
            path, store = self.checkpoints.path(best.row.run.checkpoint), self.checkpoints.store
            self.assignments.append(self.engagement.assignment(best.row, self._test_key, path, None, store))
            return
        self.decisions.finish(answer)
