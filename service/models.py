"""The tables. Rows are addressed by the words that users see: a run is (study, number), a trial too.

The composite keys are what makes a double suggestion impossible: two dispatchers that both decide on run 17 collide.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def utcnow() -> datetime:
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always with its zone: SQLite forgets the offset, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        assert value is None or value.tzinfo is not None, "a time without a zone"
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC) if value else None


Json = dict[str, Any]
# SQLite only counts up by itself on a column declared INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, Json: JSON}  # noqa: RUF012 (SQLAlchemy's own attribute)


class Study(Base):
    """`spec` is the study as submitted, with defaults filled in; `owner` is the dispatcher that holds the lease.

    `sources` is what other studies found, for a warm start: much, and read only where the search needs it.
    `standing` is what the search says of the best run (see `service.repositories.standings`); null while there is none.
    """

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    waiting: Mapped[str | None] = mapped_column(Text)
    spec: Mapped[Json]
    sources: Mapped[list[Json] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    standing: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    last_event: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires: Mapped[datetime | None]
    active_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    active_since: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def bank(self, now: datetime, *, worked: bool) -> None:
        """Moves the time since `active_since` into `active_seconds`; it is lost if nobody `worked` on the study."""
        if self.active_since is not None:
            self.active_seconds += (now - self.active_since).total_seconds() if worked else 0.0
            self.active_since = now

    def elapsed(self, now: datetime) -> float:
        """Seconds that the study has been active; the time it was paused does not count."""
        return self.active_seconds + ((now - self.active_since).total_seconds() if self.active_since else 0.0)


class Trial(Base):
    __tablename__ = "trials"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Run(Base):
    """One training of a trial up to one fidelity.

    `attempts` counts the attempts so far; the current one has that number. `value` is the first metric and `violation`
    by how much constraints are broken, for ordering. `stopped_by` is what a stopping rule said when it ended the run.
    `added_event` and `ended_event` are the sequence numbers of the events that added and ended the run: with them the
    rows of one table are the study's whole history, in order.
    """

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "trial"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
        UniqueConstraint("study_id", "trial", "bracket", "rung", "replicate"),
        Index("ix_runs_study_state", "study_id", "state", "fidelity", "value"),
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
    checkpoint: Mapped[str | None] = mapped_column(Text)
    failure_class: Mapped[str | None] = mapped_column(String(32))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_traceback: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    added_event: Mapped[int]
    ended_event: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Attempt(Base):
    """One execution of a run. `token` is the pool's key and fences off late words of lost workers."""

    __tablename__ = "attempts"
    __table_args__ = (ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),)

    study_id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(128))
    worker: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[datetime | None]


class Report(Base):
    """The metrics of one step. `after_event` is the last event of the study before it: its place in the history."""

    __tablename__ = "reports"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),
        UniqueConstraint("study_id", "run", "attempt", "step"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    study_id: Mapped[int] = mapped_column(index=True)
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


class Evaluation(Base):
    """The one evaluation of the study's best run on the test split."""

    __tablename__ = "evaluations"
    __table_args__ = (ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),)

    study_id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int]
    trial: Mapped[int]
    metrics: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
