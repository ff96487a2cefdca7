"""What people's own workers do to a study whose row is locked: claim runs, report, end them.

An attempt is held by a lease: whoever says nothing for longer has lost it, and the run is given to another. The token
of the attempt tells whose word counts; that of an attempt that was given up is kept beside it, and counts for nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Literal

from search.actions import Done, Wait
from service.decisions import OUT_OF_TIME, reason_of
from service.models import Attempt, Json, Run
from service.observability.metrics import Ending
from service.observability.notes import note
from service.outcomes import finite
from service.repositories.errors import NotFound
from service.repositories.runs import Held, RunRow
from service.retries import ENDS
from service.states import AttemptState, StudyState
from service.study_work import StudyWork
from workers.protocol import FailureClass, Report, Result

OWNER = "external"
"""Of attempts that no dispatcher carries out."""

GIVEN_UP = (AttemptState.LOST, AttemptState.TIMEOUT, AttemptState.SUPERSEDED)
"""Ends of attempts that are not their workers' word."""

BARRIER_SECONDS = 1.0
PAUSED_SECONDS = 5.0
QUOTA_SECONDS = 2.0

Answer = Literal["continue", "stop", "pause"]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why there is no run to carry out (`reason` for programs, `detail` for people); after `retry_after` seconds there
    may be one, and never again if that is None."""

    reason: str
    detail: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The attempts that a worker now has, and why there are not more, if it wanted more."""

    attempts: Sequence[tuple[Attempt, RunRow]]
    nothing: Nothing | None


