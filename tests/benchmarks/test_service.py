"""What the benchmarks of the service measure with: the large study, the client, the counting afterwards."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from benchmarks.service.cycle import STUDY, Setting, check, measure
from benchmarks.service.fill import FAILED, PENDING, RUNNING, large_study
from benchmarks.service.http import Connection
from benchmarks.service.large import rows
from benchmarks.service.large import summary as large_summary
from benchmarks.service.load import Load, summary
from benchmarks.service.many import local
from benchmarks.service.many import measure as measure_many
from benchmarks.service.peers import PEERS
from benchmarks.service.peers.rows import settings
from benchmarks.service.servers import apis, databases
from benchmarks.service.studies import EXTERNAL
from search import incumbents, standing
from search.history import RunState
from service.models import Event, Run, Study
from service.repositories.standings import Standings
from service.tracking import tracked

TRIALS = 300


def test_a_large_study_is_what_workers_would_have_left(sqlite_database):
    large_study(sqlite_database, "large", TRIALS)
    with sqlite_database.session(write=False) as session:
        study = session.scalars(sa.select(Study)).one()
        by_state = sa.select(Run.state, sa.func.count()).group_by(Run.state)
        assert {row[0]: row[1] for row in session.execute(by_state)} == study.counts
        assert study.counts["pending"] == PENDING
        assert study.counts["running"] == RUNNING
        assert 0 < study.counts["failed"] < 3 * FAILED * TRIALS
        assert session.scalars(sa.select(Event.seq).order_by(Event.seq)).all() == list(range(1, study.last_event + 1))
        found = tracked(session, study)
        leader = standing(found.spec, found.history)
        assert len(found.history.runs) == study.trials == TRIALS
        assert leader is not None
        assert leader.run == study.standing["run"]
        assert list(Standings(session).numbers(study.id)) == incumbents(found.spec, found.history)


def test_nothing_is_open_for_workers_to_be_given_back(sqlite_database):
    from service.app import create_app  # noqa: F401 (the objective is known only with the whole service)

    large_study(sqlite_database, "large", 50, EXTERNAL)
    with sqlite_database.session(write=False) as session:
        counts = session.scalars(sa.select(Study)).one().counts
    assert set(counts) <= {RunState.SUCCEEDED, RunState.FAILED}


def test_what_is_wrong_is_found(sqlite_database):
    large_study(sqlite_database, STUDY, 1000, EXTERNAL)
    assert check(sqlite_database, Load()) == []
    twice = check(sqlite_database, Load(runs=[1000, 1000], cycles=[0.1, 0.1]))
    assert twice[0] == "run 1000 was given to workers 2 times"
    assert "runs that succeeded: 0, not 2" in twice
    with sqlite_database.session() as session:
        session.execute(sa.delete(Event).where(Event.seq == 7))
    assert any("without a gap" in line for line in check(sqlite_database, Load()))


def test_a_summary_counts_what_workers_got_twice():
    load = Load(
        cycles=[0.002] * 9 + [0.02],
        calls={"claim": [0.001, 0.003]},
        seconds=2.0,
        client_cpu=0.5,
        errors=["one"],
        runs=[1, 2, 2],
        configs=["a", "a", "b"],
    )
    found = summary(load)
    assert found["median_ms"] == pytest.approx(2)
    assert found["per_second"] == 5
    assert found["client_cpu"] == 0.25
    assert found["calls_ms"] == {"claim": pytest.approx(2)}
    assert (found["errors"], found["twice"], found["same_config"]) == (1, 1, 1)
    assert large_summary([1.0, 2.0, 3.0])["median"] == 2


def test_peers_have_a_row_per_database_and_one_for_many_workers():
    found = list(settings())
    assert {peer for _, peer, *_ in found} == set(PEERS)
    assert len({row for row, *_ in found}) == len(found)
    assert [workers for *_, workers, _ in found].count(32) == len(PEERS)


@pytest.mark.slow
def test_a_real_service_answers_every_question_of_the_large_study():
    async def ask(port: int) -> None:
        connection = Connection(port)
        for row in rows(TRIALS).values():
            if row.mark:
                assert row.mark in await connection.first(row.path, row.mark)
            else:
                answer = await connection.get(row.path)
                assert answer.status == 200, (row.path, answer.body)
        connection.close()

    with databases() as made:
        url = made.new("sqlite")
        from service.database import Database

        database = Database(url)
        large_study(database, "large", TRIALS)
        database.dispose()
        with apis(url) as (api,):
            asyncio.run(ask(api.port))
            assert api.megabytes > 20


@pytest.mark.slow
def test_workers_of_two_processes_lose_nothing():
    with databases() as made:
        found = measure(Setting("postgresql", 4, 2, 24, 1), made)
    assert (found["errors"], found["twice"], found["wrong"]) == (0, 0, [])
    assert found["cycles"] == 24


@pytest.mark.slow
def test_no_study_starves():
    found = measure_many(local, 6, 60)
    assert found.runs >= 60
    assert found.starved == 0
    assert found.error <= 3 * found.one_run
