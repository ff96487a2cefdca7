"""The dispatcher: asks the algorithm, submits runs to the pool and records what happened.

One thread, one loop: take the leases of studies, store what the pool says, fill the free workers. Decisions are stored
before they are submitted, so a crash in between leaves a pending run that the next owner submits; what a worker says is
stored before the history knows it, so the cached history is never ahead of the database for long.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.engagement import Engagement, engage
from service.lifecycle import close_study
from service.models import Study, utcnow
from service.planner import Planner
from service.recorder import Recorder
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.states import AttemptState, StudyState
from spaces.errors import InvalidInput
from workers.protocol import Pool, PoolEvent

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LEASE_SECONDS = 15.0


class Dispatcher:
    """Owns studies by lease and drives them to their end.

    `exclusive` says that no other dispatcher can be alive (one process on an embedded database), so that the leases of
    a killed predecessor need not run out first. Not thread-safe: everything happens in the thread that calls `run`.
    """

    def __init__(
        self,
        database: Database,
        pool: Pool,
        checkpoints: Checkpoints,
        *,
        lease_seconds: float = LEASE_SECONDS,
        exclusive: bool = False,
    ) -> None:
        self.database = database
        self.pool = pool
        self.checkpoints = checkpoints
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.lease_seconds = lease_seconds
        self.exclusive = exclusive
        self._engagements: dict[int, Engagement] = {}
        self._inbox: list[PoolEvent] = []
        self._next_look = 0.0
        self._next_renewal = 0.0
        self._tidied = False
        self._turn = 0

    def run(self, stopping: threading.Event) -> None:
        """Works until `stopping` is set, then gives everything back so that another dispatcher can go on."""
        while not stopping.is_set():
            try:
                self.step(POLL_SECONDS)
            except DatabaseUnavailable as error:
                log.warning("the dispatcher waits for the database: %s", error)
                stopping.wait(1.0)
        self.hand_over()

    def step(self, timeout: float) -> None:
        """One turn of the loop; waits up to `timeout` seconds for something to happen."""
        self._look()
        self._inbox += self.pool.poll(timeout)
        self._record()
        self._fill()

    def hand_over(self) -> None:
        """Ends the attempts under way, makes their runs pending again and releases the leases."""
        for engagement in self._engagements.values():
            self._kill(engagement)
        with self.database.session() as session:
            for study in Studies(session).owned(self.owner):
                study.bank(utcnow(), worked=True)
                _recover(study, Runs(session), Events(session), AttemptState.PREEMPTED)
            Studies(session).release(self.owner)
        self._engagements.clear()

    def _look(self) -> None:
        """Notices studies that are new, finished by others, paused or taken away, and keeps the leases alive."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        with self.database.session(write=False) as session:
            studies = {study.id: study for study in Studies(session).unfinished()}
        for study_id in list(self._engagements):
            study = studies.get(study_id)
            if study is None or study.owner != self.owner:
                self._let_go(study_id)
            else:
                _observe(self._engagements[study_id], study)
        free = [study for study in studies.values() if study.id not in self._engagements and self._is_free(study)]
        if free or now >= self._next_renewal:
            self._claim()
            self._next_renewal = now + self.lease_seconds / 3

    def _is_free(self, study: Study) -> bool:
        expired = study.lease_expires is None or study.lease_expires < utcnow()
        return self.exclusive or expired or study.owner in (None, self.owner)

    def _claim(self) -> None:
        fresh: list[Engagement] = []
        with self.database.session() as session:
            runs, events = Runs(session), Events(session)
            claimed = Studies(session).claim(self.owner, utcnow(), self.lease_seconds, exclusive=self.exclusive)
            for study in claimed:
                study.bank(utcnow(), worked=study.id in self._engagements)
                if study.id in self._engagements:
                    continue
                _recover(study, runs, events, AttemptState.LOST)
                try:
                    engagement = engage(runs, study)
                except InvalidInput as error:
                    close_study(session, study, StudyState.FAILED, f"the study is not valid any more: {error}")
                    continue
                _observe(engagement, study)
                fresh.append(engagement)
        self._engagements.update({engagement.study_id: engagement for engagement in fresh})
        self._tidy(self.checkpoints.studies() if not self._tidied else [])
        self._tidied = True

    def _tidy(self, ids: Collection[int]) -> None:
        """Removes the checkpoints of studies that have ended, but those of their best runs."""
        if not ids:
            return
        with self.database.session(write=False) as session:
            finished = Studies(session).finished_among(ids)
            kept = {study_id: Runs(session).kept_checkpoints(study_id) for study_id in finished}
        for study_id, names in kept.items():
            self.checkpoints.keep_only(study_id, names)

    def _record(self) -> None:
        """Stores what the pool said, one transaction per study; what could not be stored stays in the inbox.

        What speaks of attempts that were given up (a cancelled study, a lost lease) is dropped.
        """
        batches: dict[int, list[PoolEvent]] = {}
        holders = {key: engagement for engagement in self._engagements.values() for key in engagement.all_keys}
        for event in self._inbox:
            if event.key in holders:
                batches.setdefault(holders[event.key].study_id, []).append(event)
        self._inbox = [event for batch in batches.values() for event in batch]
        for study_id, batch in batches.items():
            with self._isolated(self._engagements[study_id]):
                with self.database.session() as session:
                    study = Studies(session).lock(study_id)
                    recorder = Recorder(session, study, self._engagements[study_id], self.checkpoints)
                    if study.owner == self.owner:
                        recorder.record(batch)
                recorder.commit()
                for key in recorder.to_stop:
                    self.pool.stop(key)
            self._inbox = self._inbox[len(batch) :]

    def _fill(self) -> None:
        """Gives free workers to the studies: to those with the fewest runs under way, then to who waited longest."""
        wanting = [engagement for engagement in self._engagements.values() if engagement.wants_work]
        for position, engagement in enumerate(sorted(wanting, key=lambda e: (e.under_way, e.served, e.study_id))):
            share = -(-self.pool.capacity(engagement.resources) // (len(wanting) - position))
            room = min(share, engagement.room)
            if engagement.out_of_time:
                for key in engagement.keys:
                    self.pool.stop(key)
            elif room == 0 and (engagement.under_way or engagement.waiting):
                continue
            self._plan(engagement, room)

    def _plan(self, engagement: Engagement, room: int) -> None:
        """Decides on up to `room` runs, stores them, then submits them."""
        with self._isolated(engagement):
            with self.database.session() as session:
                study = Studies(session).lock(engagement.study_id)
                if study.owner != self.owner or study.state != StudyState.ACTIVE:
                    engagement.active = False
                    return
                planner = Planner(session, study, engagement, self.checkpoints, self.owner)
                planner.plan(room)
            planner.commit()
            for assignment in planner.assignments:
                self.pool.submit(assignment)
                self._turn += 1
                engagement.served = self._turn

    @contextmanager
    def _isolated(self, engagement: Engagement) -> Iterator[None]:
        """What goes wrong with one study ends that study, and neither the others nor the service.

        A database that does not answer is nobody's fault: what is known of the study is read again when it does.
        """
        try:
            yield
        except DatabaseUnavailable:
            engagement.stale, engagement.settled = True, False
            raise
        except Exception as error:  # whatever it is, only this study may suffer
            log.exception("study %s failed", engagement.name)
            self._kill(engagement)
            engagement.keys.clear()
            engagement.test_key, engagement.stale = None, True
            with self.database.session() as session:
                study = Studies(session).lock(engagement.study_id)
                if not StudyState(study.state).finished:
                    close_study(session, study, StudyState.FAILED, f"a fault of the service: {error!r}")
            engagement.active = False

    def _let_go(self, study_id: int) -> None:
        self._kill(self._engagements.pop(study_id))
        self._tidy([study_id])

    def _kill(self, engagement: Engagement) -> None:
        for key in engagement.all_keys:
            self.pool.kill(key)


def _observe(engagement: Engagement, study: Study) -> None:
    """Takes over what others changed in the study's row."""
    active = study.state == StudyState.ACTIVE
    if active and not engagement.active:
        engagement.settled = False
    engagement.active = active
    limit = engagement.spec.budget.max_seconds
    if limit is not None and not engagement.out_of_time and study.elapsed(utcnow()) >= limit:
        engagement.out_of_time, engagement.settled = True, False


def _recover(study: Study, runs: Runs, events: Events, ended: AttemptState) -> None:
    """Makes the runs that a former owner left behind pending again."""
    for row in runs.open(study.id):
        runs.end_attempt(row.run, ended)
        if row.run.state == RunState.RUNNING:
            events.move_run(study, row.run, RunState.PENDING, {"after": str(ended)})
