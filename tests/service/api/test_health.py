"""Alive is not ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
from fastapi import FastAPI

from service.app import create_app
from service.database import Database, sqlite_url
from service.settings import Settings

Clients = Callable[[FastAPI], httpx.Client]


def test_a_service_that_works_is_alive_and_ready(api: httpx.Client) -> None:
    assert api.get("http://localhost/healthz").json() == {"status": "alive"}
    assert api.get("http://localhost/readyz").json() == {"status": "ready", "checks": ["database"]}


def test_without_migrations_it_is_alive_but_not_ready(client_of: Clients, tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "empty.db"))
    api = client_of(create_app(Settings(), database))

    assert api.get("http://localhost/healthz").status_code == 200
    answer = api.get("http://localhost/readyz")
    database.dispose()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["path"] == "database"
    assert "migrate first" in answer.json()["detail"]


def test_further_checks_count(client_of: Clients, sqlite_database: Database) -> None:
    trouble: list[str | None] = [None, "it has ended"]
    api = client_of(create_app(Settings(), sqlite_database, {"dispatcher": lambda: trouble.pop(0)}))

    assert api.get("http://localhost/readyz").json()["checks"] == ["database", "dispatcher"]
    answer = api.get("http://localhost/readyz")
    assert answer.status_code == 503
    assert answer.json()["errors"] == [{"path": "dispatcher", "pointer": "/dispatcher", "message": "it has ended"}]
