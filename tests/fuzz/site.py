"""A service with something of everything in it, which the fuzzers may break and get back as it was."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from service.app import create_app
from service.auth.callers import Scope as TokenScope
from service.auth.tokens import Secret
from service.checkpoints import Checkpoints
from service.database import Database, sqlite_url
from service.dispatcher import Dispatcher
from service.models import DEFAULT_PROJECT_ID, Attempt, Base, Event, Run, Study, Trial
from service.repositories.tokens import Tokens
from service.settings import Settings
from service.states import AttemptState
from workers.pools.local import LocalPool

MOST_UPLOADED = 20_000
OPERATORS_TOKEN = "the-token-of-the-operator"
HELD = ("token-of-run-a", "token-of-run-b", "token-of-run-c")
"""The tokens of the runs that are under way."""
ENDED = "token-of-an-ended-run"
SECRETS = {scope: Secret(f"{index:016x}", f"{scope}".ljust(43, "-")) for index, scope in enumerate(TokenScope)}
"""What the owners of tokens know, by what those are good for: `read` and so on, in the project `default`."""

SPACE: dict[str, Any] = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "n", "type": "int", "low": 1, "high": 9, "when": {"parameter": "kind", "equals": "a"}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
EXTERNAL: dict[str, Any] = {
    "name": "ext",
    "space": SPACE,
    "objective": {"type": "external"},
    "metrics": [{"name": "loss", "direction": "minimize"}, {"name": "size", "at_most": 5}],
    "algorithm": {"name": "hyperband", "eta": 3, "stop": {"rule": "patience", "reports": 9}},
    "budget": {"max_runs": 40},
    "parallelism": 6,
    "retry": {"error": 1, "backoff_seconds": 0},
}
POOLED: dict[str, Any] = {
    "name": "pooled",
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ]
    },
    "objective": {"type": "function", "function": "branin"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 3},
}


class Transport(httpx.BaseTransport):
    """Calls an app without a socket; what the app raises is raised in the test."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._app = httpx.ASGITransport(app)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._handle, request)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread(), request=request)


def client_of(app: FastAPI, portal: BlockingPortal) -> httpx.Client:
    return httpx.Client(transport=Transport(app, portal), base_url="http://localhost/api/v1/")


