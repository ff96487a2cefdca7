"""Every change is told to the audit log, in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx


def test_every_change_is_told(
    operator: httpx.Client,
    bearing: Callable[..., httpx.Client],
    token_for: Callable[..., str],
    study_payload: dict[str, Any],
) -> None:
    client = bearing(token_for("write", project="p", name="ada"))
    client.post("studies", json=study_payload)
    for action in ("pause", "resume", "cancel"):
        client.post(f"studies/s/{action}")
    operator.patch("projects/p", json={"max_runs": 1})
    (token,) = operator.get("tokens").json()["items"]
    operator.delete(f"tokens/{token['id']}")
    entries = operator.get("audit").json()["items"]
    assert [(entry["actor"], entry["action"], entry["target"]) for entry in entries] == [
        ("operator", "token.revoke", "ada"),
        ("operator", "project.change", "p"),
        ("ada", "study.cancel", "s"),
        ("ada", "study.resume", "s"),
        ("ada", "study.pause", "s"),
        ("ada", "study.create", "s"),
        ("operator", "token.create", "ada"),
        ("operator", "project.create", "p"),
    ]
    assert {entry["project"] for entry in entries} == {"p"}
    assert entries[2]["detail"] == {"token": token["id"]}
    assert entries[2]["address"] == "127.0.0.1"


def test_what_was_refused_is_no_change(api: httpx.Client, study: dict[str, Any], study_payload: dict[str, Any]) -> None:
    assert api.post("studies", json=study_payload).status_code == 409
    assert api.post("studies/s/resume").status_code == 409
    assert api.post("studies", json={**study_payload, "name": "t", "budget": {"max_runs": 0}}).status_code == 422
    assert [entry["action"] for entry in api.get("audit").json()["items"]] == ["study.create"]


def test_the_log_is_read_in_pages_and_by_actor_action_and_project(
    api: httpx.Client, study: dict[str, Any], study_payload: dict[str, Any]
) -> None:
    api.post("projects", json={"name": "p"})
    api.post("studies", json=study_payload, headers={"Assay-Project": "p"})
    first = api.get("audit", params={"limit": 2}).json()
    second = api.get("audit", params={"limit": 2, "after": first["next"]}).json()
    assert [entry["action"] for entry in first["items"] + second["items"]] == [
        "study.create",
        "project.create",
        "study.create",
    ]
    assert second["next"] is None

    def found(**by: str) -> list[str]:
        return [f"{each['project']}:{each['action']}" for each in api.get("audit", params=by).json()["items"]]

    assert found(project="p") == ["p:study.create", "p:project.create"]
    assert found(action="study.create") == ["p:study.create", "default:study.create"]
    assert found(actor="nobody") == []
    assert len(found(actor="local")) == 3
    assert api.get("audit", params={"project": "nowhere"}).status_code == 404
    assert api.get("audit", params={"actor": "\0"}).status_code == 422


def test_entries_outlive_their_project(api: httpx.Client) -> None:
    api.post("projects", json={"name": "p"})
    api.delete("projects/p")
    deleted, created = api.get("audit").json()["items"]
    assert (deleted["action"], deleted["target"]) == ("project.delete", "p")
    assert (created["action"], created["project"], created["target"]) == ("project.create", None, "p")
