"""Inserts that leave rows be which are there already, in the words of each database."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy.orm import Session

from service.models import Base
from service.models.base import table_of


def insert_or_ignore(session: Session, table: type[Base]) -> Any:
    return _insert_or_ignore(session.get_bind().dialect.name, table)


@cache
def _insert_or_ignore(dialect: str, table: type[Base]) -> Any:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table_of(table)).on_conflict_do_nothing()
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table_of(table)).on_conflict_do_nothing()
