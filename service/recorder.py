"""Stores what the pool said about the attempts of one study, in one transaction."""

from __future__ import annotations

import logging

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Session
from service.engagement import Engagement
from service.logs import register_log
from service.models import Run, Study
from service.outcomes import Outcomes
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.store import StorageError
from workers.protocol import Ended, Failed, FailureClass, Finished, PoolEvent, Preempted, Reported, Started

log = logging.getLogger(__name__)

LOST_TESTS = 3


class Recorder:
    """Takes the events of one study whose row is locked by `session`.

    `commit` carries what was stored over into memory; it is called after the commit, and if that fails, the engagement
    is stale: what is stored counts.
    """

    def __init__(self, session: Session, study: Study, engagement: Engagement, checkpoints: Checkpoints) -> None:
        self.session = session
        self.study = study
        self.engagement = engagement
        self.checkpoints = checkpoints
        self.runs = Runs(session)
        self.events = Events(session)
        self.standings = Standings(session)
        self.outcomes = Outcomes(session, study, engagement.tracked, checkpoints)
        self.to_stop: list[str] = []
        self.to_kill: list[str] = []
        self._over: list[str] = []
        self._again: list[int] = []
        self._given_up: list[str] = []
        self._recorded = False
        self._tested = False
        self._untestable = False

    def record(self, batch: list[PoolEvent]) -> None:
        """Stores what a batch of events says. Afterwards `to_stop` has the keys of the attempts that are to end, and
        `to_kill` of those whose runs somebody has ended already."""
        self.engagement.tracked.catch_up(self.session, self.study)
        for event in batch:
            if event.key == self.engagement.test_key:
                self._record_test(event)
            elif event.key not in self._over:
                self._record_run(event, self.outcomes.run(self.engagement.keys[event.key]))
        self._given_up = self.outcomes.conclude()
        self._recorded = True

    def commit(self) -> None:
        """Brings the attempts under way up to what was stored."""
        engagement = self.engagement
        if self._recorded:
            engagement.tracked.seq = engagement.seen = self.study.last_event
        for key in self._over:
            del engagement.keys[key]
        engagement.pending += self._again
        if self._over or self._tested:
            engagement.settled, engagement.retry_at = False, 0.0
        if self._tested:
            engagement.test_key = None
            engagement.untested = not self._untestable
            engagement.lost_tests += 1
        for name in self._given_up:
            self.checkpoints.remove(name)

    def _record_run(self, event: PoolEvent, run: Run) -> None:
        if RunState(run.state).finished:
            # Cancelled meanwhile; or stored already, by a commit of which only the answer was lost.
            self._over.append(event.key)
            if not isinstance(event, Ended):
                self.to_kill.append(event.key)
            return
        match event:
            case Started(worker=worker, provenance=provenance):
                self.outcomes.started(run, worker, provenance)
            case Reported(report=report):
                if self.outcomes.reported(run, report):
                    self.to_stop.append(event.key)
            case Finished(result=result, stopped=stopped, cost=cost):
                self._over.append(event.key)
                self._keep_log(run)
                self.outcomes.finished(run, result, stopped=stopped, cost=cost)
            case Preempted(result=result, step=step, cost=cost):
                self._over.append(event.key)
                self._keep_log(run)
                if run.stopped_by is not None:  # a rule had spoken: it would end there again
                    self.outcomes.finished(run, result, stopped=True, cost=cost)
                else:
                    self.outcomes.preempted(run, step, cost)
                    self._again.append(run.number)
            case Failed(failure=failure, message=message, traceback=traceback, cost=cost):
                self._over.append(event.key)
                self._keep_log(run)
                if self.outcomes.failed(run, failure, message, traceback, cost):
                    self._again.append(run.number)

    def _keep_log(self, run: Run) -> None:
        store = self.checkpoints.store
        if not self.engagement.logs or store is None:
            return
        try:
            register_log(self.session, store, self.study.id, run.number, run.attempts)
        except StorageError as error:  # no run suffers for its log
            log.warning("the log of run %d of study %s is not kept: %s", run.number, self.study.name, error)

    def _record_test(self, event: PoolEvent) -> None:
        match event:
            case Finished(result=result):
                self._tested = self._untestable = True
                if result.metrics:  # none: the objective has no test split
                    best = self.standings.leader(self.study)
                    assert best is not None, "a test evaluates the best run"
                    metrics = dict(result.metrics)
                    if self.runs.evaluation(self.study.id) is not None:
                        return
                    self.runs.add_evaluation(best.row.run, metrics)
                    self.events.append(self.study, "study.tested", best.row.run, {"metrics": metrics})
            case Failed(failure=failure, message=message):
                self._tested = True
                self._untestable = failure != FailureClass.LOST or self.engagement.lost_tests + 1 >= LOST_TESTS
                self.events.append(self.study, "study.tested", data={"class": failure, "message": message})
            case Started() | Reported() | Preempted():  # a test makes no reports, after which it could be preempted
                pass
