"""Datasets and artifacts as people have them: the client and the command line, against the real service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

import assay
from assay.cli import app as cli
from assay.exit_codes import ExitCode
from service.app import create_app
from service.database import Database
from service.settings import Settings

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number % 3) for number in range(1000))


@pytest.fixture
def app(sqlite_database: Database, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path / "data", max_upload_bytes=10**6), sqlite_database)


@pytest.fixture
def client(server: Any) -> Iterator[assay.Client]:
    with assay.Client(server.url) as client:
        yield client


@pytest.fixture
def run(server: Any) -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(cli, ["--url", server.url, *map(str, words)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_bytes(CSV)
    return path


@pytest.fixture
def claimed(live: httpx.Client, study_payload: dict[str, Any]) -> dict[str, Any]:
    assert live.post("studies", json={**study_payload, "objective": {"type": "external"}}).status_code == 201
    found: dict[str, Any] = live.post("studies/s/claims", json={"worker": "w"}).json()["assignments"][0]
    return found


def test_a_dataset_goes_there_and_back(client: assay.Client, table: Path, tmp_path: Path) -> None:
    uploaded = client.datasets.upload(table, target="b")
    assert uploaded["name"] == "numbers"
    assert uploaded["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert client.datasets.get("numbers") == uploaded
    assert uploaded in list(client.datasets.list())
    path = client.datasets.download("numbers", tmp_path)
    assert (path, path.read_bytes()) == (tmp_path / "numbers.csv", CSV)
    client.datasets.delete("numbers")
    with pytest.raises(assay.NotFound):
        client.datasets.get("numbers")
    with pytest.raises(assay.NotFound):
        client.datasets.download("numbers", tmp_path / "nothing.csv")
    assert not list(tmp_path.glob("nothing*"))
    assert not list(tmp_path.glob(".assay-*"))


def test_what_is_refused_is_told(client: assay.Client, table: Path, tmp_path: Path) -> None:
    with pytest.raises(assay.Invalid, match="target"):
        client.datasets.upload(table, target="c")
    client.datasets.upload(table)
    table.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(assay.Conflict, match="other contents"):
        client.datasets.upload(table)
    assert client.datasets.upload(table, replace=True)["rows"] == 1
    table.write_bytes(b"x" * 2_000_000)
    with pytest.raises(assay.Invalid, match="too large"):
        client.datasets.upload(table, name="large")
    with pytest.raises(assay.AssayError, match="there is no file"):
        client.datasets.upload(tmp_path / "nothing.csv")
    with pytest.raises(assay.AssayError, match="give a format"):
        client.datasets.upload(tmp_path / "data.xls")
    with pytest.raises(assay.AssayError, match="cannot write"):
        client.datasets.download("numbers", tmp_path / "no" / "such" / "folder.csv")


def test_datasets_on_the_command_line(run: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    assert run("dataset", "upload", table, "--target", "b", "--name", "n").stdout == "n\n"
    listed = run("dataset", "list").stdout
    assert "digits" in listed
    assert "1000" in next(line for line in listed.splitlines() if line.startswith("n "))
    shown = run("dataset", "show", "n").stdout
    assert "b (target)" in shown
    assert hashlib.sha256(CSV).hexdigest() in shown
    assert json.loads(run("dataset", "show", "n", "--json").stdout)["rows"] == 1000
    assert json.loads(run("dataset", "show", "digits").stdout)["kind"] == "builtin"
    output = tmp_path / "copy.csv"
    assert run("dataset", "download", "n", "-o", output).stdout == f"{output}\n"
    assert output.read_bytes() == CSV
    table.write_bytes(b"a,b\n1\n")
    refused = run("dataset", "upload", table, "--name", "m")
    assert (refused.exit_code, "line 2" in refused.stderr) == (ExitCode.INVALID, True)
    assert run("dataset", "upload", tmp_path / "nothing.csv").exit_code == ExitCode.USAGE
    assert run("dataset", "delete", "n").exit_code == ExitCode.OK
    assert run("dataset", "delete", "n").exit_code == ExitCode.NOT_FOUND


def test_artifacts_and_logs(
    client: assay.Client, run: Callable[..., Any], live: httpx.Client, claimed: dict[str, Any], tmp_path: Path
) -> None:
    token = {"token": claimed["token"]}
    base = f"runs/{claimed['id']}"
    live.put(f"{base}/artifacts/loss.png", params={**token, "kind": "plot"}, content=b"a picture")
    live.put(f"{base}/artifacts/out.log", params={**token, "kind": "log"}, content="eins\nzwei größer\n".encode())
    found = list(client.studies.artifacts("s"))
    assert [(one["kind"], one["name"]) for one in found] == [("plot", "loss.png"), ("log", "out.log")]
    assert client.studies.download("s", found[0], tmp_path / "here.png").read_bytes() == b"a picture"
    assert client.studies.log("s", claimed["run"]) == "eins\nzwei größer\n"
    assert run("logs", "s", claimed["run"], "--tail", 1).stdout == "zwei größer\n"
    assert run("logs", "s", 99).exit_code == ExitCode.NOT_FOUND
    listed = run("artifacts", "s", "--kind", "plot").stdout
    assert "loss.png" in listed
    assert "out.log" not in listed
    folder = tmp_path / "all"
    printed = run("artifacts", "s", "--download", folder).stdout.split()
    assert [Path(line).read_bytes() for line in printed] == [b"a picture", "eins\nzwei größer\n".encode()]
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {
        f"{claimed['run']}-1/loss.png",
        f"{claimed['run']}-1/out.log",
    }


def test_a_download_that_breaks_off_goes_on_where_it_broke(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        begin = int(asked[-1].removeprefix("bytes=").rstrip("-")) if asked[-1] else 0

        def pieces() -> Iterator[bytes]:
            yield content[begin : begin + 50_000]
            if begin + 50_000 < len(content):
                raise httpx.ReadError("the connection broke")

        return httpx.Response(206 if begin else 200, headers={"ETag": tag}, content=pieces())

    client = assay.Client("http://127.0.0.1:1")
    client._http._client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1:1/")
    client._http.download("api/v1/x", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert asked == [None, "bytes=50000-", "bytes=100000-"]
