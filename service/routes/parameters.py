"""What routes share: the database, names and numbers in paths, pages of long lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from service.database import Database
from service.histories import Histories
from service.repositories.errors import NotFound

MAX_NUMBER = 2**31 - 1
MAX_ID = 2**63 - 1

Row = TypeVar("Row")


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _histories(request: Request) -> Histories:
    histories: Histories = request.app.state.histories
    return histories


def _storable(name: str) -> str:
    # PostgreSQL raises at a NUL, even in a question.
    if "\0" in name:
        raise NotFound(f"there is no study named {name!r}")
    return name


def _cursor_of(digits: int) -> Callable[[object], int]:
    """Reads a cursor, which is a number of so many digits at most; to clients it is a text without a meaning."""

    def read(given: object) -> int:
        if not isinstance(given, str) or not re.fullmatch(f"[0-9]{{1,{digits}}}", given):
            raise ValueError("must be the `next` of a page")
        return int(given)

    return read


# Routes open their transaction themselves: as a dependency with `yield` it would hold a connection while it waits for a
# second thread, and enough requests at once would wait for each other.
DatabaseOfApp = Annotated[Database, Depends(_database)]
HistoriesOfApp = Annotated[Histories, Depends(_histories)]
StudyName = Annotated[str, Path(description="The study's name.", examples=["digits-lenet"]), AfterValidator(_storable)]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="Counts from 0 in the study.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most items in the answer.")]
After = Annotated[
    int | None,
    Query(description="`next` of the page before; nothing for the first page."),
    BeforeValidator(_cursor_of(9)),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}$"}),
]
AfterReport = Annotated[
    int | None,
    Query(description="`next` of the page before; nothing for the first page."),
    BeforeValidator(_cursor_of(18)),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,18}$"}),
]
OfTrial = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="Only those of this trial.")]
OfRun = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="Only those of this run.")]


def cut(rows: Sequence[Row], limit: int, key: Callable[[Row], int]) -> tuple[Sequence[Row], str | None]:
    """The page, and the cursor of the one that follows: `rows` holds one more than `limit` if there is one."""
    return rows[:limit], str(key(rows[limit - 1])) if len(rows) > limit else None