@dataclass(frozen=True, slots=True)
class Stale:
    """The word of an attempt that was given up, or has ended. `run` and `attempt` are what stands now; `speaker` is the
    attempt whose word it is, if there ever was one with this token."""

    run: Run
    attempt: Attempt
    speaker: Attempt | None

    def repeats(self, end: AttemptState | None = None) -> bool:
        """Whether the worker has told before how its attempt ended; or says now that it ended just so."""
        return self.speaker is not None and (self.speaker.state not in GIVEN_UP or self.speaker.state == end)


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker is to go on, or not; its lease now runs until then (None: it has no end)."""

    answer: Answer
    lease_expires: datetime | None


class External:
    """On one study in one transaction."""

    def __init__(self, work: StudyWork) -> None:
        self.work = work
        self.session = work.session
        self.study = work.study
        self.tracked = work.tracked
        self.runs = work.runs
        self.outcomes = work.outcomes
        self.decisions = work.decisions
        self.now = work.now

    def claim(self, worker: str, count: int, lease_seconds: float | None) -> Claimed:
        """Up to `count` attempts for a worker: those that it has already, then others."""
        held = self.expire()
        mine = [one.run for one in held if one.worker == worker][:count]
        claimed = []
        for number in mine:
            row = self.runs.get(self.study.id, number)
            attempt = self._attempt(row.run)
            attempt.lease_seconds = lease_seconds
            self._renew(attempt)
            claimed.append((attempt, row))
        nothing = None
        if len(claimed) < count:
            rows, nothing = self._free(count - len(claimed), held)
            claimed += [self._lease(row, worker, lease_seconds) for row in rows]
        return Claimed(claimed, nothing)

    def report(self, number: int, token: str, reports: Sequence[Report]) -> Heard | Stale:
        """Takes reports of an attempt, which renew its lease. One that is not finite ends the run: it has diverged."""
        held = self._held(number, token)
        if isinstance(held, Stale):
            self._keep_late(held, {"reports": len(reports)})
            return held
        run, attempt = held
        note(self.session, lambda metrics: metrics.reported(len(reports)))
        stop = False
        for report in reports:
            stop |= self.outcomes.reported(run, report)
            if broken := [name for name, value in report.metrics.items() if not isfinite(value)]:
                message = f"{broken[0]} is {report.metrics[broken[0]]} at step {report.step:g}"
                self.outcomes.failed(run, FailureClass.DIVERGED, message)
                self._end()
                return Heard("stop", None)
        return self._heard(run, attempt, stop=stop)

    def beat(self, number: int, token: str) -> Heard | Stale:
        """A sign of life, which renews the lease."""
        held = self._held(number, token)
        if isinstance(held, Stale):
            return held
        run, attempt = held
        return self._heard(run, attempt, stop=self._is_stopped(run))

    def elapsed(self, number: int) -> float:
        """Seconds since the run's latest attempt began. Raises NotFound."""
        return (self.now - self._attempt(self.outcomes.run(number)).created_at).total_seconds()

    def complete(
        self, number: int, token: str, metrics: dict[str, Any] | None, stopped: bool | None, extra: Json
    ) -> Run | Stale:
        """The attempt ended well. Without metrics those of its last report count. Said again, it changes nothing."""
        held = self._held(number, token)
        if isinstance(held, Stale):
            if held.repeats():
                return held.run
            self._keep_late(held, {"metrics": None if metrics is None else finite(metrics)})
            return held
        run, attempt = held
        told_to_stop = run.stopped_by is not None or self._out_of_time
        if stopped is None:
            stopped = told_to_stop and self._ended_early(run)
        if metrics is None:
            last = self.outcomes.last_report(run)
            metrics = dict(last.metrics) if last else {}
        self._take_extra(attempt, extra)
        rule = "max_seconds" if self._out_of_time else "worker"
        self.outcomes.finished(run, Result(metrics), stopped=stopped, rule=rule)
        note(self.session, lambda telemetry: telemetry.completed("complete"))
        self._end()
        return run

    def fail(
        self, number: int, token: str, failure: FailureClass, message: str, traceback: str, extra: Json
    ) -> Run | Stale:
        """The attempt ended badly. Said again, it changes nothing."""
        held = self._held(number, token)
        if isinstance(held, Stale):
            if held.repeats(ENDS.get(failure)):
                return held.run
            self._keep_late(held, {"class": failure, "message": message})
            return held
        run, attempt = held
        self._take_extra(attempt, extra)
        self.outcomes.failed(run, failure, message, traceback)
        ending: Ending = "infeasible" if failure is FailureClass.INFEASIBLE else "fail"
        note(self.session, lambda telemetry: telemetry.completed(ending))
        self._end()
        return run

    def expire(self) -> list[Held]:
        """Ends the attempts whose lease has run out, or that took longer than the study allows; answers the others."""
        limit = (self.study.spec.get("limits") or {}).get("seconds")
        going_on = []
        for attempt in list(self.outcomes.held().values()):
            if self._is_lost(attempt):
                message = f"worker {attempt.worker} was not heard of for {attempt.lease_seconds:g} seconds"
                self.outcomes.failed(self.outcomes.run(attempt.run), FailureClass.LOST, message)
                note(self.session, lambda metrics: metrics.lease_expired("attempt"))
            elif limit is not None and (self.now - attempt.created_at).total_seconds() > limit:
                message = f"it took longer than {limit:g} seconds"
                self.outcomes.failed(self.outcomes.run(attempt.run), FailureClass.TIMEOUT, message)
            else:
                going_on.append(attempt)
        return going_on

    def settle(self) -> None:
        """Ends the study if there is nothing more to do: no run is open, and it is out of time or the search done."""
        held = self.expire()
        if self.study.state != StudyState.ACTIVE:
            return
        if self._out_of_time:
            for row in self._unleased(held):
                self.outcomes.cancelled(row.run, {"rule": "max_seconds"})
            self._finish_if_over(OUT_OF_TIME)
        elif not self.tracked.history.open_count and (answer := self.decisions.over()):
            self._finish_if_over(answer)

    # Claiming

    def _free(self, count: int, held: Sequence[Held]) -> tuple[Sequence[RunRow], Nothing | None]:
        """Runs that nobody has: such as are to be tried again, then new ones."""
        state = StudyState(self.study.state)
        if state.finished:
            reason = (self.study.reason or state).partition(":")[0] if state is StudyState.COMPLETED else str(state)
            return [], Nothing(reason, f"the study has ended: {self.study.reason or state}", None)
        if state is StudyState.PAUSED:
            return [], Nothing("paused", "the study is paused", PAUSED_SECONDS)
        if self._out_of_time:
            self.settle()
            return [], Nothing(OUT_OF_TIME.reason, OUT_OF_TIME.detail, None)
        waiting = self._unleased(held)
        parallelism = self.tracked.spec.parallelism
        room, of_project = min(count, parallelism - len(held)), None
        if room > 0:
            room, of_project = self.decisions.allowed(room)
        self.study.waiting = of_project if room == 0 else None
        ready = [row for row in waiting if row.run.not_before is None or row.run.not_before <= self.now]
        rows = ready[: max(0, room)]
        if len(rows) < room:
            decided, answer = self.decisions.decide(room - len(rows))
            rows += decided
            if answer is not None:
                return rows, self._nothing(answer, [row.run for row in waiting])
        if len(rows) == count:
            return rows, None
        detail = of_project or f"quota: the study's parallelism of {parallelism} is used up"
        return rows, Nothing("quota", detail.partition(": ")[2], QUOTA_SECONDS)

    def _nothing(self, answer: Wait | Done, waiting: Sequence[Run]) -> Nothing:
        later = [(run.not_before, run) for run in waiting if run.not_before is not None and run.not_before > self.now]
        if later:
            when, run = min(later, key=lambda one: one[0])
            self.study.waiting = f"backoff: run {run.number} is tried again at {when:%H:%M:%S} UTC"
            return Nothing("backoff", f"run {run.number} is tried again later", (when - self.now).total_seconds())
        if isinstance(answer, Wait):
            self.study.waiting = reason_of(answer)
            return Nothing(answer.reason, answer.detail, BARRIER_SECONDS)
        self._finish_if_over(answer)
        over = StudyState(self.study.state).finished
        return Nothing(answer.reason, answer.detail, None if over else BARRIER_SECONDS)

    def _unleased(self, held: Sequence[Held]) -> list[RunRow]:
        """The open runs that nobody has, by number."""
        leased = {attempt.run for attempt in held}
        numbers = [number for number in self.tracked.history.open if number not in leased]
        rows = self.runs.numbered(self.study.id, numbers) if numbers else {}
        return [rows[number] for number in numbers]

    def _lease(self, row: RunRow, worker: str, lease_seconds: float | None) -> tuple[Attempt, RunRow]:
        if row.run.attempts:
            self.outcomes.store()  # some of the attempt before may become a part of this one
        attempt = self.runs.lease(row.run, uuid.uuid4().hex, OWNER)
        attempt.created_at, attempt.lease_seconds = self.now, lease_seconds
        attempt.lease_expires = self._until(lease_seconds)
        self.outcomes.started(row.run, worker, attempt=attempt)
        self.outcomes.leased(attempt)
        note(self.session, lambda metrics: metrics.assigned("external"))
        return attempt, row

    # The attempts

    def _held(self, number: int, token: str) -> tuple[Run, Attempt] | Stale:
        run = self.outcomes.run(number)
        attempt = self._attempt(run)
        if attempt.token == token:
            return (run, attempt) if attempt.ended_at is None else Stale(run, attempt, attempt)
        earlier = self.runs.attempt_of(token)
        mine = earlier is not None and (earlier.study_id, earlier.run) == (run.study_id, run.number)
        return Stale(run, attempt, earlier if mine else None)

    def _attempt(self, run: Run) -> Attempt:
        """The run's latest one. Raises NotFound."""
        attempt = self.outcomes.attempt(run)
        if attempt is None:
            raise NotFound(f"run {run.number} was never claimed")
        return attempt

    def _is_lost(self, attempt: Held) -> bool:
        """Whether its lease has run out. A service that was away hears of nobody; so it listens for as long as a lease
        lasts before it gives anybody up."""
        if attempt.lease_expires is None or attempt.lease_seconds is None or attempt.lease_expires >= self.now:
            return False
        since = self.work.listening_since
        return since is None or since + timedelta(seconds=attempt.lease_seconds) < self.now

    def _is_stopped(self, run: Run) -> bool:
        """Whether a stopping rule has ended the run, and this attempt has come to where it did."""
        if run.stopped_by is None:
            return False
        last = self.outcomes.last_report(run)
        return last is not None and last.step >= run.stopped_by["step"]

    def _ended_early(self, run: Run) -> bool:
        """Whether an attempt that was told to stop did so, as far as its reports tell."""
        last = self.outcomes.last_report(run)
        if run.fidelity is None or last is None:
            return run.stopped_by is not None
        return last.step < run.fidelity

    def _keep_late(self, stale: Stale, said: Json) -> None:
        if stale.speaker is not None:
            stale.speaker.late = {**(stale.speaker.late or {}), **said, "at": self.now.isoformat()}

    def _heard(self, run: Run, attempt: Attempt, *, stop: bool = False) -> Heard:
        self._renew(attempt)
        answer: Answer = "continue"
        if stop or self._out_of_time:
            answer = "stop"
        elif self.study.state == StudyState.PAUSED:
            answer = "pause"
        return Heard(answer, attempt.lease_expires)

    def _renew(self, attempt: Attempt) -> None:
        self.outcomes.renewed(attempt, self._until(attempt.lease_seconds))

    def _until(self, lease_seconds: float | None) -> datetime | None:
        return None if lease_seconds is None else self.now + timedelta(seconds=lease_seconds)

    def _take_extra(self, attempt: Attempt, extra: Json) -> None:
        if provenance := extra.get("provenance"):
            attempt.provenance = {**provenance, **(attempt.provenance or {})}  # what the service knows stands
        if (cost := extra.get("cost")) is not None:
            attempt.cpu_seconds, attempt.gpu_seconds = cost.get("cpu_seconds"), cost.get("gpu_seconds")

    def _end(self) -> None:
        if self.tracked.history.open_count == 0 and self._out_of_time and self.study.state == StudyState.ACTIVE:
            self._finish_if_over(OUT_OF_TIME)

    # The end

    @property
    def _out_of_time(self) -> bool:
        limit = self.tracked.spec.budget.max_seconds
        return limit is not None and self.study.elapsed(self.now) >= limit

    def _finish_if_over(self, answer: Done) -> None:
        if self.study.state == StudyState.ACTIVE and not self.tracked.history.open_count:
            self.outcomes.conclude()  # who leads decides how it ends
            self.decisions.finish(answer)
