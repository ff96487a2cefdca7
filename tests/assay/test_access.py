"""Tokens, projects and the audit log from the command line and the client, against the real service."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import uvicorn
from pydantic import SecretStr
from typer.testing import CliRunner, Result

import assay
from assay.cli import app
from assay.commands.access import moment
from assay.exit_codes import ExitCode
from service.app import create_app
from service.database import Database
from service.settings import Settings

OPERATORS_TOKEN = "the-token-of-the-operator"
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
Cli = Callable[..., Result]


@pytest.fixture
def address(sqlite_database: Database) -> Iterator[str]:
    """A service that asks for tokens."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = Settings(auth="on", admin_token=SecretStr(OPERATORS_TOKEN))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, sqlite_database), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def cli(address: str) -> Cli:
    def run(*args: str, token: str | None = OPERATORS_TOKEN, **env: str) -> Result:
        given = {"ASSAY_URL": address, "ASSAY_TOKEN": token, "ASSAY_PROJECT": None, "COLUMNS": "200", "TERM": "dumb"}
        return CliRunner().invoke(app, args, env={**given, **env})

    return run


def test_tokens_are_made_listed_and_revoked(cli: Cli) -> None:
    assert cli("project", "create", "vision").stdout == "vision\n"
    made = cli(
        "token", "create", "ci", "--scope", "write", "--scope", "worker", "--project", "vision", "--expires", "2d"
    )
    token = made.stdout.strip()
    assert token.startswith("assay_")
    (listed,) = json.loads(cli("token", "list", "--json").stdout)
    assert (listed["name"], listed["scopes"], listed["project"]) == ("ci", ["worker", "write"], "vision")
    assert "good until" in cli("token", "list").stdout
    me = json.loads(cli("whoami", "--json", token=token).stdout)
    assert (me["actor"], me["project"], me["scopes"]) == ("ci", "vision", ["read", "worker", "write"])
    assert cli("token", "revoke", str(listed["id"])).exit_code == 0
    refused = cli("whoami", token=token)
    assert refused.exit_code == ExitCode.REFUSED
    assert "the token has been revoked" in refused.stderr
    assert "ASSAY_TOKEN" in refused.stderr
    assert "revoked" in cli("token", "list").stdout


def test_who_shows_no_token_or_a_small_one_is_told_what_is_missing(cli: Cli) -> None:
    assert cli("study", "list", token=None).exit_code == ExitCode.REFUSED
    small = cli("token", "create", "small", "--scope", "read").stdout.strip()
    refused = cli("audit", token=small)
    assert refused.exit_code == ExitCode.REFUSED
    assert "this needs the scope admin" in refused.stderr
    bad = cli("whoami", token="tökén")
    assert bad.exit_code == ExitCode.REFUSED
    assert "tökén" not in bad.stderr


def test_options_before_the_command_go_before_the_environment(cli: Cli) -> None:
    cli("project", "create", "vision")
    assert "vision" in cli("--token", OPERATORS_TOKEN, "--project", "vision", "whoami", token="x" * 20).stdout
    assert "vision" in cli("whoami", ASSAY_PROJECT="vision").stdout
    assert "default" in cli("whoami").stdout
    assert cli("--project", "nowhere", "whoami").exit_code == ExitCode.NOT_FOUND


def test_projects_are_limited_and_deleted(cli: Cli) -> None:
    cli("project", "create", "vision", "--studies", "3", "--gpus", "0.5")
    assert cli("project", "create", "vision").exit_code == ExitCode.CONFLICT
    assert cli("project", "set", "vision", "--gpus", "none", "--runs", "8").stderr == (
        "vision: runs 8, gpus no limit, studies 3\n"
    )
    shown = cli("project", "show", "vision").stdout
    assert "studies:   0 of 3 open, 0 in all\n" in shown
    assert "gpus:      0 in use\n" in shown
    assert json.loads(cli("project", "show", "vision", "--json").stdout)["usage"]["open_studies"] == 0
    assert cli("project", "set", "vision", "--runs", "many").exit_code == ExitCode.USAGE
    assert re.findall(r"^\S+", cli("project", "list").stdout, re.MULTILINE)[-2:] == ["default", "vision"]
    assert cli("project", "delete", "vision").exit_code == 0
    assert cli("project", "show", "vision").exit_code == ExitCode.NOT_FOUND


def test_the_audit_log_is_shown(cli: Cli) -> None:
    cli("project", "create", "vision")
    cli("project", "set", "vision", "--runs", "8")
    entries = json.loads(cli("audit", "--json").stdout)
    assert [entry["action"] for entry in entries] == ["project.change", "project.create"]
    assert "project.change" in cli("audit", "--project", "vision", "--limit", "1").stdout
    assert json.loads(cli("audit", "--actor", "nobody", "--json").stdout) == []


def test_the_client_says_who_it_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ASSAY_TOKEN", "ASSAY_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with assay.Client(address) as nobody, pytest.raises(assay.Unauthorized, match="send a token"):
        nobody.me()
    with assay.Client(address, token=OPERATORS_TOKEN) as operator:
        operator.projects.create("vision", max_studies=2)
        made = operator.tokens.create("ada", ["read"], project="vision", expires_at=datetime.now(UTC) + timedelta(1))
        assert [token["name"] for token in operator.tokens.list()] == ["ada"]
        assert operator.projects.usage("vision")["tokens"] == 1
    monkeypatch.setenv("ASSAY_TOKEN", made["token"])
    with assay.Client(address) as ada:
        assert ada.me()["project"] == "vision"
        assert [project["name"] for project in ada.projects.list()] == ["vision"]
        with pytest.raises(assay.Forbidden):
            ada.tokens.create("more", ["read"], project="vision")
    with assay.Client(address, project="default") as elsewhere, pytest.raises(assay.Forbidden, match="'vision'"):
        elsewhere.me()
    with pytest.raises(assay.Unauthorized):
        assay.Client(address, token="a\nb")


@pytest.mark.parametrize(("text", "away"), [("90m", {"minutes": 90}), ("12h", {"hours": 12}), ("4w", {"weeks": 4})])
def test_a_time_to_come_is_how_far_away(text: str, away: dict[str, Any]) -> None:
    before = datetime.now(UTC)
    assert before <= moment(text) - timedelta(**away) <= datetime.now(UTC)


def test_a_time_to_come_is_when() -> None:
    assert moment("2030-01-31T12:00:00+02:00") == datetime(2030, 1, 31, 10, tzinfo=UTC)
    for text in ("soon", "5", "5y", "-1d", "999999d", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(typer.BadParameter):
            moment(text)


def test_the_commands_are_documented() -> None:
    documented = DOCS.read_text()
    for command in ("token create", "token list", "token revoke", "audit", "whoami"):
        assert f"assay {command}" in documented
    for command in ("create", "list", "show", "set", "delete"):
        assert f"assay project {command}" in documented
        assert CliRunner().invoke(app, ["project", command, "--help"]).exit_code == 0
