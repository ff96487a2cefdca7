"""Who may do what, and who did what: projects, tokens, the audit log, keys of repeated requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Counter, Json, utcnow

DEFAULT_PROJECT = "default"
DEFAULT_PROJECT_ID = 1
"""The project that always exists."""


class Project(Base):
    """Owns studies, datasets, webhooks and tokens. The limits are of what it may have at once; null is no limit."""

    __tablename__ = "projects"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy's own attribute); ids never come again

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    max_runs: Mapped[int | None]
    max_gpus: Mapped[float | None] = mapped_column(Float)
    max_studies: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Token(Base):
    """A secret that a caller shows, of which only the hash is kept. Without a project it is good for all of them.

    `handle` is the part of the secret that is no secret: it finds the row, the hash of the rest is then compared.
    """

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(128))
    handle: Mapped[str] = mapped_column(String(32), unique=True)
    hash: Mapped[str] = mapped_column(String(128))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Somebody changed something. Entries outlive what they speak of, so they refer to it by name."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_project_id", "project_id", "id"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    project_id: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(Text)
    detail: Mapped[Json]
    address: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class IdempotencyKey(Base):
    """What was answered to a request with this key: the same again is answered the same, and done only once.

    `fingerprint` is a hash of method, path and body, so that a key that is used for something else is noticed.
    """

    __tablename__ = "idempotency_keys"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    answer: Mapped[str] = mapped_column(Text)
    headers: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
