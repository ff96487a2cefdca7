"""What routes share: the database, names and numbers in paths, pages of long lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, WithJsonSchema

from service.database import Database
from service.repositories.errors import NotFound

MAX_NUMBER = 2**31 - 1
MAX_ID = 2**63 - 1

Row = TypeVar("Row")


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _storable(name: str) -> str:
    # PostgreSQL raises at a NUL, even in a question.
    if "\0" in name:
        raise NotFound(f"there is no study named {name!r}")
    return name


# Routes open their transaction themselves: as a dependency with `yield` it would hold a connection while it waits for a
# second thread, and enough requests at once would wait for each other.
DatabaseOfApp = Annotated[Database, Depends(_database)]
StudyName = Annotated[str, Path(description="The study's name.", examples=["digits-lenet"]), AfterValidator(_storable)]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="Counts from 0 in the study.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most items in the answer.")]
After = Annotated[
    int | None,
    Query(ge=0, le=MAX_NUMBER, description="`next` of the page before; nothing for the first page."),
    WithJsonSchema({"type": "string"}),
]
AfterReport = Annotated[
    int | None,
    Query(ge=0, le=MAX_ID, description="`next` of the page before; nothing for the first page."),
    WithJsonSchema({"type": "string"}),
]
OfTrial = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="Only those of this trial.")]
OfRun = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="Only those of this run.")]


def cut(rows: Sequence[Row], limit: int, key: Callable[[Row], int]) -> tuple[Sequence[Row], str | None]:
    """The page, and the cursor of the one that follows: `rows` holds one more than `limit` if there is one."""
    return rows[:limit], str(key(rows[limit - 1])) if len(rows) > limit else None
