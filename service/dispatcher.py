"""The dispatcher: asks the algorithm, submits runs to the pool and records what happened.

One thread, one loop: take the leases of studies, store what the pool says, fill the free workers. Decisions are stored
before they are submitted, so a crash in between leaves a pending run that the next owner submits; what a worker says is
stored before the history knows it, so the cached history is never ahead of the database for long.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable, Session
from service.engagement import Engagement, engage, weight_of
from service.external.work import External
from service.giving_way import gives_way
from service.jobs.runner import JobRunner
from service.lifecycle import close_study
from service.models import Study, utcnow
from service.observability.context import bound
from service.planner import Planner
from service.recorder import Recorder
from service.repositories.jobs import Jobs
from service.repositories.owned import Glance, Owned
from service.repositories.runs import Runs
from service.states import AttemptState, StudyState
from service.study_work import StudyWork
from service.taking_back import take_back
from service.tracking import Tracked, tracked
from spaces.errors import InvalidInput
from workers.objectives import runs_on_pool
from workers.protocol import Ended, Failed, FailureClass, Finished, Pool, PoolEvent, Preempted, Resources

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
SWEEP_SECONDS = 1.0
LEASE_SECONDS = 15.0
DRAIN_SECONDS = 5.0
ROUND_OFF = 1e-9


class Dispatcher:
    """Owns studies by lease and drives them to their end; those of people's own workers it only looks after.

    Before it ends, it gives the runs under way `drain_seconds` to save where they are.

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
        renewal_seconds: float | None = None,
        exclusive: bool = False,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self.database = database
        self.pool = pool
        self.checkpoints = checkpoints
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.lease_seconds = lease_seconds
        self.renewal_seconds = renewal_seconds or lease_seconds / 3
        self.exclusive = exclusive
        self.drain_seconds = drain_seconds
        self._engagements: dict[int, Engagement] = {}
        self.jobs = JobRunner(database, checkpoints, self.owner, pool)
        self._inbox: list[PoolEvent] = []
        self._next_look = 0.0
        self._next_renewal = 0.0
        self._next_sweep = 0.0
        self._tidied = False
        self._listening_since = utcnow()
        self._giving_way: set[str] = set()
        self._promised: set[int] = set()  # studies that runs gave way to, and that have not begun yet
        self.metrics = database.telemetry.metrics
        self.traces = database.telemetry.traces

    def run(self, stopping: threading.Event) -> None:
        """Works until `stopping` is set, then gives everything back so that another dispatcher can go on."""
        while not stopping.is_set():
            try:
                self.step(POLL_SECONDS)
            except DatabaseUnavailable as error:
                log.warning("the dispatcher waits for the database: %s", error)
                stopping.wait(1.0)
                self._listening_since = utcnow()
        try:
            self.drain()
        except DatabaseUnavailable as error:
            log.warning("what is under way is not saved: %s", error)
        self.hand_over()

    def drain(self) -> None:
        """Has the runs under way save a checkpoint and end at their next report, as far as `drain_seconds` suffice."""
        deadline = time.monotonic() + self.drain_seconds
        for engagement in self._engagements.values():
            for key in engagement.keys:
                self.pool.preempt(key)
        while any(engagement.keys for engagement in self._engagements.values()):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._inbox += self.pool.poll(min(left, POLL_SECONDS))
            self._record()
            if time.monotonic() >= self._next_renewal:
                self._renew()

    def step(self, timeout: float) -> None:
        """One turn of the loop; waits up to `timeout` seconds for something to happen."""
        self._look()
        self._inbox += self.pool.poll(timeout)
        began = time.perf_counter()
        busy = bool(self._inbox)
        self._record()
        busy |= self._fill()
        if busy:
            self.metrics.turned(time.perf_counter() - began)

    def hand_over(self) -> None:
        """Ends the attempts under way, makes their runs pending again and releases the leases."""
        for engagement in self._engagements.values():
            self._kill(engagement)
        self.jobs.hand_over()
        with self.database.session() as session:
            for study in Owned(session).owned(self.owner):
                study.bank(utcnow(), worked=True)
                if runs_on_pool(study.spec["objective"]):
                    take_back(session, study, self.checkpoints, AttemptState.PREEMPTED)
            Owned(session).release(self.owner)
        self._engagements.clear()

    def _look(self) -> None:
        """Notices studies that are new, finished by others, paused or taken away, and keeps the leases alive."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        busy = sum(engagement.under_way for engagement in self._engagements.values())
        self.metrics.pool(free=self.pool.capacity(Resources()), busy=busy)
        with self.database.session(write=False) as session:
            studies = {study.id: study for study in Owned(session).unfinished()}
            self.jobs.look(session)
        for study_id in list(self._engagements):
            glance = studies.get(study_id)
            if glance is None or glance.owner != self.owner:
                self._let_go(study_id)
            else:
                _observe(self._engagements[study_id], glance)
        free = [study for study in studies.values() if study.id not in self._engagements and self._is_free(study)]
        if free or now >= self._next_renewal:
            self._claim()
            self.jobs.renew()
            self._next_renewal = now + self.renewal_seconds
        if now >= self._next_sweep:
            self._sweep(studies)
            self._next_sweep = now + SWEEP_SECONDS

    def _renew(self) -> None:
        """Keeps the leases of what is under way, and takes nothing new."""
        with self.database.session() as session:
            Owned(session).renew(self.owner, utcnow(), self.lease_seconds)
        self.jobs.renew()
        self._next_renewal = time.monotonic() + self.renewal_seconds

    def _is_free(self, study: Glance) -> bool:
        expired = study.lease_expires is None or study.lease_expires < utcnow()
        return self.exclusive or expired or study.owner in (None, self.owner)

    def _claim(self) -> None:
        fresh: list[Engagement] = []
        with self.database.session() as session:
            claimed = Owned(session).claim(self.owner, utcnow(), self.lease_seconds, exclusive=self.exclusive)
            for study in claimed:
                study.bank(utcnow(), worked=study.id in self._engagements)
                if study.id in self._engagements:
                    continue
                try:
                    engagement = self._engage(session, study)
                except InvalidInput as error:
                    close_study(session, study, StudyState.FAILED, f"the study is not valid any more: {error}")
                    continue
                _observe(engagement, study)
                fresh.append(engagement)
        shares = [engagement.share for engagement in self._engagements.values() if engagement.active]
        for engagement in fresh:  # it has missed nothing: it begins where the others are
            engagement.share = min(shares, default=0.0)
        self._engagements.update({engagement.study_id: engagement for engagement in fresh})
        self._tidy(self.checkpoints.studies() if not self._tidied else [])
        self._tidied = True

    def _engage(self, session: Session, study: Study) -> Engagement:
        """Takes a study on. What a former owner left behind is to be started anew. Raises InvalidInput."""
        if not runs_on_pool(study.spec["objective"]):
            return engage(study, Tracked.of(study))  # of most of them, its history will never be needed
        # no worker was lost: what the policy allows for such is left whole
        take_back(session, study, self.checkpoints, AttemptState.SUPERSEDED)
        session.flush()
        return engage(study, tracked(session, study))

    def _sweep(self, studies: Mapping[int, Glance]) -> None:
        """Looks after the studies of people's own workers: leases that have run out, studies that are over."""
        mine = {key: engagement for key, engagement in self._engagements.items() if not engagement.on_pool}
        if not mine:
            return
        with self.database.session(write=False) as session:
            overdue = set(Owned(session).overdue(mine, utcnow()))
        for study_id, engagement in mine.items():
            glance = studies.get(study_id)
            if glance is None:
                continue
            resting = not glance.counts.get(RunState.PENDING) and not glance.counts.get(RunState.RUNNING)
            changed = glance.last_event != engagement.swept
            timed = engagement.limits.seconds is not None and bool(glance.counts.get(RunState.RUNNING))
            if study_id in overdue or (resting and changed) or engagement.out_of_time or timed:
                self._settle(engagement)

    def _settle(self, engagement: Engagement) -> None:
        with self._working_on(engagement, "settle"):
            with self.database.session() as session:
                study = Owned(session).lock(engagement.study_id)
                engagement.tracked.catch_up(session, study)
                work = StudyWork(
                    session, study, engagement.tracked, self.checkpoints, listening_since=self._listening_since
                )
                if study.owner == self.owner:
                    External(work).settle()
                given_up = work.conclude()
            engagement.tracked.seq = engagement.swept = study.last_event
            for name in given_up:
                self.checkpoints.remove(name)

    def _tidy(self, ids: Collection[int]) -> None:
        """Removes the checkpoints of studies that have ended, but those of their best runs, and what a finalization
        that is under way goes on with."""
        if not ids:
            return
        with self.database.session(write=False) as session:
            finished = Owned(session).finished_among(ids)
            kept = {
                study_id: [
                    *Runs(session).kept_checkpoints(study_id),
                    *(self.checkpoints.name_of_job(study_id, job.number) for job in Jobs(session).kept(study_id)),
                ]
                for study_id in finished
            }
        for study_id, names in kept.items():
            self.checkpoints.keep_only(study_id, names)

    def _record(self) -> None:
        """Stores what the pool said, one transaction per study; what could not be stored stays in the inbox.

        What speaks of attempts that were given up (a cancelled study, a lost lease) is dropped.
        """
        batches: dict[int, list[PoolEvent]] = {}
        holders = {key: engagement for engagement in self._engagements.values() for key in engagement.all_keys}
        for event in self._inbox:
            if self.jobs.holds(event.key):
                self.jobs.record(event)
            elif event.key in holders:
                batches.setdefault(holders[event.key].study_id, []).append(event)
        self._inbox = [event for batch in batches.values() for event in batch]
        for study_id, batch in batches.items():
            with self._working_on(self._engagements[study_id], "record"):
                with self.database.session() as session:
                    study = Owned(session).lock(study_id)
                    recorder = Recorder(session, study, self._engagements[study_id], self.checkpoints)
                    if study.owner == self.owner:
                        recorder.record(batch)
                recorder.commit()
                for event in batch:
                    if isinstance(event, Ended):
                        self.traces.end(event.key, _how(event))
                for key in recorder.to_stop:
                    self.pool.stop(key)
                for key in recorder.to_kill:
                    self.pool.kill(key)
            self._inbox = self._inbox[len(batch) :]

    def _fill(self) -> bool:
        """Gives free workers to the studies, by their weights: first to those that runs gave way to, then to those with
        the fewest runs under way, then to those that have been given least so far. Whether there was anything to do."""
        wanting = [one for one in self._engagements.values() if one.on_pool and one.wants_work]
        self._promised &= {one.study_id for one in wanting if not one.under_way}
        wanting.sort(
            key=lambda one: (one.study_id not in self._promised, one.under_way / one.weight, one.share, one.study_id)
        )
        weights = sum(one.weight for one in wanting)
        wanted: dict[Resources, int] = {}
        busy = self.jobs.fill()
        for engagement in wanting:
            share = math.ceil(self.pool.capacity(engagement.resources) * engagement.weight / weights - ROUND_OFF)
            weights -= engagement.weight
            room = min(share, engagement.room)
            if engagement.out_of_time:
                for key in engagement.keys:
                    self.pool.stop(key)
            settled = not engagement.changed and not engagement.limited
            idle = room == 0 and settled and bool(engagement.under_way or engagement.waiting)
            if engagement.out_of_time or not idle:
                busy = True
                self._plan(engagement, room)
            if engagement.wants_work and engagement.room and not engagement.limited:
                wanted[engagement.resources] = wanted.get(engagement.resources, 0) + engagement.room
        self.pool.want(wanted)
        self._make_room(
            [one for one in wanting if one.wants_work and one.room and not one.under_way and not one.limited]
        )
        return busy

    def _make_room(self, starved: Sequence[Engagement]) -> None:
        """Has runs give way to studies of higher priority that could begin and find no room at all."""
        engaged = list(self._engagements.values())
        self._giving_way &= {key for engagement in engaged for key in engagement.keys}
        for engagement in starved:
            if self.pool.capacity(engagement.resources):
                continue
            key = gives_way(engagement, engaged, self._giving_way)
            if key is not None:
                log.info("a run gives way to study %s", engagement.name)
                self.pool.preempt(key)
                self._giving_way.add(key)
                self._promised.add(engagement.study_id)

    def _plan(self, engagement: Engagement, room: int) -> None:
        """Decides on up to `room` runs, stores them, then submits them."""
        with self._working_on(engagement, "plan"):
            with self.database.session() as session:
                study = Owned(session).lock(engagement.study_id)
                if study.owner != self.owner or study.state != StudyState.ACTIVE:
                    engagement.active = False
                    return
                planner = Planner(session, study, engagement, self.checkpoints, self.owner)
                planner.plan(room)
            planner.commit()
            for key in planner.to_kill:  # somebody has ended these runs
                self.pool.kill(key)
            for assignment in planner.assignments:
                self.pool.submit(assignment)
                self.traces.begin(assignment.key, "attempt", **{"assay.study": engagement.name})
            if planner.assignments:
                self.metrics.assigned("pool", len(planner.assignments))
                engagement.share += len(planner.assignments) / engagement.weight

    @contextmanager
    def _working_on(self, engagement: Engagement, what: str) -> Iterator[None]:
        """`_isolated`, with the study's name in the log and a span of its own."""
        attributes = {"assay.study": engagement.name}
        with (
            bound(study=engagement.name),
            self._isolated(engagement),
            self.traces.span(f"dispatch.{what}", **attributes),
        ):
            yield

    @contextmanager
    def _isolated(self, engagement: Engagement) -> Iterator[None]:
        """What goes wrong with one study ends that study, and neither the others nor the service.

        A database that does not answer is nobody's fault: what is known of the study is read again when it does.
        """
        try:
            yield
        except DatabaseUnavailable:
            engagement.stale, engagement.settled = True, False
            engagement.tracked.forget()
            raise
        except Exception as error:  # whatever it is, only this study may suffer
            log.exception("study %s failed", engagement.name)
            self._kill(engagement)
            engagement.keys.clear()
            engagement.test_key, engagement.stale = None, True
            engagement.settled, engagement.retry_at = False, 0.0  # if not even the study's end can be stored
            engagement.tracked.forget()
            with self.database.session() as session:
                study = Owned(session).lock(engagement.study_id)
                if not StudyState(study.state).finished:
                    close_study(session, study, StudyState.FAILED, f"a fault of the service: {error!r}")
            engagement.active = False

    def _let_go(self, study_id: int) -> None:
        self._kill(self._engagements.pop(study_id))
        self._tidy([study_id])

    def _kill(self, engagement: Engagement) -> None:
        for key in engagement.all_keys:
            self.pool.kill(key)
            self.traces.end(key, "killed")


def _how(end: Ended) -> str:
    match end:
        case Finished():
            return "succeeded"
        case Preempted():
            return FailureClass.PREEMPTED
        case Failed(failure=failure):
            return failure


def _observe(engagement: Engagement, study: Glance | Study) -> None:
    """Takes over what others changed in the study's row."""
    active = study.state == StudyState.ACTIVE
    if (active and not engagement.active) or study.last_event > engagement.seen:
        engagement.settled, engagement.retry_at, engagement.changed = False, 0.0, True
        engagement.seen = study.last_event
    engagement.active = active
    engagement.weight = weight_of(study.priority)
    limit = engagement.spec.budget.max_seconds
    if limit is not None and not engagement.out_of_time and study.elapsed(utcnow()) >= limit:
        engagement.out_of_time, engagement.settled = True, False
