"""What every store of files must do: a folder, and stores on other machines (one in memory, one that speaks S3)."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store import FolderStore, Missing, RemoteStore, StorageError, Store, TooLarge, open_store
from workers.storage import CHUNK, Remote, checked, dataset_path


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import s3fs

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/below"


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    match request.param:
        case "folder":
            return open_store(str(tmp_path / "store"), tmp_path / "scratch")
        case "memory":
            return open_store(f"memory://{uuid.uuid4().hex}", tmp_path / "scratch")
        case _:
            return open_store(request.getfixturevalue("s3_url"), tmp_path / "scratch")


def put(store: Store, key: str, content: bytes) -> None:
    with store.incoming(len(content)) as file:
        file.write(content)
        file.finish()
        store.put(file.path, key)


def read(store: Store, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.read(key, start, end))


def test_what_is_put_comes_back(store: Store) -> None:
    put(store, "a/b", b"hello")
    assert read(store, "a/b") == b"hello"
    assert store.entry("a/b").bytes == 5
    assert abs(store.entry("a/b").modified - datetime.now(UTC)) < timedelta(minutes=5)


def test_an_empty_file_is_a_file(store: Store) -> None:
    put(store, "a/empty", b"")
    assert read(store, "a/empty") == b""
    assert store.entry("a/empty").bytes == 0


def test_any_range_can_be_read(store: Store) -> None:
    content = os.urandom(1000)
    put(store, "a/b", content)
    for start, end in [(0, 1), (0, 1000), (10, 20), (999, 1000), (500, None), (7, 7)]:
        assert read(store, "a/b", start, end) == content[start:end]


def test_a_file_of_several_chunks_comes_back(store: Store) -> None:
    content = os.urandom(1024) * (2 * CHUNK // 1024 + 3)
    put(store, "a/large", content)
    pieces = list(store.read("a/large"))
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= CHUNK, "no more than a chunk is in memory"
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(content).digest()
    assert read(store, "a/large", CHUNK - 5, CHUNK + 5) == content[CHUNK - 5 : CHUNK + 5]


def test_what_is_not_there_is_missing(store: Store) -> None:
    for ask in (store.read, store.entry):
        with pytest.raises(Missing):
            ask("a/nothing")
    store.delete("a/nothing")
    assert list(store.list("a")) == []


def test_a_deleted_file_is_gone(store: Store) -> None:
    put(store, "a/b", b"x")
    store.delete("a/b")
    with pytest.raises(Missing):
        store.read("a/b")


def test_a_listing_has_all_below_a_folder_and_nothing_else(store: Store) -> None:
    for key in ("a/1/x", "a/1/y", "a/2/z", "ab/1/w"):
        put(store, key, b"12")
    assert {entry.key: entry.bytes for entry in store.list("a")} == {"a/1/x": 2, "a/1/y": 2, "a/2/z": 2}
    assert [entry.key for entry in store.list("a/2")] == ["a/2/z"]


def test_what_was_not_put_leaves_nothing(store: Store) -> None:
    with pytest.raises(TooLarge), store.incoming(10) as file:
        file.write(b"12345")
        file.write(b"678901")
    with store.incoming(10) as file:
        file.write(b"given up")
    assert list(store.waiting.iterdir()) == []
    assert [entry for folder in ("a", "incoming") for entry in store.list(folder)] == []


def test_a_file_is_counted_and_hashed_on_its_way(store: Store) -> None:
    with store.incoming(100) as file:
        for chunk in (b"one", b"", b"two"):
            file.write(chunk)
        assert (file.bytes, file.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())


def test_many_threads_may_use_it(store: Store) -> None:
    contents = {f"a/{number}": os.urandom(50_000) for number in range(8)}
    wrong: list[str] = []

    def work(key: str) -> None:
        put(store, key, contents[key])
        wrong.extend(key for _ in range(5) if read(store, key) != contents[key])

    threads = [threading.Thread(target=work, args=(key,)) for key in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {entry.key for entry in store.list("a")} == set(contents)


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "/etc/passwd", "a//b", "a/.", ".", "", "a/b\0", "a b", "a\\..\\b"]
)
def test_no_key_leads_out_of_it(store: Store, key: str) -> None:
    for ask in (store.read, store.entry, store.delete, store.location):
        with pytest.raises(ValueError, match="no key"):
            ask(key)


@given(st.text(alphabet="ab./\\\0 -_", max_size=12))
def test_a_key_that_is_taken_stays_below_the_root(key: str) -> None:
    root = Path("/somewhere/store")
    try:
        path = root / checked(key)
    except ValueError:
        return
    assert Path(os.path.normpath(path)) == path
    assert path.is_relative_to(root)
    assert path != root


def test_workers_find_a_dataset_where_it_is_said_to_be(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    put(store, "datasets/1/x.csv", b"a,b\n1,2\n")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    dataset = {"url": store.location("datasets/1/x.csv"), "sha256": digest, "format": "csv"}
    path = dataset_path(dataset)
    assert path.read_bytes() == b"a,b\n1,2\n"
    assert path.suffix == ".csv"
    store.delete("datasets/1/x.csv")
    if not store.local:
        assert dataset_path(dataset) == path, "it is fetched once"
        path.unlink()
    with pytest.raises(StorageError):
        dataset_path(dataset)


def test_a_dataset_with_other_contents_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = open_store(f"memory://{uuid.uuid4().hex}", tmp_path / "scratch")
    put(store, "datasets/1/x.csv", b"changed")
    dataset = {"url": store.location("datasets/1/x.csv"), "sha256": "0" * 64, "format": "csv"}
    with pytest.raises(StorageError, match="not the dataset it was"):
        dataset_path(dataset)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_in_a_folder_cannot_be_written_to(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put(store, "a/b", b"x")
    assert (tmp_path / "a/b").stat().st_mode & 0o222 == 0


def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(StorageError, match="cannot be written to"):
        store.incoming(10)
    with pytest.raises(StorageError, match="is not the address of a store"):
        RemoteStore("nonsense://x", tmp_path)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def url_to_fs(url: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)
    with pytest.raises(StorageError, match="install assay with the extra s3"):
        Remote("s3://bucket/prefix")
