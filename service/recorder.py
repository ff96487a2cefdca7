"""Stores what the pool said about the attempts of one study: in one transaction, then in the cached history."""

from __future__ import annotations

from typing import Any

from search import Invalid, judge
from search.history import Ended, RunState
from service.checkpoints import Checkpoints
from service.database import Session
from service.engagement import Engagement, outcome
from service.models import Run, Study, utcnow
from service.repositories.events import Events
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.states import AttemptState
from workers.protocol import Failed, FailureClass, Finished, PoolEvent, Reported, Started

LOST_ATTEMPTS = 3

_ATTEMPT_ENDS = {
    FailureClass.OOM: AttemptState.OOM,
    FailureClass.TIMEOUT: AttemptState.TIMEOUT,
    FailureClass.LOST: AttemptState.LOST,
    FailureClass.PREEMPTED: AttemptState.PREEMPTED,
}


class Recorder:
    """Takes the events of one study whose row is locked by `session`.

    `commit` carries over into memory what the transaction has stored; it is called after the commit.
    """

    def __init__(self, session: Session, study: Study, engagement: Engagement, checkpoints: Checkpoints) -> None:
        self.study = study
        self.engagement = engagement
        self.checkpoints = checkpoints
        self.runs = Runs(session)
        self.events = Events(session)
        self.reports = Reports(session)
        self._loaded: dict[int, Run] = {}
        self._rows: list[dict[str, Any]] = []
        self._over: list[str] = []
        self._ended: list[Run] = []
        self._again: list[int] = []
        self._superseded: list[str] = []
        self._tested = False
        self._untestable = False

    def record(self, batch: list[PoolEvent]) -> None:
        for event in batch:
            if event.key == self.engagement.test_key:
                self._record_test(event)
            elif event.key not in self._over:
                self._record_run(event, self._run(self.engagement.keys[event.key]))
        self.reports.add(self._rows)

    def commit(self) -> None:
        """Brings the cached history and the attempts under way up to what was stored."""
        engagement = self.engagement
        for key in self._over:
            del engagement.keys[key]
        for run in self._ended:
            engagement.history.append(Ended(run.number, outcome(engagement.spec, run)))
        engagement.pending += self._again
        if self._over or self._tested:
            engagement.settled = False
        if self._tested:
            engagement.test_key = None
            engagement.untested = not self._untestable
            engagement.lost_tests += 1
        for name in self._superseded:
            self.checkpoints.remove(name)

    def _run(self, number: int) -> Run:
        if number not in self._loaded:
            self._loaded[number] = self.runs.get(self.study.id, number).run
        return self._loaded[number]

    def _record_run(self, event: PoolEvent, run: Run) -> None:
        if RunState(run.state).finished:
            # Cancelled meanwhile; or stored already, by a commit of which only the answer was lost.
            self._over.append(event.key)
            self._ended.append(run)
            return
        match event:
            case Started(worker=worker):
                attempt = self.runs.attempt(run)
                if attempt.state != AttemptState.LEASED:
                    return
                attempt.state, attempt.worker = AttemptState.REPORTING, worker
                self.events.move_run(self.study, run, RunState.RUNNING, {"attempt": run.attempts, "worker": worker})
            case Reported(report=report):
                self._rows.append(
                    {
                        "study_id": self.study.id,
                        "run": run.number,
                        "attempt": run.attempts,
                        "step": report.step,
                        "metrics": dict(report.metrics),
                        "seconds": report.seconds,
                        "created_at": utcnow(),
                    }
                )
            case Finished():
                self._finish(event, run)
            case Failed():
                self._fail(event, run)

    def _finish(self, event: Finished, run: Run) -> None:
        self._over.append(event.key)
        self._ended.append(run)
        self.runs.end_attempt(run, AttemptState.SUCCEEDED)
        if event.result.checkpointed:
            run.checkpoint = self.checkpoints.name(self.study.id, run.number, run.attempts)
        if event.stopped:
            run.metrics = dict(event.result.metrics)
            self.events.move_run(self.study, run, RunState.STOPPED, {"rule": "max_seconds"})
            return
        verdict = judge(self.engagement.spec, event.result.metrics)
        if isinstance(verdict, Invalid):
            self._set_failure(run, verdict.failure, verdict.message)
            return
        run.metrics = dict(event.result.metrics)
        run.value = run.metrics[self.engagement.spec.metrics[0].name]
        self.events.move_run(self.study, run, RunState.SUCCEEDED, {"metrics": run.metrics, "fidelity": run.fidelity})
        if run.checkpoint is not None:
            self._give_up_checkpoints(run)

    def _give_up_checkpoints(self, run: Run) -> None:
        """Gives up what nobody will ask for again: what the run continued, and at the top all but the best."""
        spent = [self._run(run.resume_from)] if run.resume_from is not None else []
        fidelity = self.engagement.spec.space.fidelity
        if fidelity is None or run.fidelity == fidelity.high:
            spent += self.runs.beaten(run, maximize=self.engagement.maximize)
        for other in spent:
            if other.checkpoint is not None:
                self._superseded.append(other.checkpoint)
                other.checkpoint = None

    def _fail(self, event: Failed, run: Run) -> None:
        self._over.append(event.key)
        self.runs.end_attempt(run, _ATTEMPT_ENDS.get(event.failure, AttemptState.ERROR))
        again = event.failure is FailureClass.PREEMPTED or (
            event.failure is FailureClass.LOST and self.runs.lost_attempts(run) < LOST_ATTEMPTS
        )
        if again:
            self._again.append(run.number)
            if run.state == RunState.RUNNING:
                self.events.move_run(self.study, run, RunState.PENDING, {"after": event.failure})
            return
        self._ended.append(run)
        self._set_failure(run, event.failure, event.message, event.traceback)

    def _set_failure(self, run: Run, failure: str, message: str, traceback: str = "") -> None:
        run.failure_class, run.failure_message = failure, message
        run.failure_traceback = traceback or None
        self.events.move_run(self.study, run, RunState.FAILED, {"class": failure, "message": message})

    def _record_test(self, event: PoolEvent) -> None:
        match event:
            case Finished(result=result):
                self._tested = self._untestable = True
                if result.metrics:  # none: the objective has no test split
                    best = self.runs.best(self.study.id, maximize=self.engagement.maximize)
                    assert best is not None, "a test evaluates the best run"
                    metrics = dict(result.metrics)
                    if self.runs.evaluation(self.study.id) is not None:
                        return
                    self.runs.add_evaluation(best.run, metrics)
                    self.events.append(self.study, "study.tested", best.run, {"metrics": metrics})
            case Failed(failure=failure, message=message):
                self._tested = True
                self._untestable = (
                    failure not in (FailureClass.LOST, FailureClass.PREEMPTED)
                    or self.engagement.lost_tests + 1 >= LOST_ATTEMPTS
                )
                self.events.append(self.study, "study.tested", data={"class": failure, "message": message})
            case Started() | Reported():
                pass
