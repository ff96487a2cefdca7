"""Attempts whose files lie in a store elsewhere: what workers fetch, what they put back, and when."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.pools.attempt import attempt
from workers.pools.local import LocalPool
from workers.protocol import (
    Assignment,
    Failed,
    Failure,
    FailureClass,
    Finished,
    Job,
    Member,
    PoolEvent,
    Report,
    Reported,
    Result,
    Training,
)
from workers.storage import Missing, Remote


class Saving:
    """Saves a checkpoint after every step and writes a log; ends as its config says."""

    def __init__(self, look: Callable[[Assignment], None] = lambda assignment: None) -> None:
        self._look = look

    def check(self, objective: Any, study: Any) -> list[Any]:
        return []

    def train(self, assignment: Assignment) -> Training:
        self._look(assignment)
        assert assignment.store is None, "objectives see files only"
        assert assignment.checkpoint is not None
        assert assignment.log is not None
        start = int(assignment.resume_from.read_text()) if assignment.resume_from else 0
        for step in range(start + 1, start + 4):
            beside = assignment.checkpoint.with_name("beside")
            beside.write_text(str(step))
            beside.replace(assignment.checkpoint)
            assignment.log.write_text(f"step {step}\n")
            yield Report(step, {"loss": 1 / step})
            if assignment.config.get("fails_at") == step:
                raise Failure(FailureClass.OOM, "no memory")
        return Result({"loss": 1 / step}, checkpointed=True)

    def test(self, assignment: Assignment) -> dict[str, float]:
        assert assignment.resume_from is not None
        return {"test": float(assignment.resume_from.read_text())}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == [], "the worker's disk is left as it was"


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


def content(url: str, key: str) -> str:
    return b"".join(Remote(url).read(key)).decode()


def assignment(url: str, **changes: Any) -> Assignment:
    given: dict[str, Any] = {
        "key": "k",
        "objective": {"type": "saving"},
        "config": {},
        "seed": 0,
        "checkpoint": Path("checkpoints/1/000000-1"),
        "log": Path("logs/1/000000-1.log"),
        "store": url,
    }
    return Assignment(**{**given, **changes})


def carry_out(given: Assignment, objective: Saving | None = None) -> Iterator[PoolEvent]:
    return attempt(given, {"saving": objective or Saving()}, lambda: False, lambda: 0.0)


def test_files_are_in_the_store_before_the_end_is_told(url: str) -> None:
    events = carry_out(assignment(url))
    for event in events:
        if isinstance(event, Finished):
            assert content(url, "checkpoints/1/000000-1") == "3"
            assert content(url, "logs/1/000000-1.log") == "step 3\n"
            return
    raise AssertionError("it did not end well")


def test_a_checkpoint_is_in_the_store_before_the_report_after_it(url: str) -> None:
    seen = [
        (event.report.step, content(url, "checkpoints/1/000000-1"))
        for event in carry_out(assignment(url))
        if isinstance(event, Reported)
    ]
    assert seen == [(1, "1"), (2, "2"), (3, "3")]


def test_another_attempt_goes_on_from_it(url: str) -> None:
    list(carry_out(assignment(url)))
    resumed = assignment(url, resume_from=Path("checkpoints/1/000000-1"), checkpoint=Path("checkpoints/1/000001-1"))
    *_, ended = carry_out(resumed)
    assert isinstance(ended, Finished)
    assert content(url, "checkpoints/1/000001-1") == "6"
    assert content(url, "checkpoints/1/000000-1") == "3", "others may go on from it too"


def test_what_it_begins_with_is_here_and_it_begins_at_the_start(url: str) -> None:
    list(carry_out(assignment(url, checkpoint=Path("checkpoints/1/000000-1"))))
    seen: list[str] = []

    def look(given: Assignment) -> None:
        assert given.inherit_from is not None
        seen.append(given.inherit_from.read_text())

    key = Path("checkpoints/1/000000-1")
    child = assignment(url, inherit_from=key, checkpoint=Path("checkpoints/1/000001-1"))
    *_, ended = carry_out(child, Saving(look))
    assert isinstance(ended, Finished)
    assert seen == ["3"]
    assert content(url, "checkpoints/1/000001-1") == "3", "three steps from the start"
    *_, ended = carry_out(assignment(url, inherit_from=Path("checkpoints/1/000009-1")))
    assert isinstance(ended, Failed)
    assert ended.failure is FailureClass.ERROR
    assert "gone" in ended.message


def test_a_job_finds_its_members_here(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    list(carry_out(assignment(url)))
    seen: list[str] = []

    def work(given: Assignment) -> Training:
        assert given.job is not None
        seen.extend(member.checkpoint.read_text() for member in given.job.members)
        yield from ()
        return Result({})

    monkeypatch.setattr("workers.jobs.steps", work)
    member = Member(trial=1, config={}, seed=0, checkpoint=Path("checkpoints/1/000000-1"))
    job = assignment(url, task="job", checkpoint=None, log=None, job=Job("ensemble", {}, (member, member)))
    *_, ended = carry_out(job)
    assert isinstance(ended, Finished), ended
    assert seen == ["3", "3"]


def test_what_fails_leaves_its_log_and_its_last_checkpoint(url: str) -> None:
    *_, ended = carry_out(assignment(url, config={"fails_at": 2}))
    assert isinstance(ended, Failed)
    assert ended.failure is FailureClass.OOM
    assert content(url, "checkpoints/1/000000-1") == "2"
    assert content(url, "logs/1/000000-1.log") == "step 2\n"


def test_a_test_has_its_checkpoint(url: str) -> None:
    list(carry_out(assignment(url)))
    given = assignment(url, resume_from=Path("checkpoints/1/000000-1"), checkpoint=None, log=None, task="test")
    *_, ended = carry_out(given)
    assert isinstance(ended, Finished)
    assert ended.result.metrics == {"test": 3.0}


def test_a_checkpoint_that_is_gone_is_an_error_and_a_store_that_is_gone_costs_the_worker(url: str) -> None:
    *_, ended = carry_out(assignment(url, resume_from=Path("checkpoints/1/000009-1")))
    assert isinstance(ended, Failed)
    assert ended.failure is FailureClass.ERROR
    assert "is gone" in ended.message
    *_, ended = carry_out(assignment("nonsense://x"))
    assert isinstance(ended, Failed)
    assert ended.failure is FailureClass.LOST, "another worker may reach it"


def test_a_store_that_fails_at_the_end_costs_the_attempt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.storage import StorageError

    def put(self: Remote, source: Path, key: str) -> None:
        raise StorageError("the bucket is full")

    monkeypatch.setattr(Remote, "put", put)
    *_, ended = carry_out(assignment(url))
    assert isinstance(ended, Failed)
    assert (ended.failure, ended.message) == (FailureClass.LOST, "the bucket is full")
    with pytest.raises(Missing):
        content(url, "checkpoints/1/000000-1")


def test_without_a_store_files_are_where_they_are(tmp_path: Path) -> None:
    seen: list[Assignment] = []
    given = assignment(None, checkpoint=tmp_path / "c", log=tmp_path / "l")  # type: ignore[arg-type]  # no store
    *_, ended = carry_out(given, Saving(seen.append))
    assert isinstance(ended, Finished)
    assert seen == [given]
    assert (tmp_path / "c").read_text() == "3"


def test_a_pool_works_on_a_store(url: str, scratch: Path) -> None:
    pool = LocalPool(2, {"saving": Saving()})
    ended: list[str] = []
    for number in range(2):
        given = assignment(url, key=str(number), checkpoint=Path(f"checkpoints/1/{number:06d}-1"))
        pool.submit(given)
    while len(ended) < 2:
        ended += [event.key for event in pool.poll(5) if isinstance(event, Finished)]
    pool.shutdown()
    assert [content(url, f"checkpoints/1/{number:06d}-1") for number in range(2)] == ["3", "3"]
