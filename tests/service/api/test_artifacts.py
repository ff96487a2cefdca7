"""The files that runs leave: uploaded by workers, fenced by their tokens, listed, read, and removed with time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from service.app import create_app
from service.database import Database
from service.logs import log_path, register_log
from service.models import Artifact, Attempt, Run
from service.settings import Settings

MOST = 50_000
PNG = b"\x89PNG not really"


@pytest.fixture
def app(sqlite_database: Database, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path / "data", max_upload_bytes=MOST), sqlite_database)


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[bytes]]:
    """The contents of all files of the store."""
    folder = tmp_path / "data" / "artifacts"
    return lambda: sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def claim(api: httpx.Client, study_payload: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Claims a run of the study `s`, which has no pool."""
    payload = {**study_payload, "objective": {"type": "external"}, "retry": {"lost": 3, "error": 3, "preempted": 3}}
    assert api.post("studies", json=payload).status_code == 201

    def make(worker: str = "w", **options: Any) -> dict[str, Any]:
        answer = api.post("studies/s/claims", json={"worker": worker, "count": 1, **options})
        assert answer.status_code == 200, answer.text
        (assignment,) = answer.json()["assignments"]
        found: dict[str, Any] = assignment
        return found

    return make


Claim = Callable[..., dict[str, Any]]
Files = Callable[[], list[bytes]]


def put(api: httpx.Client, run: dict[str, Any], name: str, content: bytes, **params: Any) -> httpx.Response:
    headers = params.pop("headers", {})
    return api.put(
        f"runs/{run['id']}/artifacts/{name}",
        content=content,
        params={"token": run["token"], **params},
        headers=headers,
    )


def save(api: httpx.Client, run: dict[str, Any], content: bytes, **params: Any) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return api.post(
        f"runs/{run['id']}/checkpoint", content=content, params={"token": run["token"], **params}, headers=headers
    )


def give_back(api: httpx.Client, run: dict[str, Any]) -> None:
    body = {"token": run["token"], "class": "preempted", "message": "the machine is needed"}
    answer = api.post(f"runs/{run['id']}/fail", json=body)
    assert answer.status_code == 200, answer.text


def complete(api: httpx.Client, run: dict[str, Any]) -> None:
    answer = api.post(f"runs/{run['id']}/complete", json={"token": run["token"], "metrics": {"loss": 1.0}})
    assert answer.status_code == 200, answer.text


