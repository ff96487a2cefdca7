"""What all tables share: how times and JSON are stored, and how constraints are named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, Table, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, relationship


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


def stored_before(owner: str) -> Mapped[Any]:
    """Says only that the rows of `owner` go into the database before those that refer to them, whatever the order in
    which both were added to a session: so one flush does for all. It is not to be read, nor set."""
    return relationship(owner, lazy="raise", cascade="")


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


def table_of(entity: type[Base]) -> Table:
    """For statements that are about rows, not objects: what is done all the time takes a third of the time that way."""
    table = entity.__table__
    assert isinstance(table, Table)
    return table
