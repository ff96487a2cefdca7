"""The database: one engine, short transactions, the same code on SQLite (embedded) and PostgreSQL (production).

SQLite runs in WAL mode, so readers never block the writer; every transaction that writes takes the write lock when it
begins (`BEGIN IMMEDIATE`), because a read lock that is upgraded later fails at once when another writer was faster.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session as Session
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from service.observability.notes import TELEMETRY, tell
from service.observability.telemetry import Telemetry

BUSY_SECONDS = 30
IDLE_SECONDS = 1.0
LAST_USED = "assay_last_used"
MIGRATION_LOCK = 0x61737361  # any number that no other program takes for an advisory lock


class DatabaseError(RuntimeError):
    """The database cannot be used as it is; the message says what to do."""


class DatabaseTooNew(DatabaseError):
    """A later version of Assay has migrated the database; nothing may be changed in it."""


class DatabaseUnavailable(DatabaseError):
    """The database did not answer; the same transaction may succeed later."""


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


class Database:
    """Hands out sessions: one session is one transaction, committed at the end of the block, rolled back on error.

    `telemetry` is told what is done: what a transaction has noted (`service.observability.notes`), after its commit.
    """

    def __init__(self, url: str, telemetry: Telemetry | None = None) -> None:
        self.telemetry = telemetry or Telemetry()
        self.url = parse_url(url)
        self.embedded = self.url.get_backend_name() == "sqlite"
        if self.embedded:
            self.engine = sa.create_engine(self.url, connect_args={"timeout": BUSY_SECONDS})
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            # Last in, first out: those that nobody needs are left alone, and those that are in use are not asked.
            self.engine = sa.create_engine(self.url, pool_size=10, max_overflow=20, pool_use_lifo=True)
            _ask_the_idle(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, info={TELEMETRY: self.telemetry})
        event.listen(self._sessions, "before_commit", _store_events)

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[Session]:
        """One transaction. `write=False` promises to only read: it sees one state, and never waits for a writer.

        Raises DatabaseUnavailable when the connection breaks or no lock can be had; then nothing was stored.
        """
        try:
            with self._sessions() as session, session.begin():
                session.connection(execution_options=self._options(write))
                yield session
            tell(session)
        except sa.exc.TimeoutError as error:  # all connections are in use, and have been for long
            raise DatabaseUnavailable(f"the database does not answer: {error}") from error
        except sa.exc.DBAPIError as error:
            # Sessions that a server ends because they were idle are an error of another class, but as gone as others.
            if error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
                raise DatabaseUnavailable(f"the database does not answer: {error.orig}") from error
            raise

    def _options(self, write: bool) -> dict[str, Any]:
        if self.embedded:  # where every transaction is a snapshot
            return {"assay_write": write}
        return {} if write else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def ping(self) -> None:
        """Raises DatabaseError when the database does not answer or its schema is not the code's."""
        try:
            current, head = self.revision(), _head()
        except sa.exc.SQLAlchemyError as error:
            raise DatabaseUnavailable(f"the database does not answer: {error.__class__.__name__}") from error
        if current != head:
            _refuse_later(current)
            raise DatabaseError(f"the schema is at revision {current or 'none'}, the code needs {head}: migrate first")

    def revision(self) -> str | None:
        """The revision of the schema that the database has; None before the first migration."""
        with self.engine.connect() as connection:
            return _revision(connection)

    def migrate(self) -> None:
        """Brings the schema to the code's revision. Safe to call at every start, by many processes at once.

        Raises DatabaseError when that cannot be done.
        """
        from migrations.upgrade import upgrade

        try:
            with self._without_foreign_keys() as connection, connection.begin():
                if not self.embedded:  # where BEGIN IMMEDIATE has not let one in alone already
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                _refuse_later(_revision(connection))
                upgrade(connection)
                if self.embedded and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                    raise DatabaseError(f"the database cannot be migrated: it has rows without their owners ({broken})")
        except sa.exc.SQLAlchemyError as error:
            raise DatabaseError(f"the database cannot be migrated: {error}") from error

    @contextmanager
    def _without_foreign_keys(self) -> Iterator[sa.Connection]:
        """SQLite alters a table by building it anew; with foreign keys on, dropping the old one would delete every row
        that refers to it."""
        with self.engine.connect() as connection:
            if not self.embedded:
                yield connection
                return
            driver = connection.connection.cursor()  # the setting is ignored within a transaction
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                yield connection
            finally:
                driver.execute("PRAGMA foreign_keys=ON")
                driver.close()

    def dispose(self) -> None:
        self.engine.dispose()


def parse_url(url: str) -> sa.URL:
    """The address with its driver. Raises DatabaseError that does not quote it: it may hold a password."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise DatabaseError("this is not a database URL; try postgresql://user:password@host/name") from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise DatabaseError(f"{parsed.get_backend_name()} is not supported; use sqlite or postgresql")
    return parsed


def _revision(connection: sa.Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _refuse_later(revision: str | None) -> None:
    """Raises DatabaseTooNew for a revision that this version does not know."""
    from migrations.upgrade import revisions

    if revision is not None and revision not in revisions():
        raise DatabaseTooNew(
            f"a later version of Assay has migrated the database (to revision {revision}, this one knows up to "
            f"{_head()}): upgrade this one too, or restore the backup from before"
        )


def _head() -> str:
    from migrations.upgrade import head

    return head()


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling begins too late and in the wrong mode: SQLAlchemy's events do it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    _enter_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _ask_the_idle(engine: sa.Engine) -> None:
    """A connection that lay idle is asked for a sign of life before it is used, for its server may have gone.

    One that was used a moment ago is not: that would be another round trip in every transaction.
    """

    def used(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[LAST_USED] = time.monotonic()

    def alive(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get(LAST_USED, inf) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error

    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", alive)


def _enter_wal(cursor: sqlite3.Cursor) -> None:
    """The change of a new database to WAL needs it alone, and does not wait for others as everything else does."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("assay_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _store_events(session: Session) -> None:
    from service.repositories.events import store_events  # which need sessions themselves

    store_events(session)
