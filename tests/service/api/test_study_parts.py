"""What a study may leave out, add, and take from others; and that what is stored of it is complete."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pkgutil import resolve_name
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from search import ALGORITHMS, History, Run, ask
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Study
from service.repositories.studies import Studies
from service.specs import search_spec

FIDELITY = {"name": "epochs", "low": 1, "high": 9}
LINEAR = {"name": "x0", "type": "float", "low": 0.001, "high": 10}
PLAIN = {"name": "x1", "type": "float", "low": 0, "high": 15}


@pytest.fixture
def submit(api: httpx.Client, study_payload: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Submits the usual study with changes; None leaves a field out. Answers what `GET` says of it."""

    def post(name: str = "s", **changes: Any) -> dict[str, Any]:
        given = {**study_payload, "name": name, **changes}
        answer = api.post("studies", json={key: value for key, value in given.items() if value is not None})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = api.get(f"studies/{name}").json()
        assert found == {**answer.json(), "spent": found["spent"]}
        return found

    return post


def test_without_an_algorithm_auto_chooses_and_says_why(submit: Callable[..., dict[str, Any]]) -> None:
    chosen = submit(algorithm=None)["algorithm"]

    assert chosen["name"] in ALGORITHMS
    assert chosen["chosen_because"]
    assert set(chosen) == {"name", "chosen_because", *(option.name for option in ALGORITHMS[chosen["name"]].options)}
    assert submit("t", algorithm={"name": "auto"})["algorithm"] == chosen


def test_auto_keeps_a_stopping_rule(submit: Callable[..., dict[str, Any]]) -> None:
    algorithm = submit(algorithm={"name": "auto", "stop": {"rule": "median", "grace": 2}})["algorithm"]

    assert algorithm["stop"] == {"rule": "median", "trials": 5, "grace": 2}
    assert algorithm["chosen_because"]


def test_what_was_left_out_is_stored(submit: Callable[..., dict[str, Any]]) -> None:
    study = submit(
        metrics=[{"name": "loss", "direction": "minimize"}, {"name": "loss", "at_least": -1, "at_most": 5}],
        algorithm={"name": "random", "stop": {"rule": "patience"}},
        replicates={"top": 2},
    )

    assert study["metrics"][1] == {"name": "loss", "direction": "minimize", "at_least": -1, "at_most": 5}
    assert study["algorithm"] == {"name": "random", "stop": {"rule": "patience", "reports": 10, "delta": 0, "grace": 0}}
    assert study["replicates"] == {"max": 3, "top": 2}
    assert study["warm_start"] == []


def test_an_answer_can_be_submitted_again(api: httpx.Client, submit: Callable[..., dict[str, Any]]) -> None:
    first = submit(algorithm={"name": "auto", "stop": {"rule": "patience"}}, replicates={})
    declared = (
        "space",
        "objective",
        "metrics",
        "algorithm",
        "budget",
        "replicates",
        "parallelism",
        "resources",
        "seed",
    )

    again = submit("t", **{key: first[key] for key in declared})

    assert {key: again[key] for key in declared} == {key: first[key] for key in declared}


def test_a_stored_study_is_read_as_it_was_meant(
    sqlite_database: Database, submit: Callable[..., dict[str, Any]]
) -> None:
    submit(algorithm=None, replicates={}, metrics=[{"name": "loss", "direction": "minimize"}])

    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        spec, stored = search_spec(study), study.spec
    assert spec.algorithm.to_json() == stored["algorithm"]
    assert [metric.to_json() for metric in spec.metrics] == stored["metrics"]


def test_a_study_of_the_first_version_is_still_read(
    api: httpx.Client, sqlite_database: Database, submit: Callable[..., dict[str, Any]]
) -> None:
    submit()
    keys = ("space", "objective", "metrics", "algorithm", "budget", "parallelism", "resources", "seed")
    with sqlite_database.session() as session:
        spec = Studies(session, DEFAULT_PROJECT_ID).get("s").spec
        session.execute(sa.update(Study).values(spec={key: spec[key] for key in keys}))

    study = api.get("studies/s").json()

    assert (study["advice"], study["warm_start"], study["replicates"]) == ([], [], None)
    with sqlite_database.session(write=False) as session:
        assert search_spec(Studies(session, DEFAULT_PROJECT_ID).get("s")).algorithm.name == "random"


# --- advice


def test_what_is_hardly_meant_is_told(submit: Callable[..., dict[str, Any]]) -> None:
    short = {"name": "epochs", "low": 8, "high": 9}
    study = submit(space={"parameters": [LINEAR, PLAIN], "fidelity": short}, algorithm={"name": "hyperband"})

    places = [(advice["path"], advice["pointer"]) for advice in study["advice"]]
    assert places == [("space.parameters[0].log", "/space/parameters/0/log"), ("space.fidelity", "/space/fidelity")]
    assert "linear over 4.0 decades" in study["advice"][0]["message"]


def test_a_sound_study_gets_no_advice(submit: Callable[..., dict[str, Any]]) -> None:
    assert submit()["advice"] == []


