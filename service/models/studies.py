"""Studies and all that belongs to them: trials, runs, attempts, reports, events."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Counter, Json, stored_before, utcnow


class Study(Base):
    """`spec` is the study as submitted, with defaults filled in; `owner` is the dispatcher that holds the lease.

    `counts` holds the number of runs by state, `trials` that of trials, and `fidelity` what all runs together were
    started for: they are kept with every change, so that nobody has to count a hundred thousand rows.
    `checks` is how many of the jobs before its first run have not ended.
    `sources` is what other studies found, for a warm start: much, and read only where the search needs it.
    `standing` is what the search says of the best run (see `service.repositories.standings`); null while there is none.
    """

    __tablename__ = "studies"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), default=1)
    name: Mapped[str] = mapped_column(String(128))
    priority: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    waiting: Mapped[str | None] = mapped_column(Text)
    spec: Mapped[Json]
    sources: Mapped[list[Json] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    standing: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    counts: Mapped[Json] = mapped_column(default=dict)
    trials: Mapped[int] = mapped_column(default=0)
    checks: Mapped[int] = mapped_column(default=0)
    fidelity: Mapped[float] = mapped_column(Float, default=0.0)
    last_event: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires: Mapped[datetime | None]
    active_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    active_since: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def count(self, state: str, change: int) -> None:
        """Keeps the number of runs in a state; states without any are not named."""
        counts = {**self.counts, state: self.counts.get(state, 0) + change}
        self.counts = {name: number for name, number in counts.items() if number}

    def bank(self, now: datetime, *, worked: bool) -> None:
        """Moves the time since `active_since` into `active_seconds`; it is lost if nobody `worked` on the study."""
        if self.active_since is not None:
            self.active_seconds += (now - self.active_since).total_seconds() if worked else 0.0
            self.active_since = now

    def elapsed(self, now: datetime) -> float:
        """Seconds that the study has been active; the time it was paused does not count."""
        return elapsed(self.active_seconds, self.active_since, now)


def elapsed(active_seconds: float, active_since: datetime | None, now: datetime) -> float:
    return active_seconds + ((now - active_since).total_seconds() if active_since else 0.0)


class Trial(Base):
    """One config. `invalidated` says why and by whom its results were taken out, with the event `invalidated_event`."""

    __tablename__ = "trials"
    __table_args__ = (
        Index(
            "ix_trials_invalidated",
            "study_id",
            "invalidated_event",
            sqlite_where=sql("invalidated_event IS NOT NULL"),
            postgresql_where=sql("invalidated_event IS NOT NULL"),
        ),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[Json]
    invalidated: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    invalidated_event: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Run(Base):
    """One training of a trial up to one fidelity.

    `attempts` counts the attempts so far; the current one has that number. `value` is the first metric and `violation`
    by how much constraints are broken, for ordering. `stopped_by` is what a stopping rule said when it ended the run.
    `details` are what a supernet's run has found.
    `added_event` and `ended_event` are the sequence numbers of the events that added and ended the run: with them the
    rows of one table are the study's whole history, in order. A pending run is not tried again before `not_before`.
    """

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "trial"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
        UniqueConstraint("study_id", "trial", "bracket", "rung", "replicate"),
        Index("ix_runs_study_state", "study_id", "state", "fidelity", "value"),
        Index("ix_runs_ended_event", "study_id", "ended_event"),
        Index("ix_runs_state_number", "study_id", "state", "number"),
        Index("ix_runs_state_trial", "study_id", "state", "trial"),
        Index("ix_runs_value", "study_id", "violation", "value", "trial"),
        Index(
            "ix_runs_checkpoint",
            "study_id",
            "state",
            "fidelity",
            sqlite_where=sql("checkpoint IS NOT NULL"),
            postgresql_where=sql("checkpoint IS NOT NULL"),
        ),
        Index(
            "ix_runs_resume_from",
            "study_id",
            "resume_from",
            sqlite_where=sql("resume_from IS NOT NULL"),
            postgresql_where=sql("resume_from IS NOT NULL"),
        ),
    )

    study_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    trial: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    bracket: Mapped[int]
    rung: Mapped[int]
    replicate: Mapped[int] = mapped_column(default=0)
    fidelity: Mapped[float | None] = mapped_column(Float)
    origin: Mapped[Json]
    resume_from: Mapped[int | None]
    metrics: Mapped[Json | None]
    value: Mapped[float | None] = mapped_column(Float)
    violation: Mapped[float] = mapped_column(Float, default=0.0)
    stopped_by: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    details: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    checkpoint: Mapped[str | None] = mapped_column(Text)
    failure_class: Mapped[str | None] = mapped_column(String(32))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_traceback: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    added_event: Mapped[int]
    ended_event: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    _trial = stored_before("Trial")


class Attempt(Base):
    """One execution of a run. `token` is the pool's key and fences off late words of lost workers.

    A worker that is not the pool's has it for `lease_seconds` (null: for as long as it likes), and until
    `lease_expires` unless it says something before. `checkpoint` is what it saved on the way, after `checkpoint_step`.
    `late` is what came in when the attempt had been given up already.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),
        Index(
            "ix_attempts_open",
            "study_id",
            "ended_at",  # always null, but without it SQLite would rather use the primary key, over all attempts
            "run",
            sqlite_where=sql("ended_at IS NULL"),
            postgresql_where=sql("ended_at IS NULL"),
        ),
        Index(
            "ix_attempts_lost",
            "study_id",
            "ended_at",
            sqlite_where=sql("state = 'lost'"),
            postgresql_where=sql("state = 'lost'"),
        ),
    )

    study_id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(128))
    worker: Mapped[str | None] = mapped_column(String(128))
    lease_seconds: Mapped[float | None] = mapped_column(Float)
    lease_expires: Mapped[datetime | None]
    checkpoint: Mapped[str | None] = mapped_column(Text)
    checkpoint_step: Mapped[float | None] = mapped_column(Float)
    message: Mapped[str | None] = mapped_column(Text)
    late: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    provenance: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    cpu_seconds: Mapped[float | None] = mapped_column(Float)
    gpu_seconds: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[datetime | None]
    _run = stored_before("Run")