class Site:
    """A service on a database and a folder of its own, copied from a template. `renew` takes everything back."""

    def __init__(self, template: Path, folder: Path, portal: BlockingPortal, **settings: Any) -> None:
        self._template = template
        self._folder = folder
        self.portal = portal
        self._settings = settings
        self._database: Database | None = None
        self._count = 0
        self.renew()

    def renew(self) -> None:
        self.close()
        self._count += 1
        data = self._folder / str(self._count)
        shutil.copytree(self._template, data)
        self.database = self._database = Database(sqlite_url(data / "assay.db"))
        self.app = create_app(settings_for(data, **self._settings), self.database)
        self.client = client_of(self.app, self.portal)

    async def front(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app that there is just now, for clients that keep hold of theirs."""
        await self.app(scope, receive, send)

    def send(self, method: str, url: str) -> httpx.Response:
        """With the method just as it is written."""
        request = httpx.Request("GET", url)
        request.method = method
        return self.client.send(request)

    def send_pieces(
        self, method: str, path: str, piece: bytes, most: int, headers: Mapping[str, str]
    ) -> tuple[httpx.Response, int]:
        """A body that comes in pieces and does not say how long it is; and how many pieces were taken."""
        sent = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(most):
                sent += 1
                yield piece

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.client.base_url) as client:
                return await client.request(method, path, content=pieces(), headers=headers)

        return self.portal.call(ask), sent

    def close(self) -> None:
        if self._database is not None:
            self._database.dispose()
            shutil.rmtree(self._folder / str(self._count))


def settings_for(data: Path, **changes: Any) -> Settings:
    return Settings(
        data_dir=data,
        max_upload_bytes=MOST_UPLOADED,
        webhooks_allow_private=True,
        **{"rate_limit": 0, **changes},
    )


def furnish(client: httpx.Client, database: Database) -> None:
    """Fills an empty service over its own API."""

    def must(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
        return answer.json() if answer.content else None

    for name in ("empty", "other"):
        must(client.post("projects", json={"name": name}))
    must(client.post("studies", json={**EXTERNAL, "name": "theirs"}, headers={"Assay-Project": "other"}))
    must(client.post("webhooks", json={"url": "http://127.0.0.1:9/a", "secret": "s" * 20}))
    must(client.post("webhooks", json={"url": "http://127.0.0.1:9/b", "active": False}))
    for name in ("first", "second"):
        must(client.post("tokens", json={"name": name, "scopes": ["read"]}))
    must(client.post("datasets?name=table&format=csv&target=y", content=b"x,y\n1,a\n2,b\n3,a\n"))

    for changes in (
        {},
        {"name": "done", "budget": {"max_runs": 2}},
        {"name": "paused"},
        {"name": "cancelled"},
        {"name": "untouched"},
    ):
        must(client.post("studies", json={**EXTERNAL, **changes}))
    must(client.post("studies", json=POOLED))

    def claim(study: str, worker: str, count: int) -> list[dict[str, Any]]:
        answer = must(
            client.post(f"studies/{study}/claims", json={"worker": worker, "count": count, "lease_seconds": None})
        )
        found: list[dict[str, Any]] = answer["assignments"]
        return found

    def end(run: dict[str, Any], how: str, **said: Any) -> None:
        must(client.post(f"runs/{run['id']}/{how}", json={"token": run["token"], **said}))

    while runs := claim("done", "w", 1):
        end(runs[0], "complete", metrics={"loss": 1.0, "size": 2})
    first, second, third, fourth = claim("ext", "w", 4)
    reports = [{"step": step, "metrics": {"loss": 1 / step, "size": 3}} for step in (1, 2, 3)]
    must(client.post(f"runs/{first['id']}/reports", json={"token": first["token"], "reports": reports}))
    put = client.put(f"runs/{first['id']}/artifacts/note.txt?token={first['token']}&kind=file", content=b"a note")
    must(put)
    must(
        client.post(
            f"runs/{first['id']}/checkpoint?token={first['token']}&step=3",
            content=b"weights",
            headers={"Content-Type": "application/octet-stream"},
        )
    )
    end(first, "complete", metrics={"loss": 0.25, "size": 4}, provenance={"commit": "abc"}, cost={"cpu_seconds": 3.5})
    end(second, "fail", **{"class": "error", "message": "it broke", "traceback": "Traceback ..."})
    end(third, "infeasible", message="no such thing")
    end(fourth, "complete", metrics={"loss": 0.5, "size": 9})
    must(client.post("studies/ext/enqueued", json={"configs": [{"x": 0.5, "kind": "b"}]}))
    must(
        client.post("studies/ext/trials", json={"config": {"x": 0.25, "kind": "b"}, "metrics": {"loss": 2, "size": 1}})
    )
    must(client.post(f"studies/ext/trials/{fourth['trial']}/invalidate", json={"reason": "a slip"}))
    for trial in (None, 0):
        must(client.post("studies/ext/notes", json={"text": "look here", "trial": trial}))
    held = claim("ext", "v", 3)
    for run in held[:2]:
        must(client.post(f"runs/{run['id']}/reports", json={"token": run["token"], "reports": reports[:1]}))
    must(
        client.post(f"runs/{held[0]['id']}/checkpoint", json={"token": held[0]["token"], "uri": "s3://b/k", "step": 1})
    )
    must(client.post("webhooks/1/test"))
    must(client.post("studies/paused/pause"))
    must(client.post("studies/cancelled/cancel"))
    with database.session() as session:
        for scope, secret in SECRETS.items():
            Tokens(session).add(
                project_id=DEFAULT_PROJECT_ID,
                name=f"can {scope}",
                handle=secret.handle,
                hash_=secret.hash,
                scopes={scope},
                created_by="local",
                expires_at=None,
            )
        tokens = [(run["token"], token) for run, token in zip(held, HELD, strict=True)] + [(first["token"], ENDED)]
        for before, after in tokens:
            session.execute(sa.update(Attempt).where(Attempt.token == before).values(token=after))


def run_pooled(database: Database, checkpoints: Checkpoints) -> None:
    """Carries out the study `pooled`."""
    pool = LocalPool(1)
    dispatcher = Dispatcher(database, pool, checkpoints, exclusive=True)
    for _ in range(1000):
        dispatcher.step(0.01)
        with database.session(write=False) as session:
            if session.scalars(sa.select(Study.state).where(Study.name == "pooled")).one() == "completed":
                break
    else:
        raise AssertionError("the study does not end")
    dispatcher.hand_over()
    pool.shutdown()


def run_ids(database: Database, *tokens: str) -> list[str]:
    """The ids of the runs whose attempts have these tokens."""
    with database.session(write=False) as session:
        found = {row.token: f"{row.study_id}-{row.run}" for row in session.scalars(sa.select(Attempt))}
    return [found[token] for token in tokens]


def census(database: Database) -> dict[str, int]:
    """How many rows every table has."""
    with database.session(write=False) as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables}


def assert_sound(database: Database, *names: str) -> None:
    """What must be true of studies (of all, if none is named), whatever was asked of them."""
    with database.session(write=False) as session:
        for study in session.scalars(sa.select(Study).where(Study.name.in_(names) if names else sa.true())):
            runs = session.scalars(sa.select(Run).where(Run.study_id == study.id).order_by(Run.number)).all()
            assert [run.number for run in runs] == list(range(len(runs)))
            _assert_counted(study, runs)
            trials = sa.select(sa.func.count()).select_from(Trial).where(Trial.study_id == study.id)
            assert session.scalar(trials) == study.trials
            seqs = session.scalars(sa.select(Event.seq).where(Event.study_id == study.id).order_by(Event.seq)).all()
            assert seqs == list(range(1, study.last_event + 1))
            attempts = session.scalars(sa.select(Attempt).where(Attempt.study_id == study.id)).all()
            _assert_held(runs, attempts)


def _assert_counted(study: Study, runs: Sequence[Run]) -> None:
    states = [run.state for run in runs]
    assert study.counts == {state: states.count(state) for state in set(states)}


def _assert_held(runs: Sequence[Run], attempts: Sequence[Attempt]) -> None:
    going_on = (AttemptState.LEASED, AttemptState.REPORTING)
    for run in runs:
        mine = [attempt for attempt in attempts if attempt.run == run.number]
        assert sorted(attempt.number for attempt in mine) == list(range(1, run.attempts + 1))
        held = [attempt.number for attempt in mine if attempt.state in going_on]
        assert held in ([], [run.attempts]), "only the latest attempt may go on"
        assert not held or run.state in ("pending", "running")
        assert (run.ended_event is None) == (run.state in ("pending", "running"))
        assert all((attempt.ended_at is None) == (attempt.state in going_on) for attempt in mine)
