"""Studies in every condition, and the app that shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from search import judge
from search.history import Outcome, RunState, Slot
from search.history import Run as Decision
from service.app import create_app
from service.database import Database
from service.lifecycle import create_study
from service.repositories.events import Events
from service.repositories.owned import Owned
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.settings import Settings
from service.specs import search_spec
from service.tracking import stored_history


class Stage:
    """Writes what a dispatcher would have written. Runs end in the order in which `end` is called."""

    def __init__(self, database: Database, study_id: int) -> None:
        self.database = database
        self.study_id = study_id
        self.trial_of: list[int] = []

    def start(self, trial: int, fidelity: float | None = None, rung: int = 0, **config: Any) -> int:
        """A running run of a trial; `rung` tells its runs apart, the first one of a trial has rung 0."""
        number = len(self.trial_of)
        earlier = [run for run, owner in enumerate(self.trial_of) if owner == trial]
        self.trial_of.append(trial)
        with self.database.session() as session:
            study = Owned(session).lock(self.study_id)
            decision = Decision(
                number,
                trial,
                config or {"x0": float(trial), "x1": 1.0},
                Slot(0, rung, fidelity),
                origin={"sampler": "random"},
                resume_from=earlier[-1] if earlier else None,
            )
            run = Runs(session).add(study, [decision])[0].run
            session.flush()
            run.attempts = 1
            Events(session).move_run(study, run, RunState.RUNNING)
        return number

    def end(self, number: int, value: float | None, message: str = "it broke", **metrics: float) -> None:
        """Ends a run with the value of its first metric (`loss`, or `metrics`), or as failed when there is none."""
        with self.database.session() as session:
            study, run = Owned(session).lock(self.study_id), Runs(session).get(self.study_id, number).run
            if value is None:
                run.failure_class, run.failure_message = "error", message
                Events(session).move_run(study, run, RunState.FAILED)
            else:
                run.metrics, run.value = metrics or {"loss": value}, value
                Events(session).move_run(study, run, RunState.SUCCEEDED)
                spec = search_spec(study)
                verdict = judge(spec, run.metrics)
                assert isinstance(verdict, Outcome), verdict
                run.violation = verdict.violation
                Standings(session).update(study, spec, stored_history(session, study))

    def report(self, number: int, **losses: float) -> None:
        """The loss per step, as `report(0, s1=0.5, s2=0.25)`."""
        with self.database.session() as session:
            Reports(session).add(
                {
                    "study_id": self.study_id,
                    "run": number,
                    "attempt": 1,
                    "step": float(step[1:]),
                    "metrics": {"loss": loss},
                    "seconds": 0.1,
                }
                for step, loss in losses.items()
            )


@pytest.fixture
def stage_on(study_payload: dict[str, Any]) -> Callable[..., Stage]:
    """Stores a new study, the usual one with changes, on a database."""

    def make(database: Database, **changes: Any) -> Stage:
        with database.session() as session:
            return Stage(database, create_study(session, {**study_payload, **changes}).id)

    return make


@pytest.fixture
def stage(sqlite_database: Database, stage_on: Callable[..., Stage]) -> Stage:
    """The study `s`, without runs."""
    return stage_on(sqlite_database)


@pytest.fixture
def app(sqlite_database: Database) -> FastAPI:
    return create_app(Settings(), sqlite_database)


@pytest.fixture
def browse(app: FastAPI) -> Callable[..., httpx.Response]:
    """Asks the app for a page, as a browser does."""

    def get(path: str, accept: str = "text/html,*/*;q=0.8", method: str = "GET", **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, headers={"Accept": accept}, **options)

        return asyncio.run(ask())

    return get


@pytest.fixture
def text_of(browse: Callable[..., httpx.Response]) -> Callable[[str], str]:
    def read(path: str) -> str:
        answer = browse(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    return read


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages of trials, so that a few trials fill several."""
    monkeypatch.setattr("service.dashboard.shown.TRIALS_PER_PAGE", 3)
