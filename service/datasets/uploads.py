"""A dataset that was uploaded becomes a row: once it is known what is in it, and its file is in the store."""

from __future__ import annotations

from dataclasses import dataclass

from service.database import Session
from service.datasets.schema import Schema
from service.models import Dataset
from service.problems import IN_USE, NAME_TAKEN, Refused
from service.repositories.datasets import Datasets
from spaces.checks import unknown
from spaces.errors import InvalidInput
from workers.catalogue import DATASETS as BUILTIN


@dataclass(frozen=True, slots=True)
class Upload:
    """What is known of a file: `key` is its place in the store, `author` who sent it."""

    name: str
    format: str
    bytes: int
    sha256: str
    schema: Schema
    target: str | None
    key: str
    author: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The row, whether it is new, and the keys in the store that nothing names any more once it is committed."""

    row: Dataset
    created: bool
    gone: tuple[str, ...]


def check_name(name: str) -> None:
    """Raises Refused for the name of a dataset that comes with the service."""
    if name in BUILTIN:
        raise Refused(NAME_TAKEN, f"{name!r} is a dataset that comes with the service; choose another name")


def check_target(target: str | None, schema: Schema) -> None:
    """Raises InvalidInput."""
    names = [column.name for column in schema.columns]
    if target is None or target in names:
        return
    message = unknown("column", target, names)
    if len(names) == 1 and (separator := next((mark for mark in ";\t|" if mark in names[0]), None)):
        message += f"; the columns of a CSV file are separated by commas, not by {separator!r}"
    raise InvalidInput.at(("target",), message)


def check_unused(datasets: Datasets, name: str) -> None:
    """Raises Refused while an unfinished study uses the dataset."""
    if users := datasets.users(name):
        named = ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
        raise Refused(IN_USE, f"dataset {name!r} is used by unfinished studies: {named}")


def store_dataset(session: Session, project_id: int, upload: Upload, *, replace: bool) -> Stored:
    """Stores the row, or finds that the same is stored already. Raises Refused when the name is another dataset's."""
    datasets = Datasets(session, project_id)
    row = datasets.find(upload.name, lock=True)
    if row is None:
        row = Dataset(name=upload.name)
        _fill(row, upload)
        if datasets.add(row):
            return Stored(row, True, ())
        row = datasets.get(upload.name, lock=True)
    if (row.sha256, row.format, row.target) == (upload.sha256, upload.format, upload.target):
        return Stored(row, False, (upload.key,))
    if not replace:
        raise Refused(
            NAME_TAKEN,
            f"there is a dataset named {upload.name!r} already, with other contents, format or target; choose another "
            "name, or give replace=true",
        )
    check_unused(datasets, upload.name)
    before = row.path
    _fill(row, upload)
    return Stored(row, False, (before,))


def _fill(row: Dataset, upload: Upload) -> None:
    told = upload.schema.to_json()
    row.format, row.bytes, row.sha256 = upload.format, upload.bytes, upload.sha256
    row.rows, row.columns, row.target = told["rows"], told["columns"], upload.target
    row.path, row.created_by = upload.key, upload.author
