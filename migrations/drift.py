"""`python -m migrations.drift`: fails when the models say something that the migrations do not."""

from __future__ import annotations

import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from migrations.upgrade import upgrade
from service.database import Database
from service.models import Base


def differences(connection: Connection) -> list[object]:
    """What autogenerate would add to a database that all migrations have been run on."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def main() -> int:
    database = Database("sqlite://")
    with database.engine.begin() as connection:
        upgrade(connection)
        found = differences(connection)
    for difference in found:
        sys.stderr.write(f"missing migration: {difference}\n")
    sys.stderr.write(
        "migrations and models agree\n" if not found else "write one: python -m migrations.new 'what changes'\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
