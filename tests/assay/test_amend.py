"""What people add to a study: the client and the commands, against the real service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import assay
from assay.cli import app as command_line
from assay.exit_codes import ExitCode
from service.app import create_app
from service.database import Database
from service.settings import Settings
from tests.service.conftest import Server

API = "/api/v1"
STUDY: dict[str, Any] = {
    "name": "digits",
    "space": {
        "parameters": [
            {"name": "lr", "type": "float", "low": 1e-4, "high": 1.0, "log": True},
            {"name": "width", "type": "int", "low": 1, "high": 128},
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "on", "64"]},
            {"name": "nesterov", "type": "bool"},
        ],
        "fidelity": {"name": "epochs", "low": 1, "high": 9},
    },
    "objective": {"type": "external"},
    "metrics": [{"name": "val_loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 4},
}
CONFIG = {"lr": 0.1, "width": 64, "optimizer": "on", "nesterov": True}
ARGUMENTS = ("lr=1e-1", "width=64", "optimizer=on", "nesterov=true")

Cli = Callable[..., Result]


@pytest.fixture
def url(sqlite_database: Database, tmp_path: Path) -> Iterator[str]:
    server = Server(create_app(Settings(data_dir=tmp_path), sqlite_database))
    yield server.url
    assert server.stop()


@pytest.fixture
def client(url: str) -> Iterator[assay.Client]:
    with assay.Client(url) as client:
        client.studies.create(STUDY)
        yield client


@pytest.fixture
def cli(client: assay.Client) -> Cli:
    def run(*args: str, stdin: str | None = None) -> Result:
        env = {"ASSAY_URL": client.url, "COLUMNS": "80", "TERM": "dumb"}
        return CliRunner().invoke(command_line, ["study", *args], input=stdin, env=env)

    return run


def test_enqueued_configs_are_claimed_next(client: assay.Client) -> None:
    wishes = client.studies.enqueue("digits", [CONFIG, {**CONFIG, "width": 32}])

    assert [wish["number"] for wish in wishes] == [0, 1]
    (run,) = client.studies.claim("digits", "w")["assignments"]
    assert run["config"] == CONFIG
    assert [wish["run"] for wish in client.studies.enqueued("digits")] == [run["run"], None]


def test_a_trial_from_elsewhere_may_be_the_best_until_it_is_taken_out(client: assay.Client) -> None:
    told = client.studies.add_trial("digits", CONFIG, {"val_loss": 0.25}, fidelity=9)
    assert (told["number"], told["state"], told["invalidated"]) == (0, "succeeded", None)
    failed = client.studies.add_trial("digits", {**CONFIG, "width": 1}, failure="oom")
    assert failed["failure"]
    assert failed["failure"]["class"] == "oom"
    diverged = client.studies.add_trial("digits", {**CONFIG, "width": 2}, {"val_loss": float("nan")})
    assert diverged["failure"]
    assert diverged["failure"]["class"] == "diverged"
    assert client.studies.best("digits")["trial"] == 0

    out = client.studies.invalidate("digits", 0, "trained on the test split")

    assert out["invalidated"] == {"reason": "trained on the test split", "by": "local"}
    with pytest.raises(assay.NotFound):
        client.studies.best("digits")


def test_notes_and_the_priority(client: assay.Client) -> None:
    client.studies.add_trial("digits", CONFIG, {"val_loss": 0.25})
    client.studies.note("digits", "look at the rates")
    assert client.studies.note("digits", "odd", trial=0)["author"] == "local"

    assert [note["text"] for note in client.studies.notes("digits")] == ["look at the rates", "odd"]
    assert [note["text"] for note in client.studies.notes("digits", trial=0)] == ["odd"]
    assert client.studies.change("digits", priority=-2)["priority"] == -2


def test_refusals_say_where(client: assay.Client) -> None:
    with pytest.raises(assay.Invalid, match=r"configs\[1\]\.width"):
        client.studies.enqueue("digits", [CONFIG, {**CONFIG, "width": 1000}])
    with pytest.raises(assay.NotFound):
        client.studies.invalidate("digits", 7, "no such trial")
    client.studies.cancel("digits")
    with pytest.raises(assay.Conflict):
        client.studies.add_trial("digits", CONFIG, {"val_loss": 0.25})


def test_what_must_not_be_done_twice_is_asked_again_with_its_key(service: Any) -> None:
    """The first connection breaks; the request that follows is the same one, and the service knows it."""

    def enqueue(request: Any) -> tuple[int, Any] | None:
        if len(service.requests) == 1:
            return None  # nothing is answered
        return 201, {"items": []}

    service.routes[f"POST {API}/studies/digits/enqueued"] = enqueue
    with assay.Client(service.url) as client:
        client.studies.enqueue("digits", [CONFIG])
        client.studies.enqueue("digits", [CONFIG])

    first, again, other = [request.headers["Idempotency-Key"] for request in service.requests]
    assert first == again
    assert other != first


# --- commands


def test_values_are_read_as_in_a_study_file(cli: Cli, client: assay.Client) -> None:
    result = cli("enqueue", "digits", *ARGUMENTS)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "0\n", "")
    assert cli("enqueue", "digits", *ARGUMENTS[:2], 'optimizer="64"', "nesterov=false").stdout == "1\n"
    wishes = client.studies.enqueued("digits")
    assert [wish["config"] for wish in wishes] == [CONFIG, {**CONFIG, "optimizer": "64", "nesterov": False}]
    assert json.loads(cli("enqueued", "digits", "--json").stdout) == wishes
    header, first, _ = cli("enqueued", "digits").stdout.splitlines()
    assert header.split() == ["number", "author", "config"]
    assert first.split() == ["0", "local", "lr=0.1", "width=64", "optimizer=on", "nesterov=true"]


def test_a_file_of_configs(cli: Cli, client: assay.Client, tmp_path: Path) -> None:
    file = tmp_path / "configs.jsonl"
    lines = [json.dumps(CONFIG), "", json.dumps({**CONFIG, "width": 1000}), json.dumps({**CONFIG, "momentum": 1})]
    file.write_text("\n".join(lines))

    result = cli("enqueue", "digits", "--file", str(file))

    assert (result.exit_code, result.stdout) == (ExitCode.INVALID, "")
    places = result.stderr.splitlines()
    assert places[0].startswith(f"{file}:3: width: ")
    assert places[1].startswith(f"{file}:4: momentum: ")
    assert client.studies.enqueued("digits") == []
    assert cli("enqueue", "digits", "-f", "-", stdin="\n".join(lines[:2])).stdout == "0\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no configs"),
        ('{"lr": 0.1}\n{"lr": ', ":2: is not JSON"),
        ('{"lr": NaN}', ":1: is not JSON: NaN"),
        ("[1]", ":1: a config is an object"),
    ],
)
def test_a_file_that_holds_no_configs(cli: Cli, content: str, message: str) -> None:
    result = cli("enqueue", "digits", "-f", "-", stdin=content)

    assert (result.exit_code, result.stdout) == (ExitCode.INVALID, "")
    assert message in result.stderr


def test_trials_from_elsewhere(cli: Cli, client: assay.Client) -> None:
    result = cli("add-trial", "digits", *ARGUMENTS, "--metric", "val_loss=0.2", "--fidelity", "9")
    assert (result.exit_code, result.stdout) == (0, "0\n")
    assert client.studies.trial("digits", 0)["fidelity"] == 9
    assert cli("add-trial", "digits", *ARGUMENTS, "--failure", "oom").stdout == "1\n"

    out = cli("invalidate", "digits", "0", "--reason", "a leak")

    assert (out.exit_code, out.stdout) == (0, "")
    assert out.stderr == "trial 0 counts for nothing any more: a leak (local)\n"
    assert "a leak" in CliRunner().invoke(command_line, ["trials", "digits", "--url", client.url]).stdout


def test_notes(cli: Cli) -> None:
    assert cli("note", "digits", "look at the rates").stderr == "note 1 is written\n"
    assert cli("note", "digits", "-", stdin="from a\npipe\n").exit_code == 0
    assert cli("note", "digits", "none", "--trial", "3").exit_code == ExitCode.NOT_FOUND

    header, first, second = cli("notes", "digits").stdout.splitlines()

    assert header.split() == ["author", "created", "text"]
    assert re.fullmatch(r"local +\S+Z  look at the rates", first)
    assert second.endswith("from a pipe")
    assert [note["text"] for note in json.loads(cli("notes", "digits", "--json").stdout)][1] == "from a\npipe"


def test_the_priority(cli: Cli) -> None:
    assert cli("priority", "digits", "-2").stderr == "digits has the priority -2\n"
    assert "priority: -2" in cli("show", "digits").stdout
    assert cli("priority", "digits", "9").exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    "args",
    [
        ("enqueue", "digits"),
        ("enqueue", "digits", "lr=0.1", "-f", "configs.jsonl"),
        ("enqueue", "digits", "-f", "/nowhere/configs.jsonl"),
        ("enqueue", "digits", "lr"),
        ("enqueue", "digits", "=0.1"),
        ("enqueue", "digits", "lr="),
        ("enqueue", "digits", "lr=[1, 2]"),
        ("enqueue", "digits", "lr=a: b"),
        ("enqueue", "digits", "lr=*x"),
        ("enqueue", "digits", "lr=.nan"),
        ("enqueue", "digits", "lr=0.1", "lr=0.2"),
        ("add-trial", "digits", *ARGUMENTS),
        ("add-trial", "digits", *ARGUMENTS, "--metric", "val_loss"),
        ("add-trial", "digits", *ARGUMENTS, "--metric", "val_loss=1", "--failure", "oom"),
        ("add-trial", "digits", *ARGUMENTS, "--failure", "lost"),
        ("invalidate", "digits", "0"),
    ],
)
def test_wrong_usage(service: Any, args: tuple[str, ...]) -> None:
    result = CliRunner().invoke(command_line, ["study", *args], env={"ASSAY_URL": service.url})

    assert (result.exit_code, result.stdout, service.requests) == (ExitCode.USAGE, "", [])
