"""Stores what the pool said about the attempts of one study: in one transaction, then in the cached history."""

from __future__ import annotations

from typing import Any

from search import Invalid, contenders, judge, reported, should_stop
from search.history import Ended, RunState
from service.checkpoints import Checkpoints
from service.database import Session
from service.engagement import Engagement, outcome, stored_history
from service.models import Run, Study, utcnow
from service.repositories.events import Events
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.repositories.standings import Standings
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

    The cached history learns what happened at once, for it is asked who leads and who is to stop. `commit` carries the
    rest over into memory; it is called after the commit, and if that fails, the engagement is stale: what is stored
    counts.
    """

    def __init__(self, session: Session, study: Study, engagement: Engagement, checkpoints: Checkpoints) -> None:
        self.session = session
        self.study = study
        self.engagement = engagement
        self.checkpoints = checkpoints
        self.runs = Runs(session)
        self.events = Events(session)
        self.reports = Reports(session)
        self.standings = Standings(session)
        self.to_stop: list[str] = []
        self._loaded: dict[int, Run] = {}
        self._rows: list[dict[str, Any]] = []
        self._over: list[str] = []
        self._ended = False
        self._checkpointed: list[Run] = []
        self._again: list[int] = []
        self._superseded: list[str] = []
        self._tested = False
        self._untestable = False

    def record(self, batch: list[PoolEvent]) -> None:
        """Stores what a batch of events says. Afterwards `to_stop` has the keys of the attempts that are to end."""
        if self.engagement.stale:
            self.engagement.history = stored_history(self.session, self.engagement.spec, self.study.id)
        for event in batch:
            if event.key == self.engagement.test_key:
                self._record_test(event)
            elif event.key not in self._over:
                self._record_run(event, self._run(self.engagement.keys[event.key]))
        self.reports.add(self._rows)
        if self._ended:
            self.standings.update(self.study, self.engagement.spec, self.engagement.history)
            self._give_up_checkpoints()

    def commit(self) -> None:
        """Brings the attempts under way up to what was stored."""
        engagement = self.engagement
        for key in self._over:
            del engagement.keys[key]
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
            self._end(run)
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
                        "after_event": self.study.last_event,
                        "created_at": utcnow(),
                    }
                )
                if self.engagement.spec.algorithm.stop:
                    self._consider(event, run)
            case Finished():
                self._finish(event, run)
            case Failed():
                self._fail(event, run)

    def _consider(self, event: Reported, run: Run) -> None:
        """Asks the rule whether the run is to end. A decision stands: another attempt ends where this one did."""
        spec, history, report = self.engagement.spec, self.engagement.history, event.report
        history.append(reported(spec, run.number, report.step, report.metrics))
        if run.stopped_by is None and (stop := should_stop(spec, history, run.number)):
            run.stopped_by = stop.to_json()
        if run.stopped_by is not None and report.step >= run.stopped_by["step"]:
            self.to_stop.append(event.key)

    def _finish(self, event: Finished, run: Run) -> None:
        self._over.append(event.key)
        self.runs.end_attempt(run, AttemptState.SUCCEEDED)
        if event.result.checkpointed:
            run.checkpoint = self.checkpoints.name(self.study.id, run.number, run.attempts)
        if not event.stopped:
            run.stopped_by = None  # it had come to its end before it could be stopped
        if event.stopped and (run.stopped_by is None or run.stopped_by["outcome"] == RunState.STOPPED):
            run.metrics = dict(event.result.metrics)
            self.events.move_run(self.study, run, RunState.STOPPED, run.stopped_by or {"rule": "max_seconds"})
            self._end(run)
            return
        verdict = judge(self.engagement.spec, event.result.metrics)
        if isinstance(verdict, Invalid):
            self._set_failure(run, verdict.failure, verdict.message)
            return
        run.metrics = dict(event.result.metrics)
        run.value = run.metrics[self.engagement.spec.metrics[0].name]
        run.violation = verdict.violation
        data = {"metrics": run.metrics, "fidelity": run.fidelity}
        if run.stopped_by is not None:
            data["stopped_by"] = run.stopped_by
        self.events.move_run(self.study, run, RunState.SUCCEEDED, data)
        self._end(run)
        if run.checkpoint is not None:
            self._checkpointed.append(run)

    def _end(self, run: Run) -> None:
        self.engagement.history.append(Ended(run.number, outcome(self.engagement.spec, run)))
        self._ended = True

    def _give_up_checkpoints(self) -> None:
        """Of the runs that nobody will go on from: what was continued, and at the top all but the contenders."""
        fidelity = self.engagement.spec.space.fidelity
        top = None
        for run in self._checkpointed:
            if run.resume_from is not None and self._is_left_behind(parent := self._run(run.resume_from)):
                self._give_up(parent)
            if fidelity is None or run.fidelity == fidelity.high:
                top = run
        if top is not None:
            kept = contenders(self.engagement.spec, self.engagement.history)
            for run in self.runs.with_checkpoint(top):
                if run.number not in kept:
                    self._give_up(run)

    def _is_left_behind(self, run: Run) -> bool:
        """Whether its own trial has gone on from it, and nobody else is about to."""
        followers = self.runs.continued_by(run)
        return all(RunState(other.state).finished for other in followers) and any(
            other.trial == run.trial and other.state == RunState.SUCCEEDED for other in followers
        )

    def _give_up(self, run: Run) -> None:
        if run.checkpoint is not None:
            self._superseded.append(run.checkpoint)
            run.checkpoint = None

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
        self._set_failure(run, event.failure, event.message, event.traceback)

    def _set_failure(self, run: Run, failure: str, message: str, traceback: str = "") -> None:
        run.failure_class, run.failure_message = failure, message
        run.failure_traceback = traceback or None
        self.events.move_run(self.study, run, RunState.FAILED, {"class": failure, "message": message})
        self._end(run)

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
                self._untestable = (
                    failure not in (FailureClass.LOST, FailureClass.PREEMPTED)
                    or self.engagement.lost_tests + 1 >= LOST_ATTEMPTS
                )
                self.events.append(self.study, "study.tested", data={"class": failure, "message": message})
            case Started() | Reported():
                pass
