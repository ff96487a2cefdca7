"""What the dashboard reads beyond the API: answers of a bounded size, however large the study.

Thinning happens in SQL, by rank: a chart of ten thousand runs loads a few hundred rows, not ten thousand.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import RunState
from service.models import Report, Run, Trial
from service.repositories.runs import Runs, newest_of_each_trial


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    BEST = "best"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last trial of a page: its violation of constraints, its value (None without a success) and its number."""

    violation: float
    value: float | None
    number: int

    def __str__(self) -> str:
        return f"{self.violation!r}~{'' if self.value is None else repr(self.value)}~{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of `str`. Raises ValueError."""
        violation, value, number = text.split("~")
        return cls(float(violation), float(value) if value else None, int(number))


@dataclass(frozen=True, slots=True)
class TrialPage:
    trials: Sequence[tuple[Trial, Sequence[Run]]]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Point:
    """A run that succeeded; `order` counts the runs of the study that had ended by then, itself included."""

    order: int
    finished_at: datetime
    value: float
    fidelity: float | None
    trial: int
    run: int


@dataclass(frozen=True, slots=True)
class Curve:
    """The reports of one trial over all its runs; `steps` ascend strictly."""

    trial: int
    steps: Sequence[float]
    values: Sequence[float]


class DashboardReads:
    def __init__(self, session: Session, study_id: int) -> None:
        self.session = session
        self.study_id = study_id

    def trials(
        self, sort: Sort, limit: int, *, maximize: bool, state: RunState | None = None, after: Cursor | None = None
    ) -> TrialPage:
        """One page of trials. A trial's state is that of its latest run, its value that of its latest success."""
        latest = newest_of_each_trial(self.study_id)
        valued = newest_of_each_trial(self.study_id, RunState.SUCCEEDED)
        by = _Columns(latest.c.trial, valued.c.value, sa.func.coalesce(valued.c.violation, 0.0))
        query = (
            sa.select(by.violation, by.value, by.number)
            .select_from(latest.outerjoin(valued, valued.c.trial == latest.c.trial))
            .order_by(*_order(sort, by, maximize))
            .limit(limit + 1)
        )
        if state is not None:
            query = query.where(latest.c.state == state)
        if after is not None:
            query = query.where(_beyond(after, sort, by, maximize))
        rows = self.session.execute(query).all()
        more = len(rows) > limit
        return TrialPage(
            trials=self._load([row[2] for row in rows[:limit]]),
            next=Cursor(*rows[limit - 1]) if more else None,
        )

    def points(self, limit: int, keep: Collection[int]) -> Sequence[Point]:
        """About `limit` of the runs that succeeded, evenly in the order in which they ended, and those in `keep`."""
        ended = (
            sa.select(Run, sa.func.row_number().over(order_by=Run.ended_event).label("ended"))
            .where(Run.study_id == self.study_id, Run.ended_event.is_not(None))
            .subquery()
        )
        total = self.session.scalar(sa.select(sa.func.count()).select_from(ended)) or 0
        stride = max(1, -(-total // limit))
        query = (
            sa.select(
                ended.c.ended, ended.c.finished_at, ended.c.value, ended.c.fidelity, ended.c.trial, ended.c.number
            )
            .where(ended.c.state == RunState.SUCCEEDED)
            .where((ended.c.ended % stride == 0) | ended.c.number.in_(keep))
            .order_by(ended.c.ended)
        )
        return [Point(*row) for row in self.session.execute(query)]

    def leading_trials(self, limit: int, *, maximize: bool) -> Sequence[int]:
        """The trials whose curves say most: the best ones, highest fidelity first."""
        value = Run.value.desc() if maximize else Run.value.asc()
        best = sa.select(Run.trial).where(Run.study_id == self.study_id, Run.state == RunState.SUCCEEDED)
        # A trial has a run per rung, of which the first is its highest; a study of many rungs shows a few trials fewer.
        rows = self.session.scalars(
            best.order_by(sa.func.coalesce(Run.fidelity, 0).desc(), Run.violation, value, Run.trial).limit(2 * limit)
        )
        return list(dict.fromkeys(rows))[:limit]

    def running_trials(self, limit: int) -> Sequence[int]:
        """The trials that are being trained now, newest first."""
        query = sa.select(Run.trial).where(Run.study_id == self.study_id, Run.state == RunState.RUNNING)
        return list(dict.fromkeys(self.session.scalars(query.order_by(Run.number.desc()).limit(limit))))

    def curves(self, trials: Collection[int], metric: str, limit: int) -> Sequence[Curve]:
        """The learning curves of these trials over all their runs, each thinned to about `limit` points."""
        rank = sa.func.row_number().over(partition_by=Run.trial, order_by=(Report.step, Report.id))
        size = sa.func.count().over(partition_by=Run.trial)
        reports = (
            sa.select(Report.id, Run.trial, Report.step, rank.label("rank"), size.label("size"))
            .join(Run, (Run.study_id == Report.study_id) & (Run.number == Report.run))
            .where(Report.study_id == self.study_id, Run.trial.in_(trials), Report.attempt == Run.attempts)
            .subquery()
        )
        # The last point always stays: it is what the curve has come to.
        kept = (reports.c.rank % (reports.c.size // limit + 1) == 0) | (reports.c.rank == reports.c.size)
        query = (
            sa.select(reports.c.trial, Report.step, Report.metrics)
            .join(reports, reports.c.id == Report.id)
            .where(kept)
            .order_by(reports.c.trial, Report.step, Report.id)
        )
        points: dict[int, dict[float, float]] = {}
        for trial, step, metrics in self.session.execute(query):
            if isinstance(value := metrics.get(metric), int | float):
                points.setdefault(trial, {})[step] = float(value)
        return [Curve(trial, list(curve.keys()), list(curve.values())) for trial, curve in points.items()]

    def _load(self, numbers: Sequence[int]) -> Sequence[tuple[Trial, Sequence[Run]]]:
        query = sa.select(Trial).where(Trial.study_id == self.study_id, Trial.number.in_(numbers))
        trials = {trial.number: trial for trial in self.session.scalars(query)}
        return Runs(self.session).with_runs(self.study_id, [trials[number] for number in numbers])


def _descending(sort: Sort, maximize: bool) -> bool:
    return (sort is Sort.BEST) == maximize


@dataclass(frozen=True, slots=True)
class _Columns:
    """What trials are ordered by. Those that break constraints are worse than all that keep them."""

    number: Any
    value: Any
    violation: Any


def _order(sort: Sort, by: _Columns, maximize: bool) -> tuple[Any, ...]:
    match sort:
        case Sort.NEWEST:
            return (by.number.desc(),)
        case Sort.OLDEST:
            return (by.number.asc(),)
        case Sort.BEST | Sort.WORST:
            value = by.value.desc() if _descending(sort, maximize) else by.value.asc()
            violation = by.violation.asc() if sort is Sort.BEST else by.violation.desc()
            # Trials without a success come last either way.
            return (by.value.is_(None), violation, value, by.number.asc())


def _beyond(after: Cursor, sort: Sort, by: _Columns, maximize: bool) -> Any:
    match sort:
        case Sort.NEWEST:
            return by.number < after.number
        case Sort.OLDEST:
            return by.number > after.number
        case Sort.BEST | Sort.WORST if after.value is None:
            return by.value.is_(None) & (by.number > after.number)
        case Sort.BEST | Sort.WORST:
            violates = by.violation > after.violation if sort is Sort.BEST else by.violation < after.violation
            further = by.value < after.value if _descending(sort, maximize) else by.value > after.value
            later = further | ((by.value == after.value) & (by.number > after.number))
            return by.value.is_(None) | violates | ((by.violation == after.violation) & later)