class Report(Base):
    """The metrics of one step. `after_event` is the last event of the study before it: its place in the history."""

    __tablename__ = "reports"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),
        UniqueConstraint("study_id", "run", "attempt", "step"),
        Index("ix_reports_study_id", "study_id", "id"),
        Index("ix_reports_after_event", "study_id", "after_event"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    study_id: Mapped[int]
    run: Mapped[int]
    attempt: Mapped[int]
    step: Mapped[float] = mapped_column(Float)
    metrics: Mapped[Json]
    seconds: Mapped[float] = mapped_column(Float)
    after_event: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Event(Base):
    """One transition, numbered per study without gaps."""

    __tablename__ = "events"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    run: Mapped[int | None]
    trial: Mapped[int | None]
    data: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Incumbent(Base):
    """A run that took the lead, at the end of a run (its own, or that of a replicate): the event `event`."""

    __tablename__ = "incumbents"
    __table_args__ = (ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),)

    study_id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int]
    event: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    _run = stored_before("Run")


class Evaluation(Base):
    """The one evaluation of the study's best run on the test split."""

    __tablename__ = "evaluations"
    __table_args__ = (ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),)

    study_id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int]
    trial: Mapped[int]
    metrics: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Enqueued(Base):
    """A config that somebody wants tried; the run whose origin names its number is the one that does."""

    __tablename__ = "enqueued"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[Json]
    event: Mapped[int]
    author: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Note(Base):
    """What somebody wrote about a study, or about one of its trials."""

    __tablename__ = "notes"
    __table_args__ = (Index("ix_notes_study_id", "study_id", "trial"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    trial: Mapped[int | None]
    author: Mapped[str] = mapped_column(String(128))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
