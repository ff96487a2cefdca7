"""Whole studies, row by row: read without ever having all of them in memory, and stored as they come from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Attempt, Base, Json, Report, Run, Study, Trial

PAGE = 500
"""So many rows are in memory at once."""


class Collision(ValueError):
    """Two rows that cannot both be, such as two reports of the same step."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took over all its attempts; null where nobody told."""

    cpu_seconds: float | None
    gpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A run for people: with its trial, and what it took."""

    run: Run
    config: Json
    invalidated: Json | None
    cost: Cost


class Transfers:
    def __init__(self, session: Session) -> None:
        self.session = session

    def rows(
        self, table: type[Base], columns: Sequence[str], order: Sequence[str], study_id: int
    ) -> Iterator[Mapping[str, Any]]:
        """All rows of a study, with these columns."""
        query = sa.select(*(getattr(table, name) for name in columns)).where(_study(table) == study_id)
        query = query.order_by(*(getattr(table, name) for name in order))
        found = self.session.execute(query.execution_options(yield_per=PAGE))
        for row in found:
            yield dict(zip(columns, row, strict=True))

    def count(self, table: type[Base], study_id: int) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(_study(table) == study_id)
        return self.session.scalar(query) or 0

    def add(self, table: type[Base], rows: Iterable[Mapping[str, Any]]) -> None:
        """Stores rows, in this order unless they have different columns. Raises Collision."""
        insert, connection = sa.insert(table), self.session.connection()
        pages = iter(rows)
        while page := list(islice(pages, PAGE)):
            try:
                for alike in _alike(page):
                    connection.execute(insert, alike)
            except sa.exc.IntegrityError as error:
                raise Collision(str(error.orig)) from error

    def runs_for_people(self, study_id: int, by: Sequence[str]) -> Iterator[TableRow]:
        """All runs in this order, by columns of runs."""
        cost = (
            sa.select(
                Attempt.run.label("run"),
                sa.func.sum(Attempt.cpu_seconds).label("cpu"),
                sa.func.sum(Attempt.gpu_seconds).label("gpu"),
            )
            .where(Attempt.study_id == study_id)
            .group_by(Attempt.run)
            .subquery()
        )
        query = (
            sa.select(Run, Trial.config, Trial.invalidated, cost.c.cpu, cost.c.gpu)
            .join(Trial, (Trial.study_id == Run.study_id) & (Trial.number == Run.trial))
            .outerjoin(cost, cost.c.run == Run.number)
            .where(Run.study_id == study_id)
            .order_by(*(getattr(Run, name) for name in by))
        )
        for run, config, invalidated, cpu, gpu in self.session.execute(query.execution_options(yield_per=PAGE)):
            yield TableRow(run, config, invalidated, Cost(cpu, gpu))

    def reports_for_people(self, study_id: int) -> Iterator[tuple[Report, int]]:
        """The reports that count, those of the runs' latest attempts, with the numbers of their trials."""
        query = (
            sa.select(Report, Run.trial)
            .join(Run, (Run.study_id == Report.study_id) & (Run.number == Report.run))
            .where(Report.study_id == study_id, Report.attempt == Run.attempts)
            .order_by(Report.run, Report.step)
        )
        for row in self.session.execute(query.execution_options(yield_per=PAGE)):
            yield row[0], row[1]

    def metric_names(self, table: type[Run] | type[Report], study_id: int, most: int) -> set[str]:
        """The names of all metrics in these rows, or `most` of them."""
        names: set[str] = set()
        query = sa.select(table.metrics).where(table.study_id == study_id)
        for (metrics,) in self.session.execute(query.execution_options(yield_per=PAGE)):
            names.update(metrics or ())
            if len(names) >= most:
                break
        return names


def _study(table: type[Base]) -> Any:
    return getattr(table, "id" if table is Study else "study_id")


def _alike(rows: Sequence[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    """The rows, in groups that have the same columns."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row), []).append(row)
    return found.values()
