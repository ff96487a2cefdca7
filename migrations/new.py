"""`python -m migrations.new "add a column"`: writes the next migration from what the models say."""

from __future__ import annotations

import sys

from alembic import command

from migrations.upgrade import config, revisions, upgrade
from service.database import Database


def main(message: str) -> None:
    database = Database("sqlite://")
    with database.engine.begin() as connection:
        upgrade(connection)
        command.revision(config(connection), message, autogenerate=True, rev_id=f"{len(revisions()) + 1:04d}")


if __name__ == "__main__":
    main(sys.argv[1])
