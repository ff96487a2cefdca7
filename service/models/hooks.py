"""Webhooks, and what is to be sent to them: deliveries are stored with the event that they speak of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Counter, Json, utcnow


class Webhook(Base):
    """Where a project wants to be told of events: of all its studies, or of the one named.

    `failing_since` is when the first delivery failed that no success followed; what fails for too long is turned off.
    """

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    study: Mapped[str | None] = mapped_column(String(128))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(128))
    events: Mapped[list[str]] = mapped_column(JSON)
    active: Mapped[bool] = mapped_column(default=True)
    failing_since: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Delivery(Base):
    """One event for one webhook. `state` is pending, sending, delivered or failed.

    `due_at` is when it is tried (again); while it is being sent, when another process may take it for lost.
    """

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_state", "state", "due_at"), Index("ix_deliveries_webhook_id", "webhook_id"))

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    study: Mapped[str] = mapped_column(String(128))
    seq: Mapped[int]
    event: Mapped[str] = mapped_column(String(32))
    payload: Mapped[Json]
    state: Mapped[str] = mapped_column(String(16), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=utcnow)
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    delivered_at: Mapped[datetime | None]
