"""Export and import over HTTP, by the client, and on the command line."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from typer.testing import CliRunner

import assay
from assay import transfer as client_transfer
from assay.cli import app as cli
from assay.exit_codes import ExitCode
from service.app import create_app
from service.database import Database
from service.models import Base, Run
from service.routes import transfer
from service.settings import Settings
from service.turns import Turns

LIMIT = 200_000
FILE = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def app(sqlite_database: Database, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path / "data", max_upload_bytes=LIMIT), sqlite_database)


@pytest.fixture
def exported(api: httpx.Client, finished: str) -> bytes:
    """A finished Hyperband study, as it is exported."""
    answer = api.get(f"studies/{finished}/export")
    assert answer.status_code == 200
    return answer.content


@pytest.fixture
def rows(sqlite_database: Database) -> Callable[[], int]:
    """How many there are in all tables."""

    def count() -> int:
        with sqlite_database.session(write=False) as session:
            return sum(
                session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
                if table.name != "audit"
            )

    return count


def resealed(content: bytes, change: Callable[[dict[str, Any]], None], record: str = "study") -> bytes:
    """The file with all records of a kind changed, and the right checksum."""
    lines = [json.loads(line) for line in content.splitlines()[:-1]]
    for line in lines:
        if line.get("record") == record:
            change(line)
    return sealed(lines)


def sealed(lines: list[dict[str, Any]]) -> bytes:
    changed = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {"lines": len(lines), "sha256": hashlib.sha256(changed).hexdigest()}
    return changed + json.dumps({"end": end}).encode() + b"\n"


def without_times(content: bytes) -> list[Any]:
    lines = [json.loads(line) for line in content.splitlines()[:-1]]
    del lines[0]["exported_at"]
    return lines


def test_an_export_says_what_it_is(api: httpx.Client, finished: str) -> None:
    answer = api.get(f"studies/{finished}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''s.jsonl"
    assert answer.headers["cache-control"] == "no-store"
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert (lines[0]["format"], lines[0]["version"]) == ("assay-study", 1)
    assert lines[0]["counts"]["run"] == 22
    assert lines[-1]["end"]["lines"] == len(lines) - 1
    assert api.get("studies/nobody/export").status_code == 404
    assert api.get(f"studies/{finished}/export", params={"format": "xml"}).status_code == 422


def test_what_was_exported_is_imported_under_another_name(api: httpx.Client, exported: bytes, finished: str) -> None:
    answer = api.post("studies/import", params={"name": "copy"}, content=exported, headers=FILE)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/api/v1/studies/copy"
    copy, original = answer.json(), api.get(f"studies/{finished}").json()
    assert {**copy, "id": 0, "name": ""} == {**original, "id": 0, "name": ""}
    assert api.get("studies/copy").json() == copy
    for part in ("runs", "trials", "incumbents", "best", "events?format=json"):
        found, known = api.get(f"studies/copy/{part}").json(), api.get(f"studies/{finished}/{part}").json()
        assert {**found, "study": ""} == {**known, "study": ""}, part
    again, before = api.get("studies/copy/export").content, without_times(exported)
    before[1]["name"] = "copy"
    assert without_times(again) == before
    (entry,) = [entry for entry in api.get("audit").json()["items"] if entry["action"] == "study.import"]
    sha256 = json.loads(exported.splitlines()[-1])["end"]["sha256"]
    assert (entry["target"], entry["detail"]) == ("copy", {"from": "s", "sha256": sha256})


@pytest.mark.parametrize("kind", ["log", "plot"])
def test_files_are_named_but_are_not_there(api: httpx.Client, study: dict[str, Any], kind: str) -> None:
    assert api.post(f"studies/{study['name']}/cancel").status_code == 200
    content = api.get(f"studies/{study['name']}/export").content
    lines = [json.loads(line) for line in content.splitlines()[:-1]]
    at, config = "2030-01-01T00:00:00Z", {"x0": 1.0, "x1": 1.0}
    run = dict.fromkeys(
        ("resume_from", "fidelity", "metrics", "stopped_by", "checkpoint", "not_before", "failure_class")
    )
    run |= {"failure_message": None, "failure_traceback": None, "started_at": None, "origin": {}, "kind": "train"}
    run |= {"number": 0, "trial": 0, "state": "cancelled", "bracket": 0, "rung": 0, "replicate": 0, "attempts": 1}
    attempt = dict.fromkeys(("worker", "lease_seconds", "lease_expires", "checkpoint", "checkpoint_step", "message"))
    attempt |= dict.fromkeys(("late", "provenance", "cpu_seconds", "gpu_seconds"))
    file = {"run": 0, "attempt": 1, "kind": kind, "name": kind, "media_type": "text/plain", "bytes": 7}
    cancelled = {**lines[-1], "seq": 4}
    added = [
        {"record": "trial", "number": 0, "config": config, "invalidated": None, "invalidated_event": None},
        {"record": "run", **run, "added_event": 2, "ended_event": 3, "finished_at": at},
        {"record": "attempt", **attempt, "run": 0, "number": 1, "state": "superseded", "owner": "x", "ended_at": at},
        lines[2],
        {"record": "event", "seq": 2, "type": "run.pending", "run": 0, "trial": 0, "data": {}},
        {"record": "event", "seq": 3, "type": "run.cancelled", "run": 0, "trial": 0, "data": {}},
        cancelled,
        {"record": "artifact", **file, "sha256": "0" * 64},
    ]
    lines[0]["counts"] = {"study": 1, "trial": 1, "run": 1, "attempt": 1, "event": 4, "artifact": 1}
    whole = [*lines[:2], *({"created_at": at, **line} for line in added)]
    answer = api.post("studies/import", params={"name": "copy"}, content=sealed(whole))
    assert answer.status_code == 201, answer.text

    (artifact,) = api.get("studies/copy/artifacts").json()["items"]
    assert (artifact["kind"], artifact["bytes"], artifact["sha256"]) == (kind, 7, "0" * 64)
    gone = api.get("studies/copy/runs/0/log" if kind == "log" else f"studies/copy/artifacts/{artifact['id']}/content")
    assert gone.status_code == 404
    assert "gone from the store" in gone.json()["detail"]


def test_an_imported_study_is_verified_and_started_from(
    api: httpx.Client, live: httpx.Client, exported: bytes, study_payload: dict[str, Any]
) -> None:
    assert api.post("studies/import", params={"name": "copy"}, content=exported).status_code == 201
    with assay.Client(str(live.base_url).removesuffix("/api/v1/")) as client:
        verified = client.studies.verify("copy")
    assert (verified["verified"], verified["runs"]) == (True, 22)
    started = api.post("studies", json={**study_payload, "name": "next", "warm_start": ["copy"]})
    assert started.status_code == 201, started.text


def test_the_name_is_that_of_the_file_unless_another_is_given(api: httpx.Client, exported: bytes) -> None:
    taken = api.post("studies/import", content=exported)
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:assay:name-taken")
    assert api.post("studies/import", params={"name": "no name"}, content=exported).status_code == 422


@pytest.mark.parametrize(
    ("broken", "status", "message"),
    [
        (lambda content: b"", 422, "the file is empty"),
        (lambda content: b"\x00\x01" * 100, 422, "line 1"),
        (lambda content: content[:-200], 422, "line"),
        (lambda content: content.replace(b'"rung":0', b'"rung":1'), 422, "changed or damaged"),
        (lambda content: b"x" * (LIMIT + 1), 413, "too large"),
        (
            lambda content: resealed(content, lambda run: run.update(state="lost"), "run"),
            422,
            "run.state: must be",
        ),
        (
            lambda content: resealed(content, lambda study: study["spec"].update(seed=-1)),
            422,
            "study.spec.seed: must be at least 0",
        ),
        (
            lambda content: resealed(content, lambda event: event.update(type="run.pending"), "event"),
            422,
            "event.type: the first event",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_stored(
    api: httpx.Client,
    exported: bytes,
    rows: Callable[[], int],
    broken: Callable[[bytes], bytes],
    status: int,
    message: str,
) -> None:
    before = rows()
    answer = api.post("studies/import", params={"name": "copy"}, content=broken(exported))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in answer.json()["detail"]
    assert rows() == before


def test_a_path_names_the_line(api: httpx.Client, exported: bytes) -> None:
    wrong = resealed(exported, lambda run: run.update(rung="first"), "run")
    number = [json.loads(line).get("record") for line in wrong.splitlines()].index("run") + 1
    (error,) = api.post("studies/import", params={"name": "copy"}, content=wrong).json()["errors"]
    assert error["path"] == f"line {number}: run.rung"


def test_a_checksum_of_the_whole_is_kept(api: httpx.Client, exported: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()
    headers = {"Content-Digest": f"sha-256=:{digest}:"}
    answer = api.post("studies/import", params={"name": "copy"}, content=exported, headers=headers)
    assert answer.status_code == 422
    assert "Content-Digest" in answer.json()["detail"]


def test_an_import_may_be_repeated(api: httpx.Client, exported: bytes) -> None:
    key = {"Idempotency-Key": "once"}
    first = api.post("studies/import", params={"name": "copy"}, content=exported, headers=key)
    again = api.post("studies/import", params={"name": "copy"}, content=exported, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()
    other = api.post("studies/import", params={"name": "other"}, content=exported, headers=key)
    assert other.json()["type"] == "urn:assay:idempotency-key-reused"


def test_who_may(
    operator: httpx.Client,
    bearing: Callable[..., httpx.Client],
    token_for: Callable[..., str],
    study_payload: dict[str, Any],
) -> None:
    reader, worker, writer = (bearing(token_for(scope, project="p")) for scope in ("read", "worker", "write"))
    assert writer.post("studies", json=study_payload).status_code == 201
    content = reader.get("studies/s/export").content
    assert worker.get("studies/s/export").status_code == 200
    assert bearing(token_for("write", project="q")).get("studies/s/export").status_code == 404
    for client in (reader, worker):
        assert client.post("studies/import", params={"name": "t"}, content=content).status_code == 403
    assert bearing(None).get("studies/s/export").status_code == 401

    command = {"type": "command", "command": ["true"]}
    sent = resealed(content, lambda study: study["spec"].update(objective=command))
    refused = writer.post("studies/import", params={"name": "t"}, content=sent)
    assert refused.status_code == 403
    assert "execute" in refused.json()["detail"]
    executor = bearing(token_for("write", "execute", project="p"))
    assert executor.post("studies/import", params={"name": "t"}, content=sent).status_code == 201

    assert operator.patch("projects/p", json={"max_studies": 2}).status_code == 200
    full = writer.post("studies/import", params={"name": "u"}, content=content)
    assert (full.status_code, full.json()["type"]) == (409, "urn:assay:quota")


def test_only_so_many_exports_at_once(api: httpx.Client, app: FastAPI, finished: str) -> None:
    places = [app.state.exports.enter() for _ in range(4)]
    busy = api.get(f"studies/{finished}/export")
    assert (busy.status_code, busy.json()["type"]) == (503, "urn:assay:busy")
    assert busy.headers["retry-after"] == "10"
    for place in places:
        place.leave()
    for _ in range(5):  # each leaves its place
        assert api.get(f"studies/{finished}/export").status_code == 200
        assert api.get("studies/nobody/export").status_code == 404


@pytest.mark.parametrize("stalled", [True, False], ids=["takes nothing more", "has gone"])
def test_a_client_that_goes_leaves_its_place(monkeypatch: pytest.MonkeyPatch, stalled: bool) -> None:
    monkeypatch.setattr(transfer, "STALLED_SECONDS", 0.05)
    closed: list[bool] = []

    def lines() -> Generator[bytes]:
        try:
            while True:
                yield b"{}\n"
        finally:
            closed.append(True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            if not stalled:
                raise OSError("the connection is closed")
            await anyio.sleep_forever()

    async def receive() -> Any:
        await anyio.sleep_forever()

    async def answer() -> None:
        turns = Turns(1, 0)
        place = turns.enter()
        assert place is not None
        response = transfer.ExportStream(lines(), place)
        with contextlib.suppress(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
        assert turns.enter() is not None

    anyio.run(answer)
    assert closed == [True]


def read_table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_tables_have_a_row_per_trial_run_or_report(api: httpx.Client, finished: str) -> None:
    url = f"studies/{finished}/export?format=csv"
    trials, runs, reports = (read_table(api.get(f"{url}&of={of}")) for of in ("trials", "runs", "reports"))
    known = api.get(f"studies/{finished}/runs").json()["items"]
    assert [int(row["number"]) for row in runs] == [run["number"] for run in known]
    for row, run in zip(runs, known, strict=True):
        assert float(row["config.x0"]) == run["config"]["x0"]
        assert float(row["metrics.loss"]) == run["metrics"]["loss"]
        assert (row["state"], row["rule"], row["fidelity"]) == (
            run["state"],
            run["origin"]["rule"],
            str(run["fidelity"]),
        )
        assert float(row["seconds"]) == run["seconds"]
    assert len(trials) == api.get(f"studies/{finished}").json()["counts"]["trials"]
    assert [row["runs"] for row in trials] == [
        str(len(trial["runs"])) for trial in api.get(f"studies/{finished}/trials").json()["items"]
    ]
    assert len(reports) == len(api.get(f"studies/{finished}/reports").json()["items"])
    assert set(reports[0]) == {"run", "trial", "step", "metrics.loss", "seconds", "created_at"}
    assert "s-runs.csv" in api.get(f"{url}&of=runs").headers["content-disposition"]


def test_no_cell_is_a_formula(api: httpx.Client, sqlite_database: Database, study_payload: dict[str, Any]) -> None:
    choices = ["=1+1", "@cmd", "+1", "-1", "\tx", 'fine, "really"\nyes']
    kind = {"name": "=kind", "type": "categorical", "choices": choices}
    space = {"parameters": [{"name": "x0", "type": "float", "low": -5, "high": 10}, kind]}
    body = {
        **study_payload,
        "space": space,
        "objective": {"type": "external"},
        "metrics": [{"name": "-m", "direction": "minimize"}],
    }
    assert api.post("studies", json=body).status_code == 201
    for choice in choices:
        told = {"config": {"x0": -1.5, "=kind": choice}, "metrics": {"-m": -2.5}}
        assert api.post("studies/s/trials", json=told).status_code == 201
    with sqlite_database.session() as session:
        run = session.get_one(Run, (1, 0))
        run.failure_class, run.failure_message = "error", '=HYPERLINK("x")'

    rows = read_table(api.get("studies/s/export?format=csv&of=runs"))

    assert [row["config.=kind"] for row in rows] == ["'=1+1", "'@cmd", "'+1", "'-1", "'\tx", choices[-1]]
    assert {row["config.x0"] for row in rows} == {"-1.5"}  # a number is one
    assert {row["metrics.-m"] for row in rows} == {"-2.5"}
    assert rows[0]["failure_message"].startswith("'=")


@pytest.fixture
def client(server: Any) -> Iterator[assay.Client]:
    with assay.Client(server.url) as client:
        yield client


@pytest.fixture
def run(server: Any) -> Callable[..., Any]:
    return lambda *words, **options: CliRunner().invoke(cli, ["--url", server.url, *map(str, words)], **options)


def test_the_client_writes_files_that_are_whole(client: assay.Client, finished: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = client.studies.export(finished, folder)
    assert path == folder / "s.jsonl"
    study = client.studies.import_(path, name="copy")
    assert (study["name"], study["state"]) == ("copy", "completed")
    table = client.studies.export(finished, folder / "t.csv", format="csv", of="runs")
    assert table.read_text().startswith("number,trial,state")
    with pytest.raises(assay.errors.NotFound):
        client.studies.export("nobody", folder / "nobody")
    assert sorted(file.name for file in folder.iterdir()) == ["s.jsonl", "t.csv"]
    with pytest.raises(assay.AssayError, match="there is no file"):
        client.studies.import_(folder / "nothing")


@pytest.mark.parametrize("cut", [1, 2, 200, 5000])
def test_what_breaks_off_is_noticed(exported: bytes, cut: int) -> None:
    pieces = [exported[place : place + 777] for place in range(0, len(exported), 777)]
    assert b"".join(client_transfer.checked(pieces)) == exported
    broken = [exported[:-cut][place : place + 777] for place in range(0, len(exported) - cut, 777)]
    with pytest.raises(assay.errors.ConnectionFailed, match="broke off"):
        list(client_transfer.checked(broken))


def test_export_and_import_on_the_command_line(run: Callable[..., Any], finished: str, tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    assert run("export", finished, "-o", path).exit_code == 0
    piped = run("export", finished)
    assert piped.stdout_bytes.splitlines()[1] == path.read_bytes().splitlines()[1]

    imported = run("import", path, "--name", "copy")
    assert (imported.exit_code, imported.stdout) == (0, "copy\n")
    from_stdin = run("import", "-", "--name", "other", "--json", input=piped.stdout_bytes)
    assert from_stdin.exit_code == 0, from_stdin.output
    assert json.loads(from_stdin.stdout)["name"] == "other"

    assert run("import", path).exit_code == ExitCode.CONFLICT
    assert run("import", tmp_path / "nothing").exit_code == ExitCode.USAGE
    assert run("export", "nobody", "-o", path).exit_code == ExitCode.NOT_FOUND
    path.write_bytes(path.read_bytes()[:-100])
    broken = run("import", path, "--name", "third")
    assert broken.exit_code == ExitCode.INVALID
    assert "line" in broken.stderr
    table = run("export", finished, "--format", "csv", "--of", "reports")
    assert table.stdout.startswith("run,trial,step,metrics.loss")
