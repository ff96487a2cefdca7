"""Services without their servers, between which studies travel."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from search.replay import verify
from service.amendments import Amendments
from service.checkpoints import Checkpoints
from service.database import Database
from service.desk import Desk
from service.external.work import Claimed, External
from service.lifecycle import create_study
from service.models import DEFAULT_PROJECT_ID as PROJECT
from service.models import Study
from service.record import stored_record
from service.repositories.studies import Studies
from service.transfer.checking import Checked, checked
from service.transfer.exporting import exported
from service.transfer.reading import StudyFile
from service.transfer.storing import store_study
from service.transfer.tables import Rows, table
from workers.protocol import FailureClass
from workers.protocol import Report as Said

PARAMETERS: list[dict[str, Any]] = [
    {"name": "x0", "type": "float", "low": -5, "high": 10},
    {"name": "x1", "type": "float", "low": 0, "high": 15},
    {"name": "kind", "type": "categorical", "choices": ["a", "=b"]},
    {"name": "size", "type": "int", "low": 1, "high": 8, "when": {"parameter": "kind", "equals": "=b"}},
]
CONFIG = {"x0": 1.0, "x1": 2.0, "kind": "=b", "size": 3}
STUDY: dict[str, Any] = {
    "name": "s",
    "space": {"parameters": PARAMETERS},
    "objective": {"type": "external"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 20},
    "parallelism": 3,
    "seed": 7,
}


def value_of(config: dict[str, Any], step: float) -> float:
    return float(config["x0"] ** 2 / 3 + config["x1"] + config.get("size", 0) / 7 + 1 / step)


class Site:
    """A database, and workers that carry its studies out here and now."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.desk = Desk(database, Checkpoints(folder))

    def create(self, epochs: int | None = None, **changes: Any) -> int:
        """A study; with up to so many epochs as its fidelity."""
        if epochs is not None:
            changes["space"] = {**STUDY["space"], "fidelity": {"name": "epochs", "low": 1, "high": epochs}}
        with self.database.session() as session:
            return create_study(session, {**STUDY, **changes}).id

    def study(self, name: str = "s") -> Study:
        with self.database.session(write=False) as session:
            return Studies(session, PROJECT).get(name)

    def names(self) -> set[str]:
        with self.database.session(write=False) as session:
            return {study.name for study in Studies(session, PROJECT).page(10_000)}

    def act(self, operation: Callable[[External], Any], name: str = "s") -> Any:
        return self.desk.act(self.desk.find(PROJECT, name), lambda work: operation(External(work)))

    def claim(self, count: int = 3, name: str = "s") -> Claimed:
        claimed: Claimed = self.act(lambda external: external.claim("ann", count, 60.0), name)
        return claimed

    def play(self, name: str = "s", rounds: int = 1000) -> None:
        """Carries a study on to its end, or for so many rounds: one in seven runs fails, and one in nine is lost."""
        for _ in range(rounds):
            claimed = self.claim(name=name)
            if claimed.nothing is not None and claimed.nothing.retry_after is None and not claimed.attempts:
                return
            for attempt, row in claimed.attempts:
                self.carry_out(attempt, row, name)

    def carry_out(self, attempt: Any, row: Any, name: str = "s") -> None:
        run, token, config = row.run.number, attempt.token, row.trial.config
        extra = {"provenance": {"code": {"commit": "c0ffee"}}, "cost": {"cpu_seconds": 0.1 * run, "gpu_seconds": None}}
        if run % 9 == 8 and attempt.number == 1:
            gone = FailureClass.PREEMPTED
            self.act(lambda external: external.fail(run, token, gone, "the spot is gone", "", extra), name)
            return
        for step in range(1, int(row.run.fidelity or 3) + 1):
            if self.report(run, token, step, {"loss": value_of(config, step), "-extra": step / 3}, name) == "stop":
                break
        if run % 7 == 6:
            error = FailureClass.ERROR
            self.act(lambda external: external.fail(run, token, error, "=it broke", "Traceback", extra), name)
        else:
            self.act(lambda external: external.complete(run, token, None, None, extra), name)

    def report(self, run: int, token: str, step: float, metrics: dict[str, float], name: str = "s") -> str:
        heard = self.act(lambda external: external.report(run, token, [Said(step, metrics, 0.1)]), name)
        return str(heard.answer)

    def amend(self, change: Callable[[Amendments], Any], name: str = "s") -> Any:
        def operation(work: Any) -> Any:
            changed = change(Amendments(work, "bob"))
            work.conclude()
            return changed

        return self.desk.act(self.desk.find(PROJECT, name), operation)

    def export(self, name: str = "s") -> bytes:
        with self.database.session(write=False) as session:
            return b"".join(exported(session, Studies(session, PROJECT).get(name)))

    def table(self, of: Rows, name: str = "s") -> str:
        with self.database.session(write=False) as session:
            return b"".join(table(session, Studies(session, PROJECT).get(name), of)).decode()

    def check(self, content: bytes) -> Checked:
        path = self.folder / "incoming"
        path.write_bytes(content)
        return checked(StudyFile(path))

    def take_in(self, content: bytes, name: str = "s") -> int:
        found = self.check(content)
        with self.database.session() as session:
            return store_study(session, PROJECT, name, found).id

    def verified(self, name: str = "s") -> Any:
        with self.database.session(write=False) as session:
            return verify(stored_record(session, Studies(session, PROJECT).get(name)))


