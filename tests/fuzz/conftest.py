"""What the fuzzers share: services to fuzz, and no network."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
from anyio.from_thread import BlockingPortal
from pydantic import SecretStr

from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database, sqlite_url
from tests.fuzz.site import OPERATORS_TOKEN, Site, client_of, furnish, run_pooled, settings_for


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of hosts are known here or nowhere: webhooks go to whatever address a fuzzer thinks of."""
    known = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host in ("localhost", "127.0.0.1"):
            return known("127.0.0.1", port, *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, "there is no network here")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, portal: BlockingPortal) -> Path:
    """The data of a service: studies in every state, with whatever hangs on them."""
    data = tmp_path_factory.mktemp("fuzz") / "data"
    data.mkdir()
    shutil.copy(sqlite_template, data / "assay.db")
    database = Database(sqlite_url(data / "assay.db"))
    settings = settings_for(data)
    furnish(client_of(create_app(settings, database), portal), database)
    run_pooled(database, Checkpoints(data / "checkpoints"))
    database.dispose()
    return data


@pytest.fixture
def new_site(template: Path, tmp_path: Path, portal: BlockingPortal) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(template, tmp_path / f"site-{len(made)}", portal, **settings))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site()


@pytest.fixture
def guarded(new_site: Callable[..., Site]) -> Site:
    """The same with auth."""
    return new_site(auth="on", admin_token=SecretStr(OPERATORS_TOKEN))
