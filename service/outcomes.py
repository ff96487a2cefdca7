"""What becomes of the runs of one study: started, reported, ended well or badly; stored, and in the history at once.

The same for runs of the pool and for those of people's own workers. The history learns what happened at once, for it
is asked who leads and who is to stop; if the transaction is not stored in the end, it must be forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from search import Invalid, contenders, reported, should_stop
from search.found import verdict
from search.history import Config, Ended, RunState
from service.checkpoints import UPLOADED, Checkpoints, is_of_pool
from service.database import Session
from service.engagement import training_seed
from service.models import Attempt, Run, Study, utcnow
from service.models import Report as StoredReport
from service.provenance import provenance_of_run
from service.repositories.artifacts import Artifacts
from service.repositories.errors import NotFound
from service.repositories.events import Events
from service.repositories.reports import Reports
from service.repositories.runs import Held, Runs
from service.repositories.standings import Standings
from service.retries import ENDS, RetryPolicy
from service.states import AttemptState
from service.tracking import Tracked, kind_of, outcome
from workers.jobs import MEMBERS, kinds_of
from workers.protocol import Cost, FailureClass, Report, Result


class Outcomes:
    """Of one study whose row is locked by `session`, and whose history is up to date."""

    def __init__(
        self, session: Session, study: Study, tracked: Tracked, checkpoints: Checkpoints, now: datetime | None = None
    ) -> None:
        self.session = session
        self.study = study
        self.tracked = tracked
        self.checkpoints = checkpoints
        self.now = now or utcnow()
        self.runs = Runs(session)
        self.events = Events(session)
        self.standings = Standings(session)
        self.artifacts = Artifacts(session)
        self._retry = RetryPolicy.of(study.spec)
        self._rows: list[dict[str, Any]] = []
        self._leases: list[Mapping[str, Any]] = []
        self._loaded: dict[int, tuple[Run, Attempt | None]] = {}
        self._held: dict[int, Held] | None = None
        self._ended = False
        self._checkpointed: list[Run] = []
        self._given_up: list[str] = []

    def load(self, numbers: Collection[int]) -> None:
        """Reads runs that will be asked for: all of them at once."""
        # The session itself holds on to nothing: without the attempt here, it would be loaded again.
        found = self.runs.with_attempts(self.study.id, numbers)
        self._loaded.update((run.number, (run, attempt)) for run, attempt in found)

    def run(self, number: int) -> Run:
        """Raises NotFound."""
        if number not in self._loaded:
            self.load([number])
        if number not in self._loaded:
            raise NotFound(f"the study has no run {number}")
        return self._loaded[number][0]

    def attempt(self, run: Run) -> Attempt | None:
        """The run's current one."""
        _, loaded = self._loaded.get(run.number, (run, None))
        if loaded is not None and loaded.number == run.attempts:
            return loaded
        return self.runs.attempt(run) if run.attempts else None

    def held(self) -> dict[int, Held]:
        """The attempts under way, by run: read once, and kept up to date with what becomes of them here."""
        if self._held is None:
            self.store()
            self.session.flush()
            self._held = {held.run: held for held in self.runs.under_way(self.study.id)}
        return self._held

    def leased(self, attempt: Attempt) -> None:
        """An attempt has begun that is held by a lease."""
        self.held()[attempt.run] = Held(
            attempt.run,
            attempt.number,
            attempt.worker,
            attempt.created_at,
            attempt.lease_seconds,
            attempt.lease_expires,
        )

    def renewed(self, attempt: Attempt, until: datetime | None) -> None:
        """The lease of a stored attempt now runs until then."""
        self._leases.append(self.runs.renewal(attempt, until))

    def started(
        self,
        run: Run,
        worker: str,
        provenance: Mapping[str, Any] | None = None,
        attempt: Attempt | None = None,
    ) -> None:
        """The worker has begun with the run's current attempt. Once for each; a repetition is left as it is."""
        attempt = attempt or self.runs.attempt(run)
        if attempt.state != AttemptState.LEASED:
            return
        attempt.state, attempt.worker = AttemptState.REPORTING, worker
        spec, history = self.tracked.spec, self.tracked.history
        known = provenance_of_run(self.study.spec, spec.space, history, training_seed(spec, run))
        attempt.provenance = {**(provenance or {}), **known}
        self.events.move_run(self.study, run, RunState.RUNNING, {"attempt": run.attempts, "worker": worker})

    def reported(self, run: Run, report: Report) -> bool:
        """Takes a report, and says whether a stopping rule wants the run to end there.

        A decision stands: another attempt ends where this one did.
        """
        self._rows.append(
            {
                "study_id": self.study.id,
                "run": run.number,
                "attempt": run.attempts,
                "step": report.step,
                "metrics": finite(report.metrics),
                "seconds": report.seconds,
                "after_event": self.study.last_event,
                "created_at": utcnow(),
            }
        )
        spec, history = self.tracked.spec, self.tracked.history
        if not spec.algorithm.stop:
            return False
        known = len(history.events)
        history.append(reported(spec, run.number, report.step, report.metrics))
        # Nothing is decided by what says nothing new, such as a repetition: it leaves no trace to decide by again.
        if run.stopped_by is None and len(history.events) > known and (stop := should_stop(spec, history, run.number)):
            run.stopped_by = stop.to_json()
        return run.stopped_by is not None and report.step >= run.stopped_by["step"]

    def last_report(self, run: Run) -> StoredReport | None:
        """That of the highest step of the run's current attempt; None if there is none."""
        self.store()
        return Reports(self.session).last(run)

    def finished(
        self, run: Run, result: Result, *, stopped: bool, cost: Cost | None = None, rule: str = "max_seconds"
    ) -> None:
        """The attempt ended well; `stopped` when it ended early: because a stopping rule wanted it to, or else by this
        `rule`."""
        attempt = self._end_attempt(run, AttemptState.SUCCEEDED, cost=cost)
        assert attempt is not None, "a run that is carried out has an attempt"
        if result.checkpointed:
            run.checkpoint = self.checkpoints.name(self.study.id, run.number, run.attempts)
        elif attempt.checkpoint is None or not is_of_pool(attempt.checkpoint):
            run.checkpoint = attempt.checkpoint
        if not stopped:
            run.stopped_by = None  # it had come to its end before it could be stopped
        if stopped and (run.stopped_by is None or run.stopped_by["outcome"] == RunState.STOPPED):
            run.metrics = finite(result.metrics)
            self.events.move_run(self.study, run, RunState.STOPPED, run.stopped_by or {"rule": rule})
            self._end(run)
            return
        self._judge(run, result.metrics, result.details)
        if run.attempts > 1 and run.state == RunState.SUCCEEDED:
            self._given_up += [UPLOADED + key for key in self.artifacts.drop_superseded(run)]

    def _judge(self, run: Run, metrics: Mapping[str, float], details: Mapping[str, Any] | None = None) -> None:
        kind, config = kind_of(run.kind), self._config(run)
        judged = verdict(self.tracked.spec, kind, config, metrics, details)
        if isinstance(judged, Invalid):
            self._fail(run, judged.failure, judged.message)
            return
        run.metrics = finite(metrics)
        if kind == "supernet":
            run.details = dict(details or {})
        else:
            run.value = metrics[self.tracked.spec.metrics[0].name]
            run.violation = judged.violation
        data = {"metrics": run.metrics, "fidelity": run.fidelity}
        if run.stopped_by is not None:
            data["stopped_by"] = run.stopped_by
        self.events.move_run(self.study, run, RunState.SUCCEEDED, data)
        self._end(run)
        if run.checkpoint is not None:
            self._checkpointed.append(run)

    def told(self, run: Run, metrics: Mapping[str, float] | None, failure: str | None) -> None:
        """The run was carried out elsewhere: it has metrics or the class of a failure."""
        if metrics is None:
            self._fail(run, failure or FailureClass.ERROR, "it failed where it was carried out")
        else:
            self._judge(run, metrics)

    def failed(
        self, run: Run, failure: FailureClass, message: str, traceback: str = "", cost: Cost | None = None
    ) -> bool:
        """The attempt ended badly. Whether the run is tried again, which the study's policy says."""
        end = ENDS.get(failure, AttemptState.ERROR)
        attempt = self._end_attempt(run, end, message, cost)
        if attempt is not None and failure is FailureClass.LOST and (saved := self.checkpoints.saved_by(attempt, run)):
            self._go_on_from(attempt, *saved)
        self.session.flush()
        delay = self._retry.delay(failure, self.runs.attempts_ended(run, end))
        if delay is None:
            self._fail(run, failure, message, traceback)
            return False
        run.not_before = self.now + delay if delay else None
        if run.state == RunState.RUNNING:
            data = {"after": failure, "message": message, "seconds": delay.total_seconds()}
            self.events.move_run(self.study, run, RunState.PENDING, data)
        return True

    def preempted(self, run: Run, step: float | None, cost: Cost | None = None) -> None:
        """The service has taken the run back from its worker, which saved a checkpoint after this step (None: none). It
        waits for another attempt to go on from there, whatever the retry policy says: nothing has failed."""
        attempt = self._end_attempt(run, AttemptState.PREEMPTED, cost=cost)
        assert attempt is not None, "a run that is carried out has an attempt"
        if step is not None:
            self._go_on_from(attempt, self.checkpoints.name(self.study.id, run.number, run.attempts), step)
        if run.state == RunState.RUNNING:
            data = {"after": AttemptState.PREEMPTED, "attempt": run.attempts, "step": step}
            self.events.move_run(self.study, run, RunState.PENDING, data)

    def cancelled(self, run: Run, data: dict[str, Any]) -> None:
        """The run ends without a result."""
        self._end_attempt(run, AttemptState.SUPERSEDED)
        self.events.move_run(self.study, run, RunState.CANCELLED, data)
        self._end(run)

    def rejudge(self) -> None:
        """Who leads, and who led, when results have been taken out."""
        self.standings.rewrite(self.study, self.tracked.spec, self.tracked.history)

    def conclude(self) -> list[str]:
        """Stores what all of it comes to: reports, who leads. Returns checkpoints to remove once it is committed."""
        self.store()
        if self._ended:
            self.standings.update(self.study, self.tracked.spec, self.tracked.history)
            self._give_up_checkpoints()
            self._ended, self._checkpointed = False, []
        return self._given_up

    def store(self) -> None:
        """Stores what was reported so far in this transaction, and the leases that were renewed."""
        Reports(self.session).add(self._rows)
        if self._leases:
            self.runs.renew(self._leases)
        self._rows, self._leases = [], []

    def _end_attempt(
        self, run: Run, state: AttemptState, message: str | None = None, cost: Cost | None = None
    ) -> Attempt | None:
        """The run's current attempt, which is over now."""
        attempt = self.attempt(run)
        if attempt is not None:
            self.runs.end(attempt, state, message)
            if cost is not None:
                attempt.cpu_seconds, attempt.gpu_seconds = cost.cpu_seconds, cost.gpu_seconds
        if self._held is not None:
            self._held.pop(run.number, None)
        return attempt

    def _fail(self, run: Run, failure: str, message: str, traceback: str = "") -> None:
        run.failure_class, run.failure_message = failure, message
        run.failure_traceback = traceback or None
        self.events.move_run(self.study, run, RunState.FAILED, {"class": failure, "message": message})
        self._end(run)

    def _end(self, run: Run) -> None:
        self.tracked.history.append(Ended(run.number, outcome(self.tracked.spec, run, self._config(run))))
        self._ended = True
        if (attempt := self.attempt(run)) is not None:
            self._give_up_attempts(attempt)

    def _go_on_from(self, attempt: Attempt, name: str, step: float) -> None:
        """The attempt saved this checkpoint after this step, for the next one."""
        if attempt.checkpoint != name:  # else it is stored already, by a commit of which only the answer was lost
            self._give_up_attempts(attempt)
        attempt.checkpoint, attempt.checkpoint_step = name, step

    def _give_up_attempts(self, attempt: Attempt) -> None:
        """The checkpoint that a preempted attempt of the pool left for this one: nobody goes on from it any more."""
        if attempt.checkpoint is not None and is_of_pool(attempt.checkpoint):
            self._given_up.append(attempt.checkpoint)
            attempt.checkpoint = attempt.checkpoint_step = None

    def _config(self, run: Run) -> Config:
        return self.tracked.history.runs[run.number].config

    def _give_up_checkpoints(self) -> None:
        """Of the runs that nobody will go on from: what was continued, and at the top all but the contenders."""
        fidelity = self.tracked.spec.space.fidelity
        top = None
        for run in self._checkpointed:
            if run.resume_from is not None and self._is_left_behind(parent := self.run(run.resume_from)):
                self._give_up(parent)
            if fidelity is None or run.fidelity == fidelity.high:
                top = run
        if top is not None:
            members = MEMBERS if kinds_of(self.study.spec["objective"]) else 0
            kept = contenders(self.tracked.spec, self.tracked.history, members)
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
            self._given_up.append(run.checkpoint)
            self.artifacts.drop_checkpoint(self.study.id, run.checkpoint)
            run.checkpoint = None


def finite(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """As they are stored: what is not finite is no JSON, and null."""
    return {name: value if value is not None and isfinite(value) else None for name, value in metrics.items()}
