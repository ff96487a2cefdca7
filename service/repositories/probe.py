"""Is this database fit for work? Asked by `assay doctor`; nothing stays changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

import sqlalchemy as sa

from service.database import Database, DatabaseError, DatabaseUnavailable

ROUNDS = 5


class Probe:
    """All methods raise DatabaseError with what is wrong."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._embedded = database.embedded

    def latency(self) -> float:
        """Seconds for a question and its answer, on an open connection."""
        times = []
        with self._connected() as connection:
            for _ in range(ROUNDS):
                began = time.perf_counter()
                connection.execute(sa.select(1))
                times.append(time.perf_counter() - began)
        return median(times)

    def version(self) -> str:
        with self._connected() as connection:
            version = connection.dialect.server_version_info
            return ".".join(map(str, version or ()))

    def write(self) -> None:
        """Makes a table and takes it back."""
        with self._connected() as connection:
            table = sa.Table("assay_doctor", sa.MetaData(), sa.Column("n", sa.Integer))
            table.create(connection)
            connection.execute(sa.insert(table).values(n=1))
            connection.rollback()

    def skew(self) -> float:
        """By how many seconds its clock is ahead of ours; its own is ours where it is embedded."""
        if self._embedded:
            return 0.0
        with self._connected() as connection:
            before = datetime.now(UTC)
            theirs: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            after = datetime.now(UTC)
        return (theirs - (before + (after - before) / 2)).total_seconds()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise DatabaseUnavailable(str(error.orig).strip()) from error
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise DatabaseError(str(cause).strip()) from error