def lines_of(content: bytes) -> list[Any]:
    """The lines without what tells when it was exported, and without the end."""
    lines = [json.loads(line) for line in content.splitlines()]
    del lines[0]["exported_at"]
    return lines[:-1]


def sealed(lines: list[Any]) -> bytes:
    """Lines as a file with the right checksum; the counts in the header are those of the lines."""
    counts: dict[str, int] = {}
    for line in lines[1:]:
        word = str(line.get("record"))
        counts[word] = counts.get(word, 0) + 1
    header = {"exported_at": "2030-01-01T00:00:00Z", **lines[0], "counts": counts}
    content = b"".join(json.dumps(line).encode() + b"\n" for line in [header, *lines[1:]])
    return content + end_of(content)


def end_of(content: bytes) -> bytes:
    """The last line of such content."""
    end = {"lines": content.count(b"\n"), "sha256": sha256(content).hexdigest()}
    return json.dumps({"end": end}).encode() + b"\n"


@pytest.fixture
def body() -> Callable[[bytes], list[Any]]:
    return lines_of


@pytest.fixture
def seal() -> Callable[[list[Any]], bytes]:
    return sealed


@pytest.fixture
def end() -> Callable[[bytes], bytes]:
    return end_of


@pytest.fixture
def new_site(new_database_url: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    databases: list[Database] = []

    def make(kind: str = "sqlite") -> Site:
        databases.append(Database(new_database_url(kind)))
        folder = tmp_path / f"site-{len(databases)}"
        folder.mkdir()
        return Site(databases[-1], folder)

    yield make
    for database in databases:
        database.dispose()


@pytest.fixture
def here(new_site: Callable[[], Site]) -> Site:
    return new_site()


@pytest.fixture
def there(new_site: Callable[[], Site]) -> Site:
    return new_site()


_PLAYED: list[Any] = []


@pytest.fixture
def played(request: pytest.FixtureRequest, body: Callable[[bytes], list[Any]]) -> list[Any]:
    """The lines of a study in which everything has happened, and which goes on; the same for all tests."""
    if not _PLAYED:
        _PLAYED.extend(body(_play(request.getfixturevalue("here"))))
    return copy.deepcopy(_PLAYED)


def _play(here: Any) -> bytes:
    here.create(epochs=9, algorithm={"name": "random", "stop": {"rule": "median", "trials": 2, "grace": 1}})
    here.amend(lambda amend: amend.enqueue([CONFIG]))
    here.play(rounds=4)
    here.amend(lambda amend: amend.tell({**CONFIG, "size": 5}, {"loss": 0.5}, None, None))
    here.amend(lambda amend: amend.invalidate(1, "no"))
    here.amend(lambda amend: amend.note("a note", 0))
    here.amend(lambda amend: amend.enqueue([{**CONFIG, "size": 6}]))
    exported: bytes = here.export()
    return exported
