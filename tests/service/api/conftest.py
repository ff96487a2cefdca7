"""The real app over a real database: without a socket, and on a real server where streams are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio.from_thread
import httpx
import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from pydantic import SecretStr

from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from service.models import DEFAULT_PROJECT_ID
from service.repositories.studies import Studies
from service.settings import Settings
from service.states import StudyState


class AsgiTransport(httpx.BaseTransport):
    """Calls an app as a server would, without a socket; what the app raises becomes its answer, as on a server."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._handle, request)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def client_of(portal: BlockingPortal) -> Callable[[FastAPI], httpx.Client]:
    return lambda app: httpx.Client(transport=AsgiTransport(app, portal), base_url="http://localhost/api/v1/")


@pytest.fixture
def app(sqlite_database: Database) -> FastAPI:
    return create_app(Settings(), sqlite_database)


@pytest.fixture
def api(app: FastAPI, client_of: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    return client_of(app)


OPERATORS_TOKEN = "the-token-of-the-operator"


@pytest.fixture
def guarded(sqlite_database: Database) -> FastAPI:
    """The app with auth."""
    return create_app(Settings(auth="on", admin_token=SecretStr(OPERATORS_TOKEN)), sqlite_database)


@pytest.fixture
def bearing(guarded: FastAPI, client_of: Callable[[FastAPI], httpx.Client]) -> Callable[..., httpx.Client]:
    """A client of the app with auth that shows a token."""

    def make(token: str | None, **headers: str) -> httpx.Client:
        client = client_of(guarded)
        client.headers.update({**({"Authorization": f"Bearer {token}"} if token else {}), **headers})
        return client

    return make


@pytest.fixture
def operator(bearing: Callable[..., httpx.Client]) -> httpx.Client:
    """Who may do everything."""
    return bearing(OPERATORS_TOKEN)


@pytest.fixture
def token_for(operator: httpx.Client) -> Callable[..., str]:
    """A new token with these scopes, for a project that is made if it is not there."""

    def make(*scopes: str, project: str | None = None, name: str = "somebody", **more: Any) -> str:
        if project is not None:
            assert operator.post("projects", json={"name": project}).status_code in (201, 409)
        answer = operator.post("tokens", json={"name": name, "scopes": scopes, "project": project, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    return make


@pytest.fixture
def names(api: httpx.Client) -> Callable[[], list[str]]:
    """The names of the studies that are stored."""
    return lambda: [study["name"] for study in api.get("studies").json()["items"]]


@pytest.fixture
def study(api: httpx.Client, study_payload: dict[str, Any]) -> dict[str, Any]:
    """A study that was submitted, as the service answered."""
    answer = api.post("studies", json=study_payload)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.fixture
def live(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/api/v1/", timeout=30) as client:
        yield client


def value_of(config: dict[str, Any], fidelity: float) -> float:
    """What the scripted workers find: better the longer they train."""
    return (config["x0"] ** 2 + config["x1"]) / fidelity


@pytest.fixture
def carry_out(pool: Any, checkpoints: Checkpoints) -> Callable[[Database, str], None]:
    """Drives a study to its end, with two reports per run."""

    def drive(database: Database, name: str) -> None:
        dispatcher = Dispatcher(database, pool, checkpoints, exclusive=True)
        for _ in range(200):
            take_turn(dispatcher)
            with database.session(write=False) as session:
                if StudyState(Studies(session, DEFAULT_PROJECT_ID).get(name).state).finished:
                    return dispatcher.hand_over()
            for assignment in list(pool.open.values()):
                fidelity = assignment.fidelity[1] if assignment.fidelity else 1
                loss = value_of(assignment.config, fidelity)
                if assignment.task == "train":
                    pool.report(assignment, 1, loss=2 * loss)
                    pool.report(assignment, 2, loss=loss)
                pool.finish(assignment, loss=loss)
        raise AssertionError("the study does not end")

    return drive


def take_turn(dispatcher: Dispatcher) -> None:
    dispatcher._next_look = 0.0  # look at the studies whatever the clock says
    dispatcher.step(0.0)


@pytest.fixture
def finished(
    sqlite_database: Database,
    create: Callable[..., int],
    carry_out: Callable[[Database, str], None],
    hyperband_payload: dict[str, Any],
) -> str:
    """The name of a Hyperband study that has come to its end."""
    create(hyperband_payload)
    carry_out(sqlite_database, hyperband_payload["name"])
    return str(hyperband_payload["name"])
