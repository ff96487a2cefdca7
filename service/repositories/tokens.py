"""Tokens: who may ask. A revoked one stays in the list, until its project is deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Project, Token
from service.repositories.errors import NotFound


class Tokens:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(
        self,
        *,
        project_id: int | None,
        name: str,
        handle: str,
        hash_: str,
        scopes: Collection[str],
        created_by: str,
        expires_at: datetime | None,
    ) -> Token:
        """`project_id` is None for a token that is good for all projects."""
        token = Token(
            project_id=project_id,
            name=name,
            handle=handle,
            hash=hash_,
            scopes=sorted(scopes),
            created_by=created_by,
            expires_at=expires_at,
        )
        self.session.add(token)
        self.session.flush()
        return token

    def by_handle(self, handle: str) -> tuple[Token, str | None] | None:
        """The token with the name of its project, if it has one."""
        query = sa.select(Token, Project.name).outerjoin(Project, Project.id == Token.project_id)
        row = self.session.execute(query.where(Token.handle == handle)).first()
        return (row[0], row[1]) if row else None

    def get(self, token_id: int, project_id: int | None) -> Token:
        """One of this project's tokens, or of all when it is None. Raises NotFound."""
        token = self.session.scalar(self._of(project_id).where(Token.id == token_id).with_for_update())
        if token is None:
            raise NotFound(f"there is no token with the id {token_id}")
        return token

    def page(self, project_id: int | None, limit: int, after: int | None = None) -> Sequence[Token]:
        """Newest first; `after` is the id of the last token of the page before."""
        query = self._of(project_id).order_by(Token.id.desc()).limit(limit)
        return self.session.scalars(query if after is None else query.where(Token.id < after)).all()

    def any_admin(self, now: datetime) -> bool:
        """Whether there is a token with which all others can be made."""
        query = sa.select(Token.scopes).where(
            Token.project_id.is_(None),
            Token.revoked_at.is_(None),
            Token.expires_at.is_(None) | (Token.expires_at > now),
        )
        return any("admin" in scopes for scopes in self.session.scalars(query))

    def touch(self, token_id: int, now: datetime, unless_after: datetime) -> None:
        """Notes that the token was used, unless that was noted after `unless_after`."""
        stale = Token.used_at.is_(None) | (Token.used_at <= unless_after)
        self.session.execute(sa.update(Token).where(Token.id == token_id, stale).values(used_at=now))

    def _of(self, project_id: int | None) -> sa.Select[Token]:
        query = sa.select(Token)
        return query if project_id is None else query.where(Token.project_id == project_id)
