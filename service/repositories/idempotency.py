"""Keys of requests that may come twice, with what was answered."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import IdempotencyKey, Json
from service.repositories.inserts import insert_or_ignore

UNANSWERED = 0
"""The status of a key whose request is being answered, in the transaction that does."""


class IdempotencyKeys:
    def __init__(self, session: Session) -> None:
        self.session = session

    def find(self, project_id: int, key: str, since: datetime) -> IdempotencyKey | None:
        """The key, if it was used after `since`."""
        query = self._key(project_id, key).where(IdempotencyKey.created_at > since)
        return self.session.scalar(query.execution_options(populate_existing=True))

    def claim(self, project_id: int, key: str, fingerprint: str, now: datetime, since: datetime) -> bool:
        """Whether the key is this request's now; not if another had it after `since`, or is just being answered: then
        this waits until that has been stored, or was not."""
        expired = sa.delete(IdempotencyKey).where(
            IdempotencyKey.project_id == project_id, IdempotencyKey.key == key, IdempotencyKey.created_at <= since
        )
        self.session.execute(expired)
        row = {
            "project_id": project_id,
            "key": key,
            "fingerprint": fingerprint,
            "status": UNANSWERED,
            "answer": "",
            "headers": {},
            "created_at": now,
        }
        inserted = insert_or_ignore(self.session, IdempotencyKey).values(**row).returning(IdempotencyKey.key)
        return self.session.scalar(inserted) is not None

    def answer(self, project_id: int, key: str, status: int, answer: str, headers: Json) -> None:
        """Keeps what was answered, for a key that was claimed in the same transaction."""
        self.session.execute(
            sa.update(IdempotencyKey)
            .where(IdempotencyKey.project_id == project_id, IdempotencyKey.key == key)
            .values(status=status, answer=answer, headers=headers)
        )

    def sweep(self, before: datetime, most: int) -> None:
        """Removes up to `most` keys that were used before, except those that others are at just now."""
        old = (
            sa.select(IdempotencyKey.project_id, IdempotencyKey.key)
            .where(IdempotencyKey.created_at < before)
            .order_by(IdempotencyKey.created_at)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        for project_id, key in self.session.execute(old).all():
            self.session.execute(
                sa.delete(IdempotencyKey).where(IdempotencyKey.project_id == project_id, IdempotencyKey.key == key)
            )

    @staticmethod
    def _key(project_id: int, key: str) -> sa.Select[IdempotencyKey]:
        return sa.select(IdempotencyKey).where(IdempotencyKey.project_id == project_id, IdempotencyKey.key == key)
