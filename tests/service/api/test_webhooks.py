"""Webhooks over HTTP: who may say what, what is told of them, and that secrets stay secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr

from service.app import create_app
from service.database import Database
from service.models import AuditEntry, Delivery, Project, Webhook, utcnow
from service.routes.webhooks import MOST
from service.settings import Settings
from service.webhooks.messages import DEFAULT_EVENTS

HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["study.completed", "study.incumbent"]}
SECRET = "a secret for the tests"


@pytest.fixture
def app(sqlite_database: Database) -> FastAPI:
    return create_app(Settings(webhooks_allow_private=True), sqlite_database)


@pytest.fixture
def hook(api: httpx.Client) -> dict[str, Any]:
    answer = api.post("webhooks", json=HOOK)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.fixture
def change(sqlite_database: Database) -> Callable[..., None]:
    """Changes the one delivery that there is, as the deliverer would."""

    def apply(**values: Any) -> None:
        with sqlite_database.session() as session:
            session.execute(sa.update(Delivery).values(**values))

    return apply


def actions(database: Database) -> list[tuple[str, str]]:
    with database.session(write=False) as session:
        return [(entry.action, entry.target) for entry in session.scalars(sa.select(AuditEntry))]


def test_a_webhook_is_created_with_a_secret_that_is_shown_once(api: httpx.Client) -> None:
    answer = api.post("webhooks", json=HOOK)

    created = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/webhooks/{created['id']}"
    assert created["events"] == HOOK["events"]
    assert (created["url"], created["study"], created["active"]) == (HOOK["url"], None, True)
    secret = created.pop("secret")
    assert len(secret) >= 40
    assert api.get(f"webhooks/{created['id']}").json() == created
    assert api.get("webhooks").json() == {"items": [created], "next": None}
    assert secret != api.post("webhooks", json=HOOK).json()["secret"]


def test_what_is_not_said(api: httpx.Client) -> None:
    created = api.post("webhooks", json={"url": HOOK["url"]}).json()

    assert created["events"] == list(DEFAULT_EVENTS)
    assert created["failing_since"] is None


def test_an_own_secret(api: httpx.Client) -> None:
    assert api.post("webhooks", json={**HOOK, "secret": SECRET.replace(" ", "-")}).json()["secret"] == (
        "a-secret-for-the-tests"
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://ada:secret@example.org/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "http://0.0.0.0:8080/"}, "url"),
        ({"url": "https://no-such-host.invalid/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": None}, "url"),
        ({"url": "https://example.org/" + "x" * 3000}, "url"),
        ({"events": []}, "events"),
        ({"events": ["study.complete"]}, "events[0]"),
        ({"events": ["run.succeeded"]}, "events[0]"),
        ({"events": ["ping"]}, "events[0]"),
        ({"secret": "short"}, "secret"),
        ({"secret": "x" * 129}, "secret"),
        ({"secret": "with spaces in it, which headers have"}, "secret"),
        ({"study": ""}, "study"),
        ({"active": "yes"}, "active"),
        ({"surplus": 1}, "surplus"),
    ],
    ids=str,
)
def test_what_cannot_be_a_webhook(api: httpx.Client, changes: dict[str, Any], path: str) -> None:
    answer = api.post("webhooks", json={**HOOK, **changes})

    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert api.get("webhooks").json()["items"] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost:8080/", "http://10.0.0.1/", "http://[::1]/"])
def test_the_services_own_network_is_refused_unless_it_is_allowed(
    sqlite_database: Database, client_of: Callable[[FastAPI], httpx.Client], api: httpx.Client, url: str
) -> None:
    strict = client_of(create_app(Settings(), sqlite_database))

    answer = strict.post("webhooks", json={**HOOK, "url": url})
    assert answer.status_code == 422
    assert "ASSAY_WEBHOOKS_ALLOW_PRIVATE" in answer.json()["errors"][0]["message"]
    created = api.post("webhooks", json={**HOOK, "url": url})
    assert created.status_code == 201
    changed = strict.patch(f"webhooks/{created.json()['id']}", json={"url": url})
    assert changed.status_code == 422


def test_a_webhook_is_changed_in_parts(api: httpx.Client, hook: dict[str, Any], sqlite_database: Database) -> None:
    path, before = f"webhooks/{hook['id']}", {**hook}
    del before["secret"]

    assert api.patch(path, json={}).json() == before
    assert api.patch(path, json={"study": "s"}).json() == {**before, "study": "s"}
    assert api.patch(path, json={"events": ["study.failed"]}).json() == {
        **before,
        "study": "s",
        "events": ["study.failed"],
    }
    assert api.patch(path, json={"study": None, "url": "http://127.0.0.1:10/"}).json() == {
        **before,
        "events": ["study.failed"],
        "url": "http://127.0.0.1:10/",
    }
    answer = api.patch(path, json={"secret": "x" * 16})
    assert answer.status_code == 200
    assert "secret" not in answer.json()
    with sqlite_database.session(write=False) as session:
        assert session.get_one(Webhook, hook["id"]).secret == "x" * 16


def test_turning_it_off_gives_up_what_waits(api: httpx.Client, hook: dict[str, Any], sqlite_database: Database) -> None:
    path = f"webhooks/{hook['id']}"
    api.post(f"{path}/test")
    with sqlite_database.session() as session:
        session.execute(sa.update(Webhook).values(failing_since=utcnow()))

    assert api.patch(path, json={"active": False}).json()["active"] is False
    (delivery,) = api.get(f"{path}/deliveries").json()["items"]
    assert (delivery["state"], delivery["error"]) == ("failed", "the webhook was turned off")
    for closed in (f"{path}/test", f"{path}/deliveries/{delivery['number']}/redeliver"):
        answer = api.post(closed)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:assay:webhook-off")

    assert api.patch(path, json={"active": True}).json()["failing_since"] is None
    assert api.get(f"{path}/deliveries").json()["items"][0]["state"] == "failed"


def test_a_webhook_is_deleted_with_its_deliveries(
    api: httpx.Client, hook: dict[str, Any], sqlite_database: Database
) -> None:
    path = f"webhooks/{hook['id']}"
    api.post(f"{path}/test")

    answer = api.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get(path).status_code == api.delete(path).status_code == api.get(f"{path}/deliveries").status_code == 404
    with sqlite_database.session(write=False) as session:
        assert session.scalars(sa.select(Delivery)).all() == []


def test_a_test_is_a_delivery_like_others(api: httpx.Client, hook: dict[str, Any]) -> None:
    path = f"webhooks/{hook['id']}"

    answer = api.post(f"{path}/test")

    delivery = answer.json()
    assert answer.status_code == 202
    assert (delivery["event"], delivery["state"], delivery["attempts"]) == ("ping", "pending", 0)
    assert (delivery["study"], delivery["seq"], delivery["status"]) == (None, None, None)
    assert api.get(f"{path}/deliveries/{delivery['number']}").json() == delivery
    assert api.get(f"{path}/deliveries").json() == {"items": [delivery], "next": None}


def test_what_happens_to_a_study_is_a_delivery(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    hooks = [
        api.post("webhooks", json={**HOOK, "events": ["study.cancelled"], "study": name}).json()["id"]
        for name in ("s", "t")
    ]
    api.post("studies", json=study_payload)

    cancelled = api.post("studies/s/cancel").json()

    (delivery,) = api.get(f"webhooks/{hooks[0]}/deliveries").json()["items"]
    assert (delivery["event"], delivery["study"], delivery["seq"]) == ("study.cancelled", "s", cancelled["last_event"])
    assert api.get(f"webhooks/{hooks[1]}/deliveries").json()["items"] == []


def test_a_delivery_is_sent_again(api: httpx.Client, hook: dict[str, Any], change: Callable[..., None]) -> None:
    path = f"webhooks/{hook['id']}/deliveries"
    first = api.post(f"webhooks/{hook['id']}/test").json()
    again = f"{path}/{first['number']}/redeliver"
    later = utcnow() + timedelta(hours=1)

    for state in ({"state": "failed", "attempts": 8, "status": 500, "error": "no", "due_at": later},
                  {"state": "delivered", "attempts": 1, "status": 200, "delivered_at": utcnow()},
                  {"state": "pending", "attempts": 3, "due_at": later}):  # fmt: skip
        change(**state)
        answer = api.post(again)
        assert answer.status_code == 202
        assert answer.json() == {**first, "due_at": answer.json()["due_at"]}
        assert first["due_at"] <= answer.json()["due_at"] < later.isoformat()

    change(state="sending")
    answer = api.post(again)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:assay:delivery-under-way")


def test_deliveries_come_in_pages_newest_first(api: httpx.Client, hook: dict[str, Any]) -> None:
    path = f"webhooks/{hook['id']}"
    numbers = [api.post(f"{path}/test").json()["number"] for _ in range(5)]

    seen, after = [], None
    while True:
        page = api.get(f"{path}/deliveries", params={"limit": 2} | ({"after": after} if after else {})).json()
        seen += [delivery["number"] for delivery in page["items"]]
        if (after := page["next"]) is None:
            break

    assert seen == numbers[::-1]
    assert len(api.get(f"{path}/deliveries", params={"state": "pending"}).json()["items"]) == 5
    assert api.get(f"{path}/deliveries", params={"state": "failed"}).json()["items"] == []
    assert api.get(f"{path}/deliveries", params={"state": "lost"}).status_code == 422


def test_webhooks_come_in_pages_oldest_first(api: httpx.Client) -> None:
    ids = [api.post("webhooks", json=HOOK).json()["id"] for _ in range(3)]

    first = api.get("webhooks", params={"limit": 2}).json()
    second = api.get("webhooks", params={"limit": 2, "after": first["next"]}).json()

    assert [one["id"] for one in first["items"] + second["items"]] == ids
    assert second["next"] is None


def test_a_project_has_so_many_webhooks(api: httpx.Client) -> None:
    for _ in range(MOST):
        assert api.post("webhooks", json=HOOK).status_code == 201

    answer = api.post("webhooks", json=HOOK)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:assay:quota")


@pytest.mark.parametrize("path", ["webhooks/7", "webhooks/7/deliveries", "webhooks/7/deliveries/1"])
def test_what_is_not_there(api: httpx.Client, path: str) -> None:
    answer = api.get(path)

    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no webhook 7")


def test_a_delivery_of_another_webhook_is_not_there(api: httpx.Client, hook: dict[str, Any]) -> None:
    other = api.post("webhooks", json=HOOK).json()
    number = api.post(f"webhooks/{other['id']}/test").json()["number"]

    for answer in (
        api.get(f"webhooks/{hook['id']}/deliveries/{number}"),
        api.post(f"webhooks/{hook['id']}/deliveries/{number}/redeliver"),
    ):
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"webhook {hook['id']} has no delivery {number}"


def test_every_change_is_in_the_audit_log_without_secrets(
    api: httpx.Client, sqlite_database: Database, hook: dict[str, Any]
) -> None:
    path, target = f"webhooks/{hook['id']}", str(hook["id"])
    number = api.post(f"{path}/test").json()["number"]
    api.patch(path, json={"secret": "x" * 16, "study": "s"})
    api.post(f"{path}/deliveries/{number}/redeliver")
    api.delete(path)

    assert actions(sqlite_database) == [
        (f"webhook.{word}", target) for word in ("create", "test", "change", "redeliver", "delete")
    ]
    with sqlite_database.session(write=False) as session:
        details = [entry.detail for entry in session.scalars(sa.select(AuditEntry))]
    assert details[2] == {"study": "s", "secret": "changed"}
    assert hook["secret"] not in str(details)
    assert "x" * 16 not in str(details)


def test_another_project_sees_nothing_of_it(api: httpx.Client, hook: dict[str, Any], sqlite_database: Database) -> None:
    number = api.post(f"webhooks/{hook['id']}/test").json()["number"]
    with sqlite_database.session() as session:
        session.add(Project(name="other"))
    path, headers = f"webhooks/{hook['id']}", {"Assay-Project": "other"}

    assert api.get("webhooks", headers=headers).json()["items"] == []
    for answer in (
        api.get(path, headers=headers),
        api.patch(path, headers=headers, json={"active": False}),
        api.delete(path, headers=headers),
        api.post(f"{path}/test", headers=headers),
        api.get(f"{path}/deliveries", headers=headers),
        api.get(f"{path}/deliveries/{number}", headers=headers),
        api.post(f"{path}/deliveries/{number}/redeliver", headers=headers),
    ):
        assert answer.status_code == 404
    assert api.get(path).json()["active"] is True


def test_all_of_it_needs_the_scope_write(
    sqlite_database: Database, client_of: Callable[[FastAPI], httpx.Client]
) -> None:
    admin = "an admin token for the tests"
    app = create_app(Settings(auth="on", admin_token=SecretStr(admin), webhooks_allow_private=True), sqlite_database)
    client = client_of(app)

    def token(scope: str) -> dict[str, str]:
        body = {"name": scope, "scopes": [scope]}
        answer = client.post("tokens", json=body, headers={"Authorization": f"Bearer {admin}"})
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    writer, reader = token("write"), token("read")
    path = f"webhooks/{client.post('webhooks', json=HOOK, headers=writer).json()['id']}"

    for method, where, body in (
        ("GET", "webhooks", None),
        ("POST", "webhooks", HOOK),
        ("GET", path, None),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
        ("GET", f"{path}/deliveries", None),
        ("GET", f"{path}/deliveries/1", None),
        ("POST", f"{path}/deliveries/1/redeliver", None),
    ):
        assert client.request(method, where, json=body, headers=reader).status_code == 403
        assert client.request(method, where, json=body).status_code == 401
    assert client.get(path, headers=writer).json()["created_by"] == "write"


def test_a_creation_that_is_repeated_makes_one_webhook(api: httpx.Client) -> None:
    first, second = (api.post("webhooks", json=HOOK, headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["Location"] == first.headers["Location"]
    assert len(api.get("webhooks").json()["items"]) == 1
    path = f"webhooks/{first.json()['id']}"
    pings = [api.post(f"{path}/test", headers={"Idempotency-Key": "p"}) for _ in range(2)]
    assert [ping.status_code for ping in pings] == [202, 202]
    assert len(api.get(f"{path}/deliveries").json()["items"]) == 1