def test_a_checkpoint_of_nothing_is_refused(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    answer = save(api, run, b"")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:assay:malformed-body")
    assert files() == []
    assert api.get(f"runs/{run['id']}/checkpoint").status_code == 404
    assert put(api, run, "empty.txt", b"").status_code == 200, "other files may be empty"


def test_a_worker_uploads_files_and_people_find_them(api: httpx.Client, claim: Claim) -> None:
    run = claim()
    answer = put(api, run, "loss.png", PNG, kind="plot")
    assert answer.status_code == 200, answer.text
    plot = answer.json()
    assert (plot["run"], plot["attempt"], plot["kind"], plot["name"]) == (run["run"], 1, "plot", "loss.png")
    assert (plot["media_type"], plot["bytes"]) == ("image/png", len(PNG))
    put(api, run, "notes größe.html", b"<script>", headers={"Content-Type": "text/html"})
    items = api.get("studies/s/artifacts").json()["items"]
    assert [one["name"] for one in items] == ["loss.png", "notes größe.html"]
    assert api.get("studies/s/artifacts", params={"kind": "plot"}).json()["items"] == [plot]
    assert api.get("studies/s/artifacts", params={"run": run["run"] + 1}).json()["items"] == []
    shown = api.get(f"studies/s/artifacts/{plot['id']}/content")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert shown.headers["content-disposition"].startswith("inline")
    page = api.get(f"studies/s/artifacts/{items[1]['id']}/content")
    assert page.headers["content-disposition"] == "attachment; filename*=UTF-8''notes%20gr%C3%B6%C3%9Fe.html"
    assert page.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_artifacts_come_in_pages(api: httpx.Client, claim: Claim) -> None:
    run = claim()
    for number in range(5):
        put(api, run, f"{number}.txt", b"x")
    names, after = [], None
    while True:
        page = api.get("studies/s/artifacts", params={"limit": 2, **({"after": after} if after else {})}).json()
        names += [one["name"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert names == ["0.txt", "1.txt", "2.txt", "3.txt", "4.txt"]


def test_another_file_of_the_name_takes_its_place(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    put(api, run, "a.txt", b"one")
    put(api, run, "a.txt", b"two")
    assert files() == [b"two"]
    (item,) = api.get("studies/s/artifacts").json()["items"]
    assert api.get(f"studies/s/artifacts/{item['id']}/content").content == b"two"


def test_all_files_of_an_attempt_together_are_bounded(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    assert put(api, run, "a", b"x" * (MOST - 10)).status_code == 200
    assert put(api, run, "a", b"y" * (MOST - 10)).status_code == 200, "it takes the place of the other"
    assert put(api, run, "b", b"x" * 11).status_code == 413
    assert put(api, run, "b", b"x" * 10).status_code == 200
    assert save(api, run, b"x").status_code == 413
    assert len(files()) == 2


@pytest.mark.parametrize(
    ("name", "params", "status"),
    [
        ("..", {}, 404),  # no client and no server takes that for a name
        ("a%2Fb", {}, 404),
        ("a%5Cb", {}, 422),
        ("a%00b", {}, 422),
        ("a%0Ab", {}, 422),
        ("x" * 256, {}, 422),
        ("checkpoint", {}, 422),
        ("a", {"kind": "checkpoint"}, 422),
        ("a", {"kind": "pickle"}, 422),
        ("a", {"token": "wrong"}, 409),
        ("a", {"token": ""}, 422),
    ],
)
def test_what_cannot_be_a_file_of_a_run_is_refused(
    api: httpx.Client, claim: Claim, files: Files, name: str, params: dict[str, Any], status: int
) -> None:
    answer = put(api, claim(), name, b"x", **params)
    assert answer.status_code == status, answer.text
    assert files() == []


def test_a_token_that_counts_no_longer_leaves_nothing(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    give_back(api, run)
    again = claim("another")
    assert (again["id"], again["attempt"]) == (run["id"], 2)
    for answer in (put(api, run, "a", b"x"), save(api, run, b"x")):
        assert answer.status_code == 409
        told = answer.json()
        assert told["type"] == "urn:assay:stale-attempt"
        assert (told["current"]["attempt"], told["current"]["state"]) == (2, "running")
    elsewhere = {"token": run["token"], "uri": "s3://b/c"}
    assert api.post(f"runs/{run['id']}/checkpoint", json=elsewhere).status_code == 409
    complete(api, again)
    assert put(api, again, "late", b"x").status_code == 409
    assert files() == []


def test_unknown_runs_and_other_projects(api: httpx.Client, claim: Claim) -> None:
    run = claim()
    plot = put(api, run, "a.png", PNG).json()
    for strange in ("1-99", "99-0", "9999999999-0", "x", "1-"):
        assert put(api, {**run, "id": strange}, "a", b"x").status_code == 404
        assert api.get(f"runs/{strange}/checkpoint").status_code == 404
    assert api.post("projects", json={"name": "other"}).status_code == 201
    other = {"Assay-Project": "other"}
    assert put(api, run, "a", b"x", headers=other).status_code == 404
    assert api.get(f"runs/{run['id']}/checkpoint", headers=other).status_code == 404
    assert api.get("studies/s/artifacts", headers=other).status_code == 404
    assert api.get(f"studies/s/artifacts/{plot['id']}/content", headers=other).status_code == 404


def test_an_upload_is_a_sign_of_life(api: httpx.Client, claim: Claim, sqlite_database: Database) -> None:
    run = claim(lease_seconds=60)
    with sqlite_database.session() as session:
        before = session.scalars(sa.select(Attempt.lease_expires)).one()
    put(api, run, "a", b"x")
    with sqlite_database.session() as session:
        between = session.scalars(sa.select(Attempt.lease_expires)).one()
    save(api, run, b"x")
    with sqlite_database.session() as session:
        after = session.scalars(sa.select(Attempt.lease_expires)).one()
    assert before < between < after


def test_a_checkpoint_is_what_the_next_attempt_goes_on_from(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    assert api.get(f"runs/{run['id']}/checkpoint").status_code == 404
    save(api, run, b"after 1", step=1)
    answer = save(api, run, b"after 2", step=2)
    assert answer.status_code == 200, answer.text
    assert answer.json()["step"] == 2
    assert answer.json()["checkpoint"].startswith("assay:artifacts/")
    assert files() == [b"after 2"], "the latest one is enough"
    give_back(api, run)
    again = claim("another")
    resume = again["resume_from"]
    assert (resume["run"], resume["step"]) == (run["run"], 2)
    fetched = api.get(resume["checkpoint"].removeprefix("/api/v1/"))
    assert (fetched.content, fetched.headers["assay-checkpoint-step"]) == (b"after 2", "2")
    save(api, again, b"after 3", step=3)
    assert files() == [b"after 3"]
    (item,) = api.get("studies/s/artifacts", params={"kind": "checkpoint"}).json()["items"]
    assert (item["attempt"], item["name"]) == (2, "checkpoint")


def test_a_checkpoint_may_be_kept_elsewhere(api: httpx.Client, claim: Claim, files: Files) -> None:
    run = claim()
    save(api, run, b"here", step=1)
    path = f"runs/{run['id']}/checkpoint"
    answer = api.post(path, json={"token": run["token"], "uri": "s3://mine/c", "step": 4})
    assert (answer.status_code, answer.json()) == (200, {"checkpoint": "s3://mine/c", "step": 4})
    assert files() == [], "the one before has served"
    assert api.get(path).json() == {"checkpoint": "s3://mine/c", "step": 4}
    give_back(api, run)
    assert claim("another")["resume_from"] == {"run": run["run"], "step": 4, "checkpoint": "s3://mine/c"}


@pytest.mark.parametrize(
    "uri", ["assay:artifacts/1/000000-1/abc", "assay://x", "3/000001-1", "/etc/passwd", "s3:/x", "s3://a\nb", "", 7]
)
def test_an_address_is_no_name_of_the_service(api: httpx.Client, claim: Claim, uri: Any) -> None:
    """Or a worker could have another study's checkpoint handed out, or removed."""
    run = claim()
    answer = api.post(f"runs/{run['id']}/checkpoint", json={"token": run["token"], "uri": uri})
    assert answer.status_code == 422, answer.text
    assert api.get(f"runs/{run['id']}/checkpoint").status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "params", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, {}, 400),
        (b"{}", {"Content-Type": "application/json"}, {}, 422),
        (b"x", {"Content-Type": "application/octet-stream"}, {}, 422),
        (b"x", {"Content-Type": "application/octet-stream"}, {"token": "t", "step": "inf"}, 422),
        (b"x", {"Content-Type": "application/octet-stream"}, {"token": "t", "step": "nan"}, 422),
        (b"x", {"Content-Type": "application/octet-stream"}, {"token": "t", "step": -1}, 422),
    ],
)
def test_misshapen_checkpoints(
    api: httpx.Client, claim: Claim, content: bytes, headers: dict[str, str], params: dict[str, Any], status: int
) -> None:
    answer = api.post(f"runs/{claim()['id']}/checkpoint", content=content, headers=headers, params=params)
    assert answer.status_code == status, answer.text


def test_a_run_that_ended_well_keeps_what_its_last_attempt_left(
    api: httpx.Client, claim: Claim, files: Files, sqlite_database: Database
) -> None:
    run = claim()
    put(api, run, "log.txt", b"first log", kind="log")
    save(api, run, b"first checkpoint", step=1)
    give_back(api, run)
    assert files() == [b"first checkpoint", b"first log"], "people may want to see why it failed"
    again = claim("another")
    put(api, again, "log.txt", b"second log", kind="log")
    complete(api, again)
    assert files() == [b"first checkpoint", b"second log"], "the run ends with the checkpoint that it was given"
    items = api.get("studies/s/artifacts").json()["items"]
    assert sorted((one["attempt"], one["kind"]) for one in items) == [(1, "checkpoint"), (2, "log")]
    with sqlite_database.session(write=False) as session:
        reference = session.scalars(sa.select(Run.checkpoint).where(Run.number == run["run"])).one()
        kept = session.scalars(sa.select(Artifact.path).where(Artifact.kind == "checkpoint")).one()
    assert reference == f"assay:{kept}"


def test_a_log_is_read_from_its_end(api: httpx.Client, claim: Claim) -> None:
    run = claim()
    path = f"studies/s/runs/{run['run']}/log"
    assert api.get(path).status_code == 404
    lines = [f"line {number}\n" for number in range(30_000)]
    content = "".join(lines)[: MOST - 10].encode()
    put(api, run, "out.log", content, kind="log")
    whole = api.get(path)
    assert (whole.content, whole.headers["content-type"]) == (content, "text/plain; charset=utf-8")
    assert whole.headers["content-length"] == str(len(content))
    for tail in (1, 2, 10, 4000):
        assert api.get(path, params={"tail": tail}).text.splitlines() == content.decode().splitlines()[-tail:]
    assert api.get(path, params={"tail": 10**6}).content == content
    assert api.get(path, params={"attempt": 2}).status_code == 404
    assert api.get(path, params={"tail": 0}).status_code == 422
    assert api.get("studies/s/runs/99/log").status_code == 404


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n\n", b"x" * 200_000 + b"\ny\n"])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_the_tail_of_any_text_is_its_last_lines(app: FastAPI, content: bytes, lines: int) -> None:
    from service.logs import begin_of_tail

    store = app.state.store
    with store.incoming(len(content)) as file:
        file.write(content)
        file.finish()
        store.put(file.path, "logs/1/x.log")
    begin = begin_of_tail(store, "logs/1/x.log", len(content), lines)
    assert content[begin:].splitlines() == content.splitlines()[-lines:]


def test_a_log_is_there_while_it_is_written_and_an_artifact_afterwards(
    api: httpx.Client, app: FastAPI, claim: Claim, sqlite_database: Database
) -> None:
    run = claim()
    study_id = int(run["id"].partition("-")[0])
    path = log_path(app.state.store, study_id, run["run"], 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"so far\n")
    ask = f"studies/s/runs/{run['run']}/log"
    assert api.get(ask).text == "so far\n"
    path.write_bytes(b"so far\nall\n")
    with sqlite_database.session() as session:
        artifact = register_log(session, app.state.store, study_id, run["run"], 1)
        assert artifact is not None
        assert register_log(session, app.state.store, study_id, run["run"], 2) is None
    assert api.get(ask).text == "so far\nall\n"
    (item,) = api.get("studies/s/artifacts", params={"kind": "log"}).json()["items"]
    assert item["bytes"] == 11
    give_back(api, run)
    claim("another")
    assert api.get(ask).text == "so far\nall\n", "the next attempt has written nothing yet"
    second = log_path(app.state.store, study_id, run["run"], 2)
    second.write_bytes(b"second\n")
    assert api.get(ask).text == "second\n"
    assert api.get(ask, params={"attempt": 1}).text == "so far\nall\n"
