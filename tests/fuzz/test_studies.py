"""Studies that are slightly or badly wrong: refused with pointers into what was sent and nothing stored, or taken; and
what is taken can be carried out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from tests.fuzz.mutations import NUMBERS, TEXTS, examples, mutated, resolves
from tests.fuzz.site import assert_sound, census, client_of, settings_for
from workers.pools.local import LocalPool

LOSS = {"name": "loss", "direction": "minimize"}
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "lr",
        "type": "float",
        "low": 1e-4,
        "high": 0.1,
        "log": True,
        "prior": {"mode": 0.01, "confidence": "high"},
    },
    {"name": "n", "type": "int", "low": 1, "high": 9, "step": 2, "default": 3},
    {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
    {"name": "size", "type": "ordinal", "choices": [1, 2, 4]},
    {"name": "flag", "type": "bool"},
    {"name": "fixed", "type": "constant", "value": 3},
    {"name": "m", "type": "float", "low": 0, "high": 0.9, "when": {"parameter": "kind", "equals": "a"}},
]
SPACE: dict[str, Any] = {
    "parameters": PARAMETERS,
    "fidelity": {"name": "epochs", "low": 1, "high": 27},
    "constraints": [
        {"forbid": {"parameter": "kind", "equals": "c"}},
        {"linear": {"lr": 1, "n": 2}, "le": 15},
    ],
}
PLAIN: dict[str, Any] = {"parameters": PARAMETERS[:3]}
REST: dict[str, Any] = {
    "metrics": [LOSS, {"name": "size", "at_most": 5}],
    "budget": {"max_runs": 9, "max_trials": 8, "max_fidelity": 99, "max_seconds": 60, "target": 0},
    "parallelism": 2,
    "resources": {"cpus": 1, "gpus": 0},
    "limits": {"seconds": 60, "memory_mb": 1000},
    "retry": {"error": 1, "oom": 0, "timeout": 0, "lost": 2, "preempted": None, "backoff_seconds": 0},
    "priority": 1,
    "seed": 7,
}
VALID: list[dict[str, Any]] = [
    {**REST, "space": SPACE, "algorithm": {"name": "hyperband", "eta": 3}},
    {**REST, "space": SPACE, "algorithm": {"name": "random", "stop": {"rule": "median", "trials": 2, "grace": 1}}},
    {**REST, "space": SPACE, "algorithm": {"name": "priorband"}},
    {**REST, "space": PLAIN, "algorithm": {"name": "tpe", "startup": 2}, "replicates": {"max": 2, "top": 1}},
    {**REST, "space": PLAIN, "algorithm": None, "warm_start": ["before"]},
    {"space": PLAIN, "metrics": [LOSS]},
]
EXTERNAL = {"type": "external"}
NOOP = {"type": "function", "function": "noop"}
ONLY_LOSS: list[dict[str, Any]] = [{**study, "metrics": [LOSS]} for study in VALID]
CHANGED = NUMBERS | TEXTS | st.sampled_from([None, True, [], {}, "a", "lr", "int", "float", ["a"], [1, 1], {"mode": 1}])
FUZZED = settings(
    max_examples=examples(120),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Service:
    def __init__(self, client: httpx.Client, database: Database, folder: Path) -> None:
        self.client = client
        self.database = database
        self.pool = LocalPool(2)
        self.dispatcher = Dispatcher(database, self.pool, Checkpoints(folder), exclusive=True)
        self._names = (f"s{number}" for number in itertools.count())
        answer = self.submit({"space": PLAIN, "metrics": [LOSS]}, EXTERNAL, "before")
        assert answer.status_code == 201, answer.text
        self.claim("before", 2)
        assert client.post("studies/before/cancel").status_code == 200

    def submit(self, study: Any, objective: Any, name: str | None = None) -> httpx.Response:
        payload = {**study, "name": name or next(self._names), "objective": objective}
        before = census(self.database)
        answer = self.client.post("studies", content=json.dumps(payload), headers={"Content-Type": "application/json"})
        assert answer.status_code in (201, 400, 422), answer.text
        if answer.status_code != 201:
            assert census(self.database) == before
            problem = answer.json()
            assert problem["errors"] or answer.status_code == 400  # which is for what is nested too deeply
            for error in problem["errors"]:
                assert error["message"]
                assert len(error["pointer"]) > 1000 or resolves(error["pointer"], payload), error
        return answer

    def claim(self, name: str, many: int) -> None:
        """Carries out a few runs of an external study, as long as there are any."""
        for _ in range(many):
            answer = self.client.post(f"studies/{name}/claims", json={"worker": "w"})
            assert answer.status_code == 200, answer.text
            for run in answer.json()["assignments"]:
                value = run["fidelity"]["value"] if run["fidelity"] else 1
                metrics = dict.fromkeys(self.metrics(name), 1 / (1 + run["run"]))
                body: dict[str, Any] = {"token": run["token"], "reports": [{"step": value, "metrics": metrics}]}
                assert self.client.post(f"runs/{run['id']}/reports", json=body).status_code == 200
                body = {"token": run["token"], "metrics": metrics}
                assert self.client.post(f"runs/{run['id']}/complete", json=body).status_code == 200

    def dispatch(self, name: str, turns: int) -> None:
        """Carries out a few runs of a study on the pool."""
        for _ in range(turns):
            self.dispatcher.step(0.005)
            if self.show(name)["state"] != "active":
                break

    def metrics(self, name: str) -> list[str]:
        return [metric["name"] for metric in self.show(name)["metrics"]]

    def show(self, name: str) -> dict[str, Any]:
        answer = self.client.get(f"studies/{name}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def retire(self, name: str) -> None:
        """Ends a study that went well so far, so that only one is under way at a time."""
        shown = self.show(name)
        assert "fault" not in (shown["reason"] or "")
        if shown["state"] == "active":
            assert self.client.post(f"studies/{name}/cancel").status_code == 200
        for page in ("trials", "runs", "incumbents", "front"):
            assert self.client.get(f"studies/{name}/{page}").status_code == 200
        assert_sound(self.database, name)


@pytest.fixture
def service(sqlite_database: Database, tmp_path: Path, portal: BlockingPortal) -> Iterator[Service]:
    app = create_app(settings_for(tmp_path), sqlite_database)
    service = Service(client_of(app, portal), sqlite_database, tmp_path / "checkpoints")
    yield service
    service.dispatcher.hand_over()
    service.pool.shutdown()


@FUZZED
@given(study=st.sampled_from(VALID).flatmap(lambda valid: mutated(valid, most=2, odd=CHANGED)))
def test_what_is_taken_can_be_carried_out_by_workers(service: Service, study: Any) -> None:
    answer = service.submit(study, EXTERNAL)
    if answer.status_code == 201:
        service.claim(answer.json()["name"], 4)
        service.retire(answer.json()["name"])


@FUZZED
@given(study=st.sampled_from(ONLY_LOSS).flatmap(lambda valid: mutated(valid, most=2, odd=CHANGED)))
def test_what_is_taken_can_be_carried_out_by_the_pool(service: Service, study: Any) -> None:
    answer = service.submit(study, NOOP)
    if answer.status_code == 201:
        service.dispatch(answer.json()["name"], 8)
        service.retire(answer.json()["name"])


@FUZZED
@given(study=st.sampled_from(VALID).flatmap(lambda valid: mutated(valid, most=5)))
def test_what_is_badly_wrong_is_refused_as_a_whole(service: Service, study: Any) -> None:
    assume(isinstance(study, dict))
    answer = service.submit(study, EXTERNAL)
    if answer.status_code == 201:
        service.claim(answer.json()["name"], 1)
        service.retire(answer.json()["name"])


TRAINED = {"type": "train", "family": "mlp", "dataset": "digits", "options": {"batch": 32}}
COMMAND = {"type": "command", "command": ["python", "train.py", "--lr", "{lr}"], "env": {"A": "b"}, "workdir": "/tmp"}


@FUZZED
@given(objective=st.sampled_from([TRAINED, COMMAND, NOOP, EXTERNAL]).flatmap(mutated))
def test_any_objective_is_answered(service: Service, objective: Any) -> None:
    answer = service.submit({"space": PLAIN, "metrics": [LOSS]}, objective)
    if answer.status_code == 201:
        service.retire(answer.json()["name"])


@pytest.mark.parametrize("number", range(len(VALID)))
def test_the_studies_that_are_changed_are_valid(service: Service, number: int) -> None:
    for study, objective in ((VALID[number], EXTERNAL), (ONLY_LOSS[number], NOOP)):
        answer = service.submit(study, objective)
        assert answer.status_code == 201, answer.text
