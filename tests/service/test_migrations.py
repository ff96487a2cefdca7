"""Databases of earlier revisions are brought up to date with all that is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from migrations.upgrade import head, revisions, upgrade
from service.database import Database
from service.models import DEFAULT_PROJECT, DEFAULT_PROJECT_ID, Project, utcnow
from service.repositories.jobs import Jobs
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.repositories.studies import Studies

REVISIONS = ("0001", "0002", "0003", "0004")
"""All released ones but the last."""

SPEC = {"metrics": [{"name": "accuracy", "direction": "maximize"}]}
RESULTS = [(0, 1, 0.5), (1, 1, 0.9), (2, 1, 0.7), (1, 3, 0.6), (0, 3, 0.8)]
"""Trial, fidelity and accuracy of the runs, in the order in which they ended."""


def fill(connection: sa.Connection) -> None:
    """A study as revision 0001 stored it."""
    tables = sa.MetaData()
    tables.reflect(connection)

    def add(table: str, **row: Any) -> None:
        connection.execute(sa.insert(tables.tables[table]).values(**row))

    now = utcnow()
    later = {"checks": 0} if "checks" in tables.tables["studies"].c else {}
    columns = {"name": "old", "state": "completed", "spec": SPEC, "last_event": 11, "active_seconds": 1.0}
    add("studies", id=1, **columns, **later, created_at=now)
    for trial in range(3):
        add("trials", study_id=1, number=trial, config={"x": trial}, created_at=now)
    for number, (trial, fidelity, value) in enumerate(RESULTS):
        run = {"study_id": 1, "number": number, "trial": trial, "bracket": 0, "rung": fidelity, "fidelity": fidelity}
        ended = {"state": "succeeded", "value": value, "ended_event": 2 * number + 2, "finished_at": now}
        rest = {"kind": "train", "origin": {}, "attempts": 1, "added_event": 2 * number + 1, "created_at": now}
        add("runs", **run, **ended, **rest, metrics={"accuracy": value, "loss": 1.0})
        add(
            "attempts", study_id=1, run=number, number=1, token=f"t{number}", state="succeeded", owner="o",
            created_at=now,
        )  # fmt: skip
        add("reports", study_id=1, run=number, attempt=1, step=1.0, metrics={}, seconds=0.5, created_at=now)
    add("evaluations", study_id=1, run=4, trial=0, metrics={"accuracy": 0.75}, created_at=now)


def lead(connection: sa.Connection) -> None:
    """Who leads that study, as revisions from 0002 on store it; 0001 left it to be found out."""
    tables = sa.MetaData()
    tables.reflect(connection)
    now = utcnow()
    for place, run in enumerate((0, 1, 3, 4)):
        row = {"study_id": 1, "place": place, "run": run, "event": 2 * run + 2, "created_at": now}
        connection.execute(sa.insert(tables.tables["incumbents"]).values(**row))
    standing = {"run": 4, "metrics": {"accuracy": 0.8}, "results": 1, "confirmed": True, "feasible": True}
    connection.execute(sa.update(tables.tables["studies"]).values(standing={**standing, "schedule": []}))


def count(connection: sa.Connection) -> None:
    """What that study's runs come to, which revisions from 0003 on keep with it."""
    tables = sa.MetaData()
    tables.reflect(connection)
    sums = {"counts": {"succeeded": len(RESULTS)}, "trials": 3, "fidelity": sum(each for _, each, _ in RESULTS)}
    connection.execute(sa.update(tables.tables["studies"]).values(**sums))


def test_every_revision_is_upgraded_from() -> None:
    assert [*REVISIONS, head()] == sorted(revisions()), "a revision that is released needs its line in REVISIONS"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_study_of_an_earlier_revision_is_all_there(
    kind: str, revision: str, new_empty_database_url: Callable[[str], str]
) -> None:
    database = Database(new_empty_database_url(kind))
    with database.engine.begin() as connection:
        upgrade(connection, revision)
        fill(connection)
        if revision > "0001":
            lead(connection)
        if revision > "0002":
            count(connection)
    database.migrate()

    database.ping()
    with database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("old")
        leader = Standings(session).leader(study)
        assert leader
        assert (leader.row.run.number, leader.metrics) == (4, {"accuracy": 0.8, "loss": 1.0})
        assert leader.standing.confirmed
        assert Standings(session).numbers(1) == [0, 1, 3, 4]
        assert len(Runs(session).page(1, 10_000)) == len(RESULTS)
        assert len(Reports(session).after(1, 0)) == len(RESULTS)
        assert Runs(session).attempt(leader.row.run).token == "t4"
        assert Runs(session).evaluation(1)
        assert study.counts == {"succeeded": len(RESULTS)}
        assert (study.trials, study.fidelity) == (3, sum(fidelity for _, fidelity, _ in RESULTS))
        assert (study.priority, study.checks) == (0, 0)
        assert Jobs(session).of(1) == []
        assert session.get_one(Project, DEFAULT_PROJECT_ID).name == DEFAULT_PROJECT
    database.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_foreign_keys_hold_again_after_a_migration(kind: str, new_empty_database_url: Callable[[str], str]) -> None:
    database = Database(new_empty_database_url(kind))
    database.migrate()
    orphan = "INSERT INTO trials (study_id, number, config, created_at) VALUES (7, 0, '{}', '2026-01-01')"
    for _ in range(2):  # whichever connection of the pool
        with pytest.raises(sa.exc.IntegrityError), database.engine.begin() as connection:
            connection.exec_driver_sql(orphan)
    database.dispose()
