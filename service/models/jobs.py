"""What is done for a study beside its runs (`workers.jobs`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Json, utcnow


class Job(Base):
    """`finalization` is the number of the finalization that it is a part of; 0 are the checks before the first run.

    `config`, `fidelity` and `seed` are those of the training that it makes; `trial` is the one that the config is of.
    `options` are the worker's; `runs` are those whose checkpoints it reads. While it is `running`, `owner` holds its
    lease, and `key` is the pool's.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state", "state", "study_id"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    finalization: Mapped[int] = mapped_column(default=0)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    trial: Mapped[int | None]
    config: Mapped[Json]
    fidelity: Mapped[float | None] = mapped_column(Float)
    seed: Mapped[int]
    options: Mapped[Json] = mapped_column(default=dict)
    runs: Mapped[list[int]] = mapped_column(JSON, default=list)
    key: Mapped[str | None] = mapped_column(String(32))
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    metrics: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    details: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    failure: Mapped[Json | None] = mapped_column(JSON(none_as_null=True))
    model: Mapped[str | None] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
