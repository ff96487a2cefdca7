"""Studies that read an uploaded dataset: the file stays, what it was travels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.lifecycle import cancel_study
from service.models import DEFAULT_PROJECT_ID, Dataset
from spaces.errors import InvalidInput

OBJECTIVE = {"type": "command", "command": ["train"], "dataset": "iris"}
Body = Callable[[bytes], list[Any]]


def upload(site: Any, sha256: str = "a" * 64, key: str = "datasets/1/here.csv") -> None:
    what = {"format": "csv", "bytes": 3, "rows": 1, "columns": [], "target": None, "created_by": "ann"}
    with site.database.session() as session:
        session.add(Dataset(project_id=DEFAULT_PROJECT_ID, name="iris", sha256=sha256, path=key, **what))


@pytest.fixture
def content(here: Any) -> bytes:
    upload(here)
    here.create(objective=OBJECTIVE)
    exported: bytes = here.export()
    return exported


def dataset_of(site: Any) -> Any:
    return site.study().spec["objective"]["dataset"]


def test_it_is_found_by_its_name_and_contents(there: Any, content: bytes) -> None:
    assert b"here.csv" not in content
    upload(there, key="datasets/1/there.csv")
    there.take_in(content)
    assert dataset_of(there)["key"] == "datasets/1/there.csv"
    assert there.study().spec["derived"]["provenance"]["dataset"] == {"name": "iris", "sha256": "a" * 64}


def test_without_it_a_study_that_goes_on_is_refused(there: Any, content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"study\.spec\.objective\.dataset: there is no dataset named 'iris'"):
        there.take_in(content)
    upload(there, sha256="b" * 64)
    with pytest.raises(InvalidInput, match="now has other contents"):
        there.take_in(content)
    assert not there.names()


def test_without_it_a_study_that_has_ended_is_taken(here: Any, there: Any, content: bytes, body: Body) -> None:
    with here.database.session() as session:
        cancel_study(session, DEFAULT_PROJECT_ID, "s")
    there.take_in(here.export())
    assert dataset_of(there) == {"name": "iris", "sha256": "a" * 64, "format": "csv", "target": None}
    assert body(there.export()) == body(here.export())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "../../secret"}, "dataset.key: unknown field"),
        ({"url": "/etc/passwd"}, "dataset.url: unknown field"),
        ({"sha256": 1}, "dataset.sha256: must be a text"),
    ],
)
def test_nobody_says_where_it_lies(
    there: Any, content: bytes, body: Body, seal: Callable[[list[Any]], bytes], changes: dict[str, Any], message: str
) -> None:
    lines = body(content)
    lines[1]["spec"]["objective"]["dataset"] |= changes
    with pytest.raises(InvalidInput, match=message):
        there.take_in(seal(lines))


def test_a_training_on_a_table_travels(here: Any, there: Any, body: Body) -> None:
    """What can be trained follows from the columns, which the file does not have: they are found where it arrives."""
    number = {"name": "x", "type": "float", "missing": 0, "distinct": 40, "categories": None, "shape": None}
    label = {"name": "y", "type": "text", "missing": 0, "distinct": 2, "categories": ["a", "b"], "shape": None}
    for site, key in ((here, "datasets/1/here.csv"), (there, "datasets/1/there.csv")):
        upload(site, key=key)
        with site.database.session() as session:
            row = session.query(Dataset).one()
            row.rows, row.columns, row.target = 40, [number, label], "y"
    objective = {"type": "train", "family": "mlp", "dataset": "iris"}
    metrics = [{"name": "val_accuracy", "direction": "maximize"}]
    here.create(objective=objective, metrics=metrics, space={"preset": "minimal"})
    there.take_in(here.export())
    mine, theirs = here.study().spec, there.study().spec
    assert dataset_of(there)["key"] == "datasets/1/there.csv"
    assert dataset_of(there)["columns"] == [number, label]
    assert theirs["space"] == mine["space"]
    assert body(there.export())[1]["spec"] == body(here.export())[1]["spec"]
