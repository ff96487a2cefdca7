"""Whatever workers and people say of runs is taken or refused, never a fault; of what is refused nothing stays."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.app import create_app
from service.database import Database
from tests.fuzz.mutations import examples, mutated, resolves
from tests.fuzz.site import MOST_UPLOADED, assert_sound, census, client_of, settings_for

SPACE: dict[str, Any] = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
STUDIES: dict[str, dict[str, Any]] = {
    "stopping": {"algorithm": {"name": "random", "stop": {"rule": "median", "trials": 2, "grace": 1}}},
    "modelling": {"algorithm": {"name": "tpe"}},
    "halving": {"algorithm": {"name": "asha"}},
}
CONFIG = {"x": 0.25, "kind": "b"}
ENDING = {"provenance": {"commit": "abc", "libraries": {"numpy": "2"}}, "cost": {"cpu_seconds": 3.5, "gpu_seconds": 0}}
METRICS = {"loss": 0.5, "other": 2}
REPORTS = [{"step": step, "metrics": METRICS, "time": float(step)} for step in (1, 2, 3)]
OF_RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "reports": ("POST", {"reports": REPORTS}),
    "heartbeat": ("PUT", {}),
    "checkpoint": ("POST", {"uri": "s3://bucket/key", "step": 2}),
    "complete": ("POST", {"metrics": METRICS, "stopped": None, **ENDING}),
    "fail": ("POST", {"class": "error", "message": "it broke", "traceback": "Traceback ...", **ENDING}),
    "infeasible": ("POST", {"message": "no such thing", **ENDING}),
}
OF_STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "/claims": ("POST", {"worker": "somebody", "count": 2, "lease_seconds": 60.0}),
    "/enqueued": ("POST", {"configs": [CONFIG, {"x": 1, "kind": "a"}]}),
    "/trials": ("POST", {"config": CONFIG, "metrics": METRICS, "fidelity": 9, "failure": None}),
    "/trials/0/invalidate": ("POST", {"reason": "a slip"}),
    "/notes": ("POST", {"text": "look here", "trial": 0}),
    "": ("PATCH", {"priority": 1}),
}
REFUSALS = {400, 404, 409, 413, 415, 422}
FUZZED = settings(
    max_examples=examples(120),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Service:
    """Three external studies, each with as much to do as anybody wants."""

    def __init__(self, client: httpx.Client, database: Database) -> None:
        self.client = client
        self.database = database
        self._workers = (f"worker-{number}" for number in itertools.count())
        for name, changes in STUDIES.items():
            payload = {
                "name": name,
                "space": SPACE,
                "objective": {"type": "external"},
                "metrics": [{"name": "loss", "direction": "minimize"}],
                "parallelism": 10_000,
                "retry": {"error": 1, "backoff_seconds": 0},
                **changes,
            }
            answer = client.post("studies", json=payload)
            assert answer.status_code == 201, answer.text
            self.claim(name)

    def claim(self, study: str) -> dict[str, Any]:
        """A new run."""
        answer = self.client.post(f"studies/{study}/claims", json={"worker": next(self._workers)})
        assert answer.status_code == 200, answer.text
        (run,) = answer.json()["assignments"]
        found: dict[str, Any] = run
        return found

    def say(self, method: str, path: str, body: object) -> httpx.Response:
        """Says it, and checks what must be true of every answer."""
        before = census(self.database)
        answer = self.client.request(
            method, path, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.is_success or answer.status_code in REFUSALS, answer.text
        if not answer.is_success:
            assert_a_problem(answer, body)
            assert census(self.database) == before
        return answer


def assert_a_problem(answer: httpx.Response, body: object) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    if answer.status_code == 422:
        assert problem["errors"]
    for error in problem["errors"]:
        assert error["message"]
        assert len(error["pointer"]) > 1000 or resolves(error["pointer"], body), error


@pytest.fixture
def service(database: Database, tmp_path: Path, portal: BlockingPortal) -> Iterator[Service]:
    service = Service(client_of(create_app(settings_for(tmp_path), database), portal), database)
    yield service
    assert_sound(database)
    for name in STUDIES:  # whatever it was told, it goes on
        service.claim(name)
        assert service.client.get(f"studies/{name}/best").status_code in (200, 404)
        assert service.client.get(f"studies/{name}/runs?limit=1000").status_code == 200
        assert service.client.get(f"studies/{name}/events?format=json&limit=1000").status_code == 200


@FUZZED
@given(data=st.data())
def test_whatever_is_said_of_a_run(service: Service, data: st.DataObject) -> None:
    study = data.draw(st.sampled_from(list(STUDIES)), "study")
    what = data.draw(st.sampled_from(list(OF_RUNS)), "what")
    method, valid = OF_RUNS[what]
    body = data.draw(mutated(valid), "body")
    run = service.claim(study)
    body = {**body, "token": run["token"]} if isinstance(body, dict) else body
    answer = service.say(method, f"runs/{run['id']}/{what}", body)
    if answer.is_success:
        repeated = service.say(method, f"runs/{run['id']}/{what}", body)
        assert repeated.status_code in (200, 409)
    assert_sound(service.database, run["study"])


@FUZZED
@given(data=st.data())
def test_whatever_is_said_with_whatever_token_of_whatever_run(service: Service, data: st.DataObject) -> None:
    run = service.claim("modelling")
    other = service.claim("stopping")
    what = data.draw(st.sampled_from(list(OF_RUNS)), "what")
    method, valid = OF_RUNS[what]
    ids = [
        run["id"],
        "1-999999999",
        "999999999-0",
        "0-0",
        "2-",
        "-1-0",
        "2-0-0",
        "x",
        "2-0%0a",
        "%00",
        "٢-٠",
        "2" * 300,
    ]
    id_ = data.draw(st.sampled_from(ids), "id")
    tokens = [run["token"], other["token"], "", "nobody's", "a" * 65, "\0", None, 1, run["token"].upper()]
    body = {**valid, "token": data.draw(st.sampled_from(tokens), "token")}
    answer = service.say(method, f"runs/{id_}/{what}", body)
    assert answer.is_success == (body["token"] == run["token"] and id_ == run["id"]), answer.text
    assert_sound(service.database, "modelling")


@FUZZED
@given(data=st.data())
def test_whatever_is_said_of_a_study(service: Service, data: st.DataObject) -> None:
    study = data.draw(st.sampled_from(list(STUDIES)), "study")
    what = data.draw(st.sampled_from(list(OF_STUDIES)), "what")
    method, valid = OF_STUDIES[what]
    body = data.draw(mutated(valid), "body")
    service.say(method, f"studies/{study}{what}", body)
    assert_sound(service.database, study)


@FUZZED
@given(
    content=st.binary(max_size=100) | st.integers(0, 2 * MOST_UPLOADED).map(bytes),
    what=st.sampled_from(["checkpoint", "artifacts/a", "artifacts/%C3%A9%20x", "artifacts/..", "artifacts/%00"]),
    params=st.dictionaries(
        st.sampled_from(["step", "kind"]), st.sampled_from(["log", "1", "-0.0", "NaN", "1e400", ""])
    ),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "Content-Digest", "X-Checksum-Sha256", "Content-Encoding"]),
        st.sampled_from(
            ["text/plain", "application/json", "a/b; c", "sha-256=:x:", "gzip", "é".encode().decode("latin-1")]
        ),
    ),
)
def test_whatever_is_uploaded(
    service: Service, content: bytes, what: str, params: dict[str, str], headers: dict[str, str]
) -> None:
    run = service.claim("modelling")
    method = "POST" if what == "checkpoint" else "PUT"
    before = census(service.database)
    answer = service.client.request(
        method,
        f"runs/{run['id']}/{what}",
        content=content,
        params={"token": run["token"], **params},
        headers={name: value.encode("latin-1") for name, value in headers.items()},  # type: ignore[arg-type]
    )
    if answer.is_success:
        after = census(service.database)
        assert {**after, "artifacts": before["artifacts"]} == before
    else:
        assert answer.status_code in REFUSALS, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert census(service.database) == before


def test_as_many_reports_as_may_come_at_once_and_one_more(service: Service) -> None:
    for many, status in ((1000, 200), (1001, 422)):
        run = service.claim("modelling")
        reports = [{"step": step, "metrics": {f"m{step}": 1e308}} for step in range(many)]
        answer = service.say("POST", f"runs/{run['id']}/reports", {"token": run["token"], "reports": reports})
        assert answer.status_code == status


@pytest.mark.parametrize("said", [None, "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("stopped", [None, True, False])
def test_results_that_are_no_numbers(service: Service, said: str | None, stopped: bool | None) -> None:
    run = service.claim("modelling")
    body = {"token": run["token"], "metrics": {"loss": said, "other": said}, "stopped": stopped}
    answer = service.say("POST", f"runs/{run['id']}/complete", body)
    assert answer.status_code == 200
    assert answer.json()["state"] == ("stopped" if stopped else "failed")
    assert service.say("POST", f"runs/{run['id']}/complete", body).status_code == 200
    later = service.claim("modelling")
    assert service.say("POST", f"runs/{later['id']}/fail", {"token": later["token"]}).status_code == 200
    assert service.say("POST", f"runs/{later['id']}/complete", {**body, "token": later["token"]}).status_code == 200
    late = service.claim("modelling")
    cancelled = service.say("POST", f"studies/modelling/trials/{late['trial']}/invalidate", {"reason": "a slip"})
    assert cancelled.status_code == 200
    assert service.say("POST", f"runs/{late['id']}/complete", {**body, "token": late["token"]}).status_code == 409


@pytest.mark.parametrize("said", [None, "NaN", "Infinity", "-Infinity"])
def test_a_side_metric_that_is_no_number_is_kept_as_null(service: Service, said: str | None) -> None:
    run = service.claim("modelling")
    body = {"token": run["token"], "metrics": {"loss": 1, "other": said}}
    answer = service.say("POST", f"runs/{run['id']}/complete", body)
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["metrics"]) == ("succeeded", {"loss": 1, "other": None})
    told = service.say("POST", "studies/modelling/trials", {"config": CONFIG, "metrics": {"loss": 2, "other": said}})
    assert (told.status_code, told.json()["metrics"]) == (201, {"loss": 2, "other": None})
