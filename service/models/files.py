"""What lies in the artifact store: datasets that people uploaded, and what runs left behind."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Counter, Json, utcnow


class Dataset(Base):
    """An uploaded dataset. `columns` is its inferred schema; `path` its place in the store."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(128))
    format: Mapped[str] = mapped_column(String(16))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(BigInteger)
    columns: Mapped[list[Json]] = mapped_column(JSON)
    target: Mapped[str | None] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Artifact(Base):
    """A file that a run left: a checkpoint, a log, a plot, or anything else that its worker uploaded."""

    __tablename__ = "artifacts"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "run"], ["runs.study_id", "runs.number"], ondelete="CASCADE"),
        UniqueConstraint("study_id", "run", "attempt", "name"),
        Index("ix_artifacts_study_id", "study_id", "id"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    study_id: Mapped[int]
    run: Mapped[int]
    attempt: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(128))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
