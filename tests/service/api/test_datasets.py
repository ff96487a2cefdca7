"""Uploading datasets, and what becomes of them."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from service.app import create_app
from service.database import Database
from service.datasets.references import objective_for_worker, resolved_dataset
from service.models import DEFAULT_PROJECT_ID, Dataset, Study
from service.settings import Settings
from service.states import StudyState
from spaces.errors import InvalidInput
from workers.storage import dataset_path

IRIS = b"sepal,species\n5.1,setosa\n4.9,versicolor\n,setosa\n"
SHA256 = hashlib.sha256(IRIS).hexdigest()
MOST = 100_000


@pytest.fixture
def app(sqlite_database: Database, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path / "data", max_upload_bytes=MOST), sqlite_database)


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[Path]]:
    """All files of the store, whole ones and others."""
    return lambda: [path for path in (tmp_path / "data" / "artifacts").rglob("*") if path.is_file()]


Files = Callable[[], list[Path]]


def upload(api: httpx.Client, content: bytes = IRIS, name: str = "iris", **params: Any) -> httpx.Response:
    headers = params.pop("headers", {})
    return api.post("datasets", content=content, headers=headers, params={"name": name, "format": "csv", **params})


def use(database: Database, name: str, state: StudyState = StudyState.ACTIVE) -> None:
    """A study that names the dataset."""
    with database.session() as session:
        spec = {"objective": {"type": "command", "dataset": resolved_dataset(session, DEFAULT_PROJECT_ID, name)}}
        session.add(Study(name=f"uses-{name}", spec=spec, state=state))


def test_an_uploaded_dataset_is_described(api: httpx.Client, files: Files) -> None:
    answer = upload(api, target="species")
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == "/api/v1/datasets/iris"
    found = answer.json()
    assert api.get("datasets/iris").json() == found
    created = found.pop("created_at")
    assert created.endswith("Z")
    sepal, species = found.pop("columns")
    assert found == {
        "kind": "uploaded",
        "name": "iris",
        "format": "csv",
        "bytes": len(IRIS),
        "sha256": SHA256,
        "rows": 3,
        "target": "species",
        "created_by": found["created_by"],
    }
    assert (sepal["type"], sepal["missing"], sepal["low"], sepal["high"]) == ("float", 1, 4.9, 5.1)
    assert species["categories"] == ["setosa", "versicolor"]
    (path,) = files()
    assert path.read_bytes() == IRIS
    assert "iris" not in str(path), "what people call it has no say in where it lies"


def test_every_format_is_taken(api: httpx.Client, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=np.arange(4))
    parquet.write_table(pa.table({"x": [1, 2], "y": ["a", "b"]}), tmp_path / "a.parquet")
    for format_, rows in (("npz", 4), ("parquet", 2)):
        answer = upload(api, (tmp_path / f"a.{format_}").read_bytes(), format_, format=format_, target="y")
        assert answer.status_code == 201, answer.text
        assert answer.json()["rows"] == rows


def test_all_datasets_are_listed(api: httpx.Client) -> None:
    for number in range(3):
        assert upload(api, name=f"d{number}").status_code == 201
    page = api.get("datasets", params={"limit": 2}).json()
    builtin = [one["name"] for one in page["items"] if one["kind"] == "builtin"]
    assert "digits" in builtin
    assert [one["name"] for one in page["items"] if one["kind"] == "uploaded"] == ["d0", "d1"]
    rest = api.get("datasets", params={"limit": 2, "after": page["next"]}).json()
    assert [one["name"] for one in rest["items"]] == ["d2"]
    assert rest["next"] is None


def test_the_same_again_is_no_error(api: httpx.Client, files: Files) -> None:
    first = upload(api).json()
    again = upload(api)
    assert (again.status_code, again.json()) == (200, first)
    assert len(files()) == 1


def test_other_contents_under_the_name_need_leave(api: httpx.Client, sqlite_database: Database, files: Files) -> None:
    upload(api)
    other = b"a,b\n1,2\n"
    for changed in ({"content": other}, {"target": "species"}):
        refused = upload(api, **changed)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:assay:name-taken"), refused.text
    assert api.get("datasets/iris/content").content == IRIS
    use(sqlite_database, "iris")
    refused = upload(api, other, replace="true")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:assay:in-use")
    assert "uses-iris" in refused.json()["detail"]
    assert len(files()) == 1, "what was refused leaves nothing"
    with sqlite_database.session() as session:
        session.execute(sa.update(Study).values(state=StudyState.COMPLETED))
    replaced = upload(api, other, replace="true")
    assert (replaced.status_code, replaced.json()["rows"]) == (200, 1)
    assert [path.read_bytes() for path in files()] == [other]


def test_names_of_built_in_datasets_are_taken(api: httpx.Client) -> None:
    assert upload(api, name="digits", replace="true").status_code == 409
    assert api.get("datasets/digits").json()["kind"] == "builtin"
    assert api.delete("datasets/digits").status_code == 409
    assert api.get("datasets/digits/content").status_code == 404


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"content": b"a,b\n1\n"}, 422, "line 2: Expected 2 columns"),
        ({"content": b""}, 422, "the file is empty"),
        ({"format": "npz"}, 422, "the file is not npz"),
        ({"format": "pickle"}, 422, "format"),
        ({"name": "../../etc"}, 422, "name"),
        ({"name": "a/b"}, 422, "name"),
        ({"target": "specie"}, 422, 'did you mean "species"'),
        ({"content": b"a;b\n1;2\n", "target": "a"}, 422, "not by ';'"),
        ({"content": b"x" * (MOST + 1)}, 413, f"{MOST} bytes"),
        ({"headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding"),
        ({"headers": {"X-Checksum-Sha256": "0" * 64}}, 422, SHA256),
        ({"headers": {"X-Checksum-Sha256": "abc"}}, 422, "64 digits"),
        ({"headers": {"Content-Digest": "sha-256=:AAAA:"}}, 422, "base64"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    api: httpx.Client, sqlite_database: Database, files: Files, changed: dict[str, Any], status: int, words: str
) -> None:
    answer = upload(api, **changed)
    assert answer.status_code == status, answer.text
    assert words in answer.text.replace('\\"', '"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert files() == []
    with sqlite_database.session(write=False) as session:
        assert session.scalars(sa.select(Dataset)).all() == []


def test_a_checksum_that_is_right_is_taken(api: httpx.Client) -> None:
    digest = base64.b64encode(hashlib.sha256(IRIS).digest()).decode()
    assert upload(api, headers={"Content-Digest": f"sha-512=:AA==:, sha-256=:{digest}:"}).status_code == 201
    assert upload(api, headers={"X-Checksum-Sha256": SHA256.upper()}).status_code == 200


def test_too_large_a_file_is_refused_whatever_it_says(live: httpx.Client, files: Files) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a,b\n"
        for _ in range(100):
            yield b"1,2\n" * 1000

    answer = live.post("datasets", params={"name": "endless", "format": "csv"}, content=pieces())
    assert answer.status_code == 413
    assert files() == []


def test_an_upload_that_breaks_off_leaves_nothing(server: Any, live: httpx.Client, files: Files) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = f"POST /api/v1/datasets?name=x&format=csv HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"a,b\n1,2\n")
        deadline = time.monotonic() + 30
        while not files() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert files(), "it is on its way"
    while (files() or server.requests) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files() == []
    assert live.get("datasets/x").status_code == 404


def test_a_file_is_handed_out_as_it_came(api: httpx.Client) -> None:
    upload(api)
    answer = api.get("datasets/iris/content")
    assert answer.content == IRIS
    assert answer.headers["etag"] == f'"{SHA256}"'
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''iris.csv"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    known = api.get("datasets/iris/content", headers={"If-None-Match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "begin", "end"),
    [("bytes=0-4", 0, 5), ("bytes=5-", 5, None), ("bytes=-7", len(IRIS) - 7, None), ("bytes=0-9999", 0, None)],
)
def test_ranges(api: httpx.Client, header: str, begin: int, end: int | None) -> None:
    upload(api)
    answer = api.get("datasets/iris/content", headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == IRIS[begin:end]
    last = (end or len(IRIS)) - 1
    assert answer.headers["content-range"] == f"bytes {begin}-{last}/{len(IRIS)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_ranges_that_make_no_sense(api: httpx.Client) -> None:
    upload(api)
    ask = "datasets/iris/content"
    beyond = api.get(ask, headers={"Range": f"bytes={len(IRIS)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(IRIS)}")
    for header in ("bytes=5-2", "bytes=-", "lines=0-1", "bytes=0-1,3-4", "nonsense"):
        whole = api.get(ask, headers={"Range": header})
        assert (whole.status_code, whole.content) == (200, IRIS), header
    other = api.get(ask, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, IRIS)


def test_a_dataset_is_deleted_with_its_file(api: httpx.Client, sqlite_database: Database, files: Files) -> None:
    upload(api)
    use(sqlite_database, "iris", StudyState.PAUSED)
    assert api.delete("datasets/iris").json()["type"] == "urn:assay:in-use"
    with sqlite_database.session() as session:
        session.execute(sa.update(Study).values(state=StudyState.FAILED))
    assert api.delete("datasets/iris").status_code == 204
    assert files() == []
    assert api.get("datasets/iris").status_code == 404
    assert api.delete("datasets/iris").status_code == 404


def test_a_file_that_is_gone_is_not_a_fault(api: httpx.Client, files: Files) -> None:
    upload(api)
    files()[0].unlink()
    assert api.get("datasets/iris/content").status_code == 404


def test_another_project_has_its_own(api: httpx.Client) -> None:
    assert api.post("projects", json={"name": "other"}).status_code == 201
    upload(api)
    other = {"Assay-Project": "other"}
    assert api.get("datasets/iris", headers=other).status_code == 404
    assert api.get("datasets/iris/content", headers=other).status_code == 404
    assert api.delete("datasets/iris", headers=other).status_code == 404
    assert upload(api, b"a,b\n1,2\n", headers=other).status_code == 201
    assert api.get("datasets/iris/content").content == IRIS
    assert api.get("datasets/iris/content", headers=other).content == b"a,b\n1,2\n"


def test_a_study_names_a_dataset_and_its_worker_finds_it(
    api: httpx.Client, app: FastAPI, sqlite_database: Database
) -> None:
    upload(api, target="species")
    with sqlite_database.session() as session:
        stored = resolved_dataset(session, DEFAULT_PROJECT_ID, "iris", hold=True)
        assert resolved_dataset(session, DEFAULT_PROJECT_ID, stored) == stored
        with pytest.raises(InvalidInput, match="now has other contents"):
            resolved_dataset(session, DEFAULT_PROJECT_ID, {**stored, "sha256": "0" * 64})
        with pytest.raises(InvalidInput, match="did you mean iris"):
            resolved_dataset(session, DEFAULT_PROJECT_ID, "iriss")
        with pytest.raises(InvalidInput, match="comes with the service"):
            resolved_dataset(session, DEFAULT_PROJECT_ID, "digits")
        with pytest.raises(InvalidInput, match="must be the name"):
            resolved_dataset(session, DEFAULT_PROJECT_ID, 7)
    objective = objective_for_worker({"type": "command", "dataset": stored}, app.state.store)
    assert dataset_path(objective["dataset"]).read_bytes() == IRIS
    assert objective_for_worker({"type": "train", "dataset": "digits"}, app.state.store)["dataset"] == "digits"


TABLE = "size,kind,y\n" + "".join(f"{i / 7:.2f},{'abc'[i % 3]},{'uv'[i % 2]}\n" for i in range(40))


def test_a_family_trains_on_an_uploaded_table(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    upload(api, TABLE.encode(), "rows", target="y")
    objective = {"type": "train", "family": "mlp", "dataset": "rows"}
    accuracy = [{"name": "val_accuracy", "direction": "maximize"}]
    payload = {**study_payload, "space": {"preset": "minimal"}, "objective": objective, "metrics": accuracy}
    answer = api.post("studies", json=payload)
    assert answer.status_code == 201, answer.text
    assert answer.json()["objective"]["dataset"]["sha256"] == hashlib.sha256(TABLE.encode()).hexdigest()
    other = {**payload, "name": "t", "objective": {**objective, "family": "lenet"}}
    assert "lenet does classification of image inputs; rows" in api.post("studies", json=other).text
    missing = {**payload, "name": "t", "objective": {**objective, "dataset": "digit"}}
    errors = api.post("studies", json=missing).json()["errors"]
    assert [error["path"] for error in errors] == ["objective.dataset"]
    assert "did you mean digits" in errors[0]["message"]
    long = {**payload, "name": "t", "metrics": [{"name": "val_r2", "direction": "maximize"}]}
    assert "val_r2" in api.post("studies", json=long).text


def test_what_cannot_be_trained_on_says_which_column(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    rows = "id,when,y\n" + "".join(f"n{i},2026-01-{1 + i % 28:02d},{i % 2}\n" for i in range(60))
    upload(api, rows.encode(), "rows", target="y")
    objective = {"type": "train", "family": "mlp", "dataset": "rows"}
    accuracy = [{"name": "val_accuracy", "direction": "maximize"}]
    payload = {**study_payload, "space": {"preset": "minimal"}, "objective": objective, "metrics": accuracy}
    answer = api.post("studies", json=payload)
    assert answer.status_code == 422
    assert "'id' is text with too many values" in answer.text
    assert "'when' is date" in answer.text
