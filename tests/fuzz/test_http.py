"""HTTP itself, bent: bodies that are none, headers that make no sense, names that are no names. All are answered with
problem documents, never with a fault, and change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import examples
from tests.fuzz.site import HELD, MOST_UPLOADED, Site, census, run_ids

JSON = {"Content-Type": "application/json"}
FUZZED = settings(
    max_examples=examples(100), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WITH_BODY = [
    ("POST", "studies"),
    ("PATCH", "studies/ext"),
    ("POST", "studies/ext/claims"),
    ("POST", "studies/ext/enqueued"),
    ("POST", "studies/ext/trials"),
    ("POST", "studies/ext/trials/0/invalidate"),
    ("POST", "studies/ext/notes"),
    ("POST", "runs/2-1/reports"),
    ("PUT", "runs/2-1/heartbeat"),
    ("POST", "runs/2-1/checkpoint"),
    ("POST", "runs/2-1/complete"),
    ("POST", "runs/2-1/fail"),
    ("POST", "runs/2-1/infeasible"),
    ("POST", "projects"),
    ("PATCH", "projects/default"),
    ("POST", "tokens"),
    ("POST", "webhooks"),
    ("PATCH", "webhooks/1"),
]
PLACES = [
    "studies/{}",
    "studies/{}/runs",
    "studies/{}/runs/0",
    "studies/ext/runs/{}",
    "studies/ext/trials/{}",
    "studies/{}/events",
    "studies/{}/best",
    "studies/{}/notes",
    "studies/ext/artifacts/{}/content",
    "runs/{}/checkpoint",
    "datasets/{}",
    "datasets/{}/content",
    "projects/{}",
    "projects/{}/usage",
    "webhooks/{}",
    "webhooks/1/deliveries/{}",
    "studies?after={}",
    "studies?limit={}",
    "studies/ext/runs?state={}",
    "studies/ext/reports?run={}&after={}",
    "audit?actor={}",
    "audit?action={}",
    "audit?project={}",
]
ODD_NAMES = [
    "%00",
    "a%00b",
    "%2F",
    "..%2F..%2Fetc%2Fpasswd",
    "..",
    ".",
    "%",
    "%zz",
    "%ff%fe",
    "%ed%a0%80",
    "%0a",
    "a" * 5000,
    quote("é😀"),
    quote("\u202e"),
    "%20",
    "-1",
    "-0",
    "1e3",
    "1.0",
    "0x1",
    "99999999999999999999999",
    "9223372036854775808",
    "%D9%A1",
    "null",
    "'%20OR%201=1--",
    "{}",
    "%25",
]


@pytest.fixture
def unchanged(site: Site) -> Iterator[None]:
    """Nothing of what is refused may be stored."""
    before = census(site.database)
    yield
    assert census(site.database) == before


def assert_refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if answer.request.method == "HEAD":
        return {}
    problem: dict[str, Any] = answer.json()
    assert set(problem) >= {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == answer.status_code
    return problem


@FUZZED
@given(call=st.sampled_from(WITH_BODY), content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_that_are_no_json(site: Site, unchanged: None, call: tuple[str, str], content: bytes) -> None:
    assert_refused(site.client.request(*call, content=content, headers=JSON), 400, 422)


@pytest.mark.parametrize("call", WITH_BODY, ids="-".join)
def test_every_body_is_read_strictly(site: Site, unchanged: None, call: tuple[str, str]) -> None:
    def send(content: bytes, **headers: str) -> httpx.Response:
        return site.client.request(*call, content=content, headers={**JSON, **headers})

    assert_refused(send(b""), 400)
    assert_refused(send(b"{"), 400)
    assert_refused(send(b'{"a": NaN}'), 400)
    assert_refused(send(b"[" * 70 + b"]" * 70), 400)
    assert_refused(send(b'{"token": "a", "token": "b"}'), 422)
    assert_refused(send(b'{"name": "\\u0000"}'), 422)
    for value in (b"[]", b"null", b"1", b'"a"', b"true", b"[{}]"):
        assert_refused(send(value), 422)
    assert_refused(send(b" " * (1024**2 + 1)), 413)
    if not call[1].endswith("checkpoint"):  # where a body that is not called JSON is the file itself
        for type_ in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"):
            assert_refused(send(b"{}", **{"Content-Type": type_}), 415)


@pytest.mark.parametrize("call", WITH_BODY, ids="-".join)
def test_a_body_in_pieces_ends_at_the_limit(site: Site, unchanged: None, call: tuple[str, str]) -> None:
    answer, sent = site.send_pieces(*call, b" " * 65536, 200, JSON)
    assert_refused(answer, 413)
    assert sent < 20, "the rest is not read"


@pytest.mark.parametrize("length", ["99999999999999999999", "-1", "x", "1, 2", "", "0"])
def test_a_length_that_is_not_the_bodys(site: Site, unchanged: None, length: str) -> None:
    answer = site.client.post("studies", content=b"{}", headers={**JSON, "Content-Length": length})
    assert_refused(answer, 400, 413, 422)


@FUZZED
@given(place=st.sampled_from(PLACES), name=st.sampled_from(ODD_NAMES) | st.text(min_size=1, max_size=40).map(quote))
def test_names_that_nothing_has(site: Site, unchanged: None, place: str, name: str) -> None:
    answer = site.client.get(place.format(name, name), follow_redirects=False)
    if answer.is_success and place.endswith("/content"):
        assert float(name) == 1, "another way to write the number of what there is"
    elif answer.is_success:
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.json().keys() & {"items", "name", "number", "id", "project"}
    elif answer.status_code == 307:  # a slash too many
        assert answer.headers["location"].startswith("http://localhost/api/v1/")
    else:
        assert_refused(answer, 404, 405, 422)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "LOCK", "get", "X" * 300])
@pytest.mark.parametrize("path", ["studies", "studies/ext", "studies/ext/claims", "datasets/table", "me"])
def test_methods_that_are_not_there(site: Site, unchanged: None, method: str, path: str) -> None:
    answer = site.send(method, f"http://localhost/api/v1/{path}")
    assert_refused(answer, 405)
    template = path.replace("ext", "{name}").replace("table", "{name}")
    documented = site.app.openapi()["paths"][f"/api/v1/{template}"]
    assert set(answer.headers["allow"].split(", ")) == {one.upper() for one in documented}
    assert_refused(site.send(method, f"http://localhost/api/v1/nowhere/{path}"), 404)


HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Assay-Project",
    "Authorization",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Host",
    "Idempotency-Key",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Origin",
    "Range",
    "Sec-Fetch-Site",
    "Transfer-Encoding",
    "X-Request-ID",
    "traceparent",
]
ODD_VALUES = st.sampled_from(
    [
        b"",
        b"-1",
        b"0",
        b"null",
        b"9" * 400,
        b"\xff\xfe",
        b"bytes=0-",
        b"bytes=5-1",
        b"bytes=-99999999999999999999999",
        b"bytes=99-",
        b'"',
        b"a=b; a=c; =",
        b"Bearer",
        b"Bearer assay_0_0",
        b"default",
        b"nobody",
        b"localhost",
        b"[::1",
        b"x" * 20_000,
        b"00-0-0-0",
        b"application/json; charset=\xe9",
        b"gzip",
        b"http://evil.example",
        b"cross-site",
    ]
) | st.binary(max_size=30).filter(lambda value: not {0, 10, 13} & {*value})
TARGETS = [
    ("GET", "studies/ext"),
    ("GET", "studies/done/events"),
    ("GET", "datasets/table/content"),
    ("GET", "studies/ext/artifacts/1/content"),
    ("POST", "studies/ext/pause"),
    ("POST", "studies/ext/notes"),
    ("PUT", "runs/{}/artifacts/a"),
]


@FUZZED
@given(
    target=st.sampled_from(TARGETS),
    headers=st.dictionaries(st.sampled_from(HEADERS), ODD_VALUES, min_size=1, max_size=3),
)
def test_absurd_headers(site: Site, target: tuple[str, str], headers: dict[str, bytes]) -> None:
    method, path = target
    (run,) = run_ids(site.database, HELD[0])
    content = json.dumps({"text": "look here"}).encode() if path.endswith("notes") else b"a"
    given_ = {"Content-Type": b"application/json", **headers}
    request = httpx.Request(
        method,
        f"http://localhost/api/v1/{path.format(run)}?token={HELD[0]}",
        headers=[(name.encode(), value) for name, value in given_.items()],
        content=content if method != "GET" else None,
    )
    answer = site.client.send(request)
    if not answer.is_success and answer.status_code != 304:
        assert_refused(answer, 400, 401, 403, 404, 409, 413, 415, 416, 421, 422)


@settings(FUZZED, max_examples=examples(12))  # each is looked into by a process of its own
@given(content=st.binary(max_size=200), format_=st.sampled_from(["csv", "parquet", "npz"]))
def test_datasets_that_are_none(site: Site, content: bytes, format_: str) -> None:
    before = census(site.database)
    answer = site.client.post(f"datasets?name=new&format={format_}", content=content)
    if answer.is_success:  # two lines of letters are a table
        assert format_ == "csv"
        assert site.client.delete("datasets/new").status_code == 204
    else:
        assert_refused(answer, 400, 422)
        assert census(site.database) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "datasets?name=new&format=csv"),
        ("PUT", "runs/{}/artifacts/a?token={}"),
        ("POST", "runs/{}/checkpoint?token={}"),
    ],
)
def test_an_upload_beyond_the_limit(site: Site, unchanged: None, method: str, path: str) -> None:
    path = path.format(*run_ids(site.database, HELD[0]), HELD[0])
    assert_refused(site.client.request(method, path, content=b"a" * (MOST_UPLOADED + 1)), 413)
    answer, sent = site.send_pieces(method, path, b"a" * 2000, 10_000, {})
    assert_refused(answer, 413)
    assert sent < 10_000, "the rest is not read"
