"""A write that is repeated with its key is done once and answered the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from service.app import create_app
from service.database import Database
from service.idempotency import REMEMBERED, SWEPT_AFTER, Repeatable, fingerprint
from service.models import DEFAULT_PROJECT_ID, IdempotencyKey, utcnow
from service.repositories.idempotency import IdempotencyKeys
from service.settings import Settings

KEY = {"Idempotency-Key": "a-key"}


def test_a_repeated_study_is_created_once(
    api: httpx.Client, names: Callable[[], list[str]], study_payload: dict[str, Any]
) -> None:
    first = api.post("studies", json=study_payload, headers=KEY)
    again = api.post("studies", json=study_payload, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"] == "/api/v1/studies/s"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert names() == ["s"]
    assert len(api.get("audit").json()["items"]) == 1
    assert api.post("studies", json=study_payload).status_code == 409, "without the key it is another request"


def test_what_was_answered_stays_the_answer(api: httpx.Client, study: dict[str, Any]) -> None:
    paused = api.post("studies/s/pause", headers=KEY)
    api.post("studies/s/cancel")
    again = api.post("studies/s/pause", headers=KEY)
    assert (again.status_code, again.json()) == (200, paused.json())
    assert api.get("studies/s").json()["state"] == "cancelled"


def test_a_key_is_not_taken_for_another_request(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    assert api.post("studies", json=study_payload, headers=KEY).status_code == 201
    for path, body in (
        ("studies", {**study_payload, "seed": 1}),
        ("studies/s/pause", None),
        ("studies/s/pause?x=1", None),
        ("projects", {"name": "p"}),
    ):
        answer = api.post(path, json=body, headers=KEY)
        assert answer.status_code == 409, path
        assert answer.json()["type"] == "urn:assay:idempotency-key-reused"
    assert api.get("studies/s").json()["state"] == "active"


def test_what_was_refused_may_be_tried_again(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    assert api.post("studies/s/pause", headers=KEY).status_code == 404
    assert api.post("studies", json={**study_payload, "seed": -1}, headers={"Idempotency-Key": "b"}).status_code == 422
    api.post("studies", json=study_payload)
    assert api.post("studies/s/pause", headers=KEY).json()["state"] == "paused"


def test_keys_are_a_projects_own(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    api.post("projects", json={"name": "p"})
    for project in ("default", "p"):
        answer = api.post("studies", json=study_payload, headers={**KEY, "Assay-Project": project})
        assert answer.status_code == 201
        assert "Idempotent-Replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f"], ids=["empty", "blank", "long", "unprintable"])
def test_a_bad_key_is_refused(api: httpx.Client, study: dict[str, Any], key: str) -> None:
    answer = api.post("studies/s/pause", headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert api.get("studies/s").json()["state"] == "active"


def test_a_route_without_a_body_reads_no_large_one(api: httpx.Client, study: dict[str, Any]) -> None:
    answer = api.post("studies/s/pause", content=b" " * (1024**2 + 1), headers=KEY)
    assert answer.status_code == 413


def test_of_many_at_once_one_has_an_effect(
    database: Database, client_of: Callable[[FastAPI], httpx.Client], study_payload: dict[str, Any]
) -> None:
    app = create_app(Settings(), database)
    answers: list[httpx.Response] = []

    def submit() -> None:
        answers.append(client_of(app).post("studies", json=study_payload, headers=KEY))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7


class Answer(BaseModel):
    number: int


def once(key: str = "k", request: str = "r") -> Repeatable:
    return Repeatable(DEFAULT_PROJECT_ID, key, fingerprint("POST", request, b""))


def test_the_answer_is_stored_with_what_it_tells_of(database: Database) -> None:
    with pytest.raises(RuntimeError), once().transaction(database) as session:
        once().keep(session, Answer(number=1))
        raise RuntimeError
    with database.session(write=False) as session:
        assert once().earlier(session) is None
    request = once()
    with request.transaction(database) as session:
        request.keep(session, Answer(number=2), 201, {"Location": "/there"})
    with database.session(write=False) as session:
        replay = once().earlier(session)
    assert replay is not None
    assert (replay.status, replay.content, replay.headers) == (201, '{"number":2}', {"Location": "/there"})


def test_several_requests_share_a_transaction(database: Database) -> None:
    with database.session() as session:
        for number in range(2):
            request = once(f"k{number}")
            assert request.claim(session) is None
            request.keep(session, Answer(number=number))
        replay = once("k0").claim(session)
        assert replay is not None
        assert replay.content == '{"number":0}'


def test_a_key_is_forgotten_after_a_day(database: Database) -> None:
    for age, status in ((timedelta(hours=23), 1), (REMEMBERED + timedelta(seconds=1), 2)):
        request = once()
        with database.session() as session:
            if request.claim(session) is None:
                request.keep(session, Answer(number=1), status)
        with database.session() as session:
            session.get_one(IdempotencyKey, (DEFAULT_PROJECT_ID, "k")).created_at = utcnow() - age
    with database.session() as session:
        assert once(request="other").claim(session) is None, "it is another request's now"


def test_old_keys_are_swept_a_few_at_a_time(database: Database) -> None:
    now = utcnow()
    with database.session() as session:
        for number in range(5):
            then = now - (SWEPT_AFTER + timedelta(hours=number) if number < 4 else timedelta(hours=1))
            IdempotencyKeys(session).claim(DEFAULT_PROJECT_ID, str(number), "f", then, then - REMEMBERED)
    with database.session() as session:
        IdempotencyKeys(session).sweep(now - SWEPT_AFTER + timedelta(seconds=1), 3)
    with database.session(write=False) as session:
        left = [session.get(IdempotencyKey, (DEFAULT_PROJECT_ID, str(number))) for number in range(5)]
    assert [number for number, row in enumerate(left) if row] == [0, 4], "the oldest go first"
