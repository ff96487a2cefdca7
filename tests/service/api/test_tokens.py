"""Tokens are made, shown once, listed without their secret and revoked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.auth.tokens import Secret, same


def test_the_secret_is_shown_once(api: httpx.Client) -> None:
    answer = api.post("tokens", json={"name": "ci", "scopes": ["write", "execute"]})
    assert answer.status_code == 201
    made = answer.json()
    secret = Secret.parse(made.pop("token"))
    assert secret is not None
    assert secret.handle == made["handle"]
    (listed,) = api.get("tokens").json()["items"]
    assert listed == made
    assert secret.secret not in api.get("tokens").text + api.get("audit").text
    assert listed == {
        **listed,
        "name": "ci",
        "scopes": ["execute", "write"],
        "project": None,
        "created_by": "local",
        "expires_at": None,
        "revoked_at": None,
        "used_at": None,
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": "read"}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 129}, "name"),
        ({"expires_at": "yesterday"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"project": "a/b"}, "project"),
        ({"admin": True}, "admin"),
    ],
    ids=str,
)
def test_a_bad_token_is_refused_with_its_place(api: httpx.Client, change: dict[str, Any], where: str) -> None:
    answer = api.post("tokens", json={"name": "t", "scopes": ["read"], **change})
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [where]
    assert api.get("tokens").json()["items"] == []


def test_a_token_for_a_project_that_is_not_there(api: httpx.Client) -> None:
    answer = api.post("tokens", json={"name": "t", "scopes": ["read"], "project": "nowhere"})
    assert answer.status_code == 404


def test_tokens_come_in_pages(api: httpx.Client) -> None:
    for number in range(3):
        api.post("tokens", json={"name": f"t{number}", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00+02:00"})
    first = api.get("tokens", params={"limit": 2}).json()
    assert [token["name"] for token in first["items"]] == ["t2", "t1"]
    assert first["items"][0]["expires_at"] == "2099-12-31T22:00:00Z"
    second = api.get("tokens", params={"after": first["next"]}).json()
    assert [token["name"] for token in second["items"]] == ["t0"]
    assert second["next"] is None


def test_a_token_that_is_not_there_cannot_be_revoked(api: httpx.Client) -> None:
    assert api.delete("tokens/7").status_code == 404
    assert api.delete("tokens/x").status_code == 422


def test_secrets_are_compared_whole() -> None:
    one, other = Secret.new(), Secret.new()
    assert one != other
    assert Secret.parse(str(one)) == one
    assert one.fits(one.hash)
    assert not one.fits(other.hash)
    assert not one.fits(None)
    assert same("é\ud800", "é\ud800")
    assert not same("a", "ab")
