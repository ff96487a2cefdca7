"""The audit log: who changed what. Entries are only ever added."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import AuditEntry, Json


class AuditLog:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(
        self, *, project_id: int | None, actor: str, action: str, target: str, detail: Json, address: str | None
    ) -> None:
        self.session.add(
            AuditEntry(project_id=project_id, actor=actor, action=action, target=target, detail=detail, address=address)
        )

    def page(
        self,
        project_id: int | None,
        limit: int,
        after: int | None = None,
        *,
        actor: str | None = None,
        action: str | None = None,
    ) -> Sequence[AuditEntry]:
        """Newest first, of one project or of all; `after` is the id of the last entry of the page before."""
        query = sa.select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        if project_id is not None:
            query = query.where(AuditEntry.project_id == project_id)
        if actor is not None:
            query = query.where(AuditEntry.actor == actor)
        if action is not None:
            query = query.where(AuditEntry.action == action)
        if after is not None:
            query = query.where(AuditEntry.id < after)
        return self.session.scalars(query).all()