# --- warm start


def test_a_study_starts_from_what_another_one_found(
    api: httpx.Client, sqlite_database: Database, finished: str, submit: Callable[..., dict[str, Any]]
) -> None:
    fewer = {"parameters": [{"name": "x0", "type": "float", "low": -5, "high": 10}, PLAIN]}

    study = submit("t", warm_start=[finished], space=fewer)

    trials = len(api.get(f"studies/{finished}/trials").json()["items"])
    (taken,) = study["warm_start"]
    assert taken["study"] == finished
    assert 0 < taken["configs"] <= trials
    assert taken["left_out"] == 0
    with sqlite_database.session(write=False) as session:
        first = ask(search_spec(Studies(session, DEFAULT_PROJECT_ID).get("t")), History())
    assert isinstance(first, Run)
    assert first.config == api.get(f"studies/{finished}/best").json()["config"]
    assert first.origin["study"] == finished


@pytest.mark.parametrize("step", ["service.warm_start.stored_history", "service.lifecycle.read_spec"])
def test_others_can_write_while_a_study_is_being_checked(
    sqlite_database: Database,
    finished: str,
    submit: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """On SQLite, where one writes at a time."""
    work: Callable[..., Any] = resolve_name(step)
    wrote: list[str] = []

    def write_meanwhile(*given: Any) -> Any:
        with closing(sqlite3.connect(str(sqlite_database.url.database), timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            wrote.append(step)
        return work(*given)

    monkeypatch.setattr(step, write_meanwhile)
    submit("t", warm_start=[finished])
    assert wrote == [step]


def test_the_other_study_is_not_needed_any_more(
    sqlite_database: Database, finished: str, submit: Callable[..., dict[str, Any]]
) -> None:
    submit("t", warm_start=[finished])
    with sqlite_database.session(write=False) as session:
        before = search_spec(Studies(session, DEFAULT_PROJECT_ID).get("t"))
    with sqlite_database.session() as session:
        session.execute(sa.delete(Study).where(Study.name == finished))

    with sqlite_database.session(write=False) as session:
        assert search_spec(Studies(session, DEFAULT_PROJECT_ID).get("t")) == before


def test_configs_without_a_place_are_left_out_and_told(finished: str, submit: Callable[..., dict[str, Any]]) -> None:
    elsewhere = {"parameters": [{"name": "x0", "type": "categorical", "choices": ["a", "b"]}, PLAIN]}

    study = submit("t", warm_start=[finished], space=elsewhere, objective={"type": "function", "function": "noop"})

    (taken,) = study["warm_start"]
    assert taken["configs"] == 0
    assert taken["left_out"] > 0
    assert ("warm_start[0]", True) in {(a["path"], "teaches nothing" in a["message"]) for a in study["advice"]}


def test_a_study_that_was_cancelled_may_be_started_from(
    api: httpx.Client, submit: Callable[..., dict[str, Any]]
) -> None:
    submit("before")
    api.post("studies/before/cancel")

    study = submit("t", warm_start=["before"])

    assert study["warm_start"] == [{"study": "before", "configs": 0, "left_out": 0}]
    assert study["advice"][0]["message"] == "it has no results, so it teaches nothing"


def test_the_longest_name_can_be_started_from(api: httpx.Client, submit: Callable[..., dict[str, Any]]) -> None:
    submit("n" * 128)
    api.post(f"studies/{'n' * 128}/cancel")

    assert submit("t", warm_start=["n" * 128])["warm_start"][0]["study"] == "n" * 128


@pytest.mark.parametrize(
    ("wanted", "path", "words"),
    [
        (["befor"], "warm_start[0]", "did you mean before"),
        (["before", "nobody"], "warm_start[1]", "there is no study named 'nobody'"),
        (["before", "before"], "warm_start[1]", "is listed already"),
        (["active"], "warm_start[0]", "study 'active' is active: wait until it has ended, or cancel it"),
        (["paused"], "warm_start[0]", "study 'paused' is paused"),
        (["broken"], "warm_start[0]", 'unknown algorithm "of another version"'),
        (["t"], "warm_start[0]", "there is no study named 't'"),
    ],
)
def test_what_cannot_be_started_from_is_refused(
    api: httpx.Client,
    sqlite_database: Database,
    names: Callable[[], list[str]],
    submit: Callable[..., dict[str, Any]],
    study_payload: dict[str, Any],
    wanted: list[str],
    path: str,
    words: str,
) -> None:
    for name in ("before", "active", "paused", "broken"):
        submit(name)
    api.post("studies/before/cancel")
    api.post("studies/paused/pause")
    api.post("studies/broken/cancel")
    with sqlite_database.session() as session:
        broken = Studies(session, DEFAULT_PROJECT_ID).get("broken")
        broken.spec = {**broken.spec, "algorithm": {"name": "of another version"}}
    stored = names()

    answer = api.post("studies", json={**study_payload, "name": "t", "warm_start": wanted, "seed": 1})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert words in error["message"]
    assert names() == stored
