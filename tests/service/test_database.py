"""A database that goes away: it is always `DatabaseUnavailable`, and the next transaction is well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from service.database import Database, DatabaseUnavailable

IDLE = "SET LOCAL idle_in_transaction_session_timeout = '50ms'"
END = "SELECT pg_terminate_backend(:pid)"


@pytest.fixture
def database(new_database_url: Callable[[str], str]) -> Database:
    return Database(new_database_url("postgresql"))


@pytest.mark.parametrize("asked", [True, False], ids=["a query", "the commit"])
def test_a_session_that_the_server_ended_for_being_idle(database: Database, asked: bool) -> None:
    with pytest.raises(DatabaseUnavailable, match="idle-in-transaction"), database.session() as session:
        pid = session.scalar(sa.text("SELECT pg_backend_pid()"))
        session.execute(sa.text(IDLE))
        _wait_for_the_end(database, pid)
        if asked:
            session.execute(sa.text("SELECT 1"))
    _is_well(database)


def test_a_session_that_an_operator_ended(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable), database.session() as session:
        pid = session.scalar(sa.text("SELECT pg_backend_pid()"))
        with database.session() as other:
            other.execute(sa.text(END), {"pid": pid})
        session.execute(sa.text("SELECT 1"))
    _is_well(database)


def test_no_connection_is_free(database: Database) -> None:
    database.engine.dispose()
    database.engine = sa.create_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    database._sessions.configure(bind=database.engine)
    with database.session(), pytest.raises(DatabaseUnavailable, match="QueuePool"), database.session():
        pass
    _is_well(database)


def test_a_fault_of_a_statement_is_not_the_database_s(database: Database) -> None:
    with pytest.raises(sa.exc.ProgrammingError), database.session() as session:
        session.execute(sa.text("SELECT nothing"))


def _wait_for_the_end(database: Database, pid: int | None) -> None:
    alive = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    for _ in range(10_000):
        with database.session(write=False) as session:
            if not session.scalar(alive, {"pid": pid}):
                return
    raise AssertionError("the server ends it")


def _is_well(database: Database) -> None:
    with database.session() as session:
        assert session.scalar(sa.text("SELECT 1")) == 1
    database.dispose()
