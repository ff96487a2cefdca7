"""Bodies that are no study at all, or could be understood in two ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.routes.body import MAX_DEPTH, decode
from spaces.errors import InvalidInput

JSON = {"Content-Type": "application/json"}

MALFORMED = {
    "nothing": b"",
    "blanks": b" \n",
    "not JSON": b"name: s",
    "cut off": b'{"name": "s"',
    "two values": b"{} {}",
    "a trailing comma": b'{"name": "s",}',
    "NaN": b'{"name": "s", "seed": NaN}',
    "Infinity": b'{"name": "s", "budget": {"target": -Infinity}}',
    "not UTF-8": b'{"name": "\xff"}',
    "a list bomb": b"[" * 100_000 + b"]" * 100_000,
    "an object bomb": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "too many levels": b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("headers", [JSON, {}, {"Content-Type": "text/plain"}], ids=["json", "unnamed", "text"])
def test_what_is_not_json_is_refused(
    api: httpx.Client, names: Callable[[], list[str]], content: bytes, headers: dict[str, str]
) -> None:
    answer = api.post("studies", content=content, headers=headers)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:assay:malformed-body"
    assert problem["detail"].startswith("the body is")
    assert names() == []


def test_the_place_of_a_syntax_error_is_named(api: httpx.Client) -> None:
    answer = api.post("studies", content=b'{\n  "name" "s"}', headers=JSON)

    assert answer.json()["detail"] == "the body is not JSON: Expecting ':' delimiter (line 2, column 10)"


UNACCEPTABLE = {
    "a name twice": ('{"name": "s", "name": "t"}', "name"),
    "a name twice, deep down": ('{"space": {"parameters": [{}, {"low": 1, "low": 2}]}}', "space.parameters[1].low"),
    "NUL in a text": ('{"name": "s\\u0000"}', "name"),
    "NUL in a name": ('{"objective": {"a\\u0000": 1}}', "objective.a\0"),
    "half a surrogate pair": ('{"objective": {"command": ["\\ud800"]}}', "objective.command[0]"),
    "an integer beyond 64 bits": ('{"seed": 9223372036854775808}', "seed"),
    "an integer of a million digits": ('{"seed": ' + "9" * 1_000_000 + "}", "seed"),
    "a float beyond the largest": ('{"budget": {"target": -1e400}}', "budget.target"),
}


@pytest.mark.parametrize(("content", "path"), UNACCEPTABLE.values(), ids=UNACCEPTABLE.keys())
def test_what_cannot_be_stored_as_it_is_meant_is_refused_with_its_path(
    api: httpx.Client, names: Callable[[], list[str]], content: str, path: str
) -> None:
    answer = api.post("studies", content=content, headers=JSON)

    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert names() == []


def test_whole_surrogate_pairs_and_a_byte_order_mark_are_fine() -> None:
    assert decode(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


def test_numbers_keep_their_type_and_their_last_digit() -> None:
    decoded = decode(b"[9223372036854775807, -9223372036854775808, 1.0, 1e300]")

    assert decoded == [2**63 - 1, -(2**63), 1.0, 1e300]
    assert [type(number) for number in decoded] == [int, int, float, float]


def test_several_problems_are_listed_but_not_without_end() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(json.dumps(["\0"] * 1000).encode())

    assert len(caught.value.problems) == 100


def test_a_body_too_large_is_refused_before_it_is_read(api: httpx.Client, names: Callable[[], list[str]]) -> None:
    answer = api.post("studies", content=b'{"name": "' + b"s" * 1024**2 + b'"}', headers=JSON)

    assert answer.status_code == 413
    assert answer.json()["detail"] == f"the body is larger than {1024**2} bytes"
    assert names() == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_json_under_another_name_is_refused(
    api: httpx.Client, names: Callable[[], list[str]], study_payload: dict[str, Any], media_type: str
) -> None:
    """A page in a browser may send such a body to any address without asking."""
    answer = api.post("studies", content=json.dumps(study_payload), headers={"Content-Type": media_type})

    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert names() == []
