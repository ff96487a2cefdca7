"""What the dashboard reads beyond the API: answers of a bounded size, however large the study.

Thinning happens in SQL, by rank: a chart of a hundred thousand runs loads a thousand rows, not all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from search.history import ENQUEUED, TOLD, RunState
from search.schedulers.one_shot import RANKED, SUPERNET
from service.models import Enqueued, Event, Note, Report, Run, Trial
from service.repositories.runs import Runs
from service.repositories.trial_order import Cursor, Sort, TrialOrder

_VALUED = (Run.state == RunState.SUCCEEDED, Run.value.is_not(None))
"""What has a result: that of a supernet is a ranking, and no value."""
RUNS_PER_WISH = 4
"""More runs than this have the origin of one enqueued config only in odd cases; then the last configs show no run."""


@dataclass(frozen=True, slots=True)
class TrialPage:
    trials: Sequence[tuple[Trial, Sequence[Run]]]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Point:
    """A run that succeeded; `order` counts the runs of the study that had ended by then, itself included.

    `mark` says what is out of the ordinary with its trial, see `mark_of`."""

    order: int
    finished_at: datetime
    value: float
    fidelity: float | None
    trial: int
    run: int
    mark: str | None


@dataclass(frozen=True, slots=True)
class Wish:
    """An enqueued config, and the run that tries it, once there is one."""

    row: Enqueued
    run: int | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The reports of one trial over all its runs; `steps` ascend strictly."""

    trial: int
    steps: Sequence[float]
    values: Sequence[float]


def mark_of(origin: Mapping[str, Any], *, invalidated: bool) -> str | None:
    """Nothing for what the search suggested; else that the trial counts for nothing, where it is from, or that it is no
    candidate but trains all of them at once."""
    rule = origin.get("rule")
    return "invalidated" if invalidated else str(rule) if rule in (TOLD, ENQUEUED, SUPERNET) else None


class DashboardReads:
    def __init__(self, session: Session, study_id: int) -> None:
        self.session = session
        self.study_id = study_id

    def trials(
        self, sort: Sort, limit: int, *, maximize: bool, state: RunState | None = None, after: Cursor | None = None
    ) -> TrialPage:
        """One page of trials. A trial's state is that of its latest run, its value that of its latest success."""
        order = TrialOrder(self.study_id, sort, maximize, state)
        found = order.read(self.session, limit + 1, after)
        return TrialPage(
            trials=Runs(self.session).trials_numbered(self.study_id, [one.number for one in found[:limit]]),
            next=found[limit - 1] if len(found) > limit else None,
        )

    def points(self, limit: int, keep: Collection[int]) -> Sequence[Point]:
        """About `limit` of the runs that succeeded, evenly in the order in which they ended, and those in `keep`."""
        mine = Run.study_id == self.study_id
        # Of the index alone, and then the few that are shown: whole rows would be most of the work.
        has_ended = mine & Run.ended_event.is_not(None)
        place = sa.func.row_number().over(order_by=Run.ended_event).label("place")
        ended = sa.select(Run.ended_event, place).where(has_ended).subquery()
        total = self.session.scalar(sa.select(sa.func.count()).where(has_ended)) or 0
        stride = max(1, -(-total // limit))
        kept = sa.select(Run.ended_event).where(has_ended, Run.number.in_(keep))
        shown = sa.select(ended).where((ended.c.place % stride == 0) | ended.c.ended_event.in_(kept))
        places: dict[int | None, int] = {row[0]: row[1] for row in self.session.execute(shown)}
        # As literals: a database counts parameters.
        events: sa.BindParameter[list[int]] = sa.bindparam("events", list(places), expanding=True, literal_execute=True)
        columns = (Run.ended_event, Run.finished_at, Run.value, Run.fidelity, Run.trial, Run.number, Run.origin)
        succeeded = sa.select(*columns).where(mine, *_VALUED, Run.ended_event.in_(events))
        rows = self.session.execute(succeeded.order_by(Run.ended_event)).all()
        gone = self.invalidated(None)
        return [_point(places[row[0]], *row[1:-1], mark_of(row[-1], invalidated=row[4] in gone)) for row in rows]

    def invalidated(self, trials: Collection[int] | None) -> set[int]:
        """Those of these trials, or of all, that count for nothing any more: few, and an index knows them."""
        query = sa.select(Trial.number).where(Trial.study_id == self.study_id, Trial.invalidated_event.is_not(None))
        return set(self.session.scalars(query if trials is None else query.where(Trial.number.in_(trials))))

    def marks(self, trials: Collection[int]) -> dict[int, str]:
        """Of these trials those that have one: see `mark_of`."""
        first = sa.select(Run.trial, Run.origin).where(Run.study_id == self.study_id, Run.trial.in_(trials))
        gone = self.invalidated(trials)
        found = {trial: mark_of(origin, invalidated=trial in gone) for trial, origin in self.session.execute(first)}
        return {trial: mark for trial, mark in found.items() if mark is not None}

    def notes(self, limit: int, trial: int | None = None) -> Sequence[Note]:
        """The newest notes on the study and its trials, or on one trial; newest first."""
        query = sa.select(Note).where(Note.study_id == self.study_id).order_by(Note.id.desc()).limit(limit)
        return self.session.scalars(query if trial is None else query.where(Note.trial == trial)).all()

    def wishes(self, limit: int) -> Sequence[Wish]:
        """The configs that were enqueued last, newest first."""
        query = sa.select(Enqueued).where(Enqueued.study_id == self.study_id).order_by(Enqueued.number.desc())
        rows = self.session.scalars(query.limit(limit)).all()
        if not rows:
            return []
        # Enqueued configs go before all others, so the runs that try them are the next ones that were added.
        added = sa.select(Event.run).where(Event.study_id == self.study_id, Event.seq > rows[-1].event)
        first = self.session.scalar(added.where(Event.type == "run.pending").order_by(Event.seq).limit(1))
        serving: dict[int, int] = {}
        if first is not None:
            rule, number = Run.origin["rule"].as_string(), Run.origin["number"].as_integer()
            tried = sa.select(number, Run.number).where(Run.study_id == self.study_id, rule == ENQUEUED)
            tried = tried.where(Run.number >= first).order_by(Run.number)
            for wish, run in self.session.execute(tried.limit(RUNS_PER_WISH * limit)):
                serving.setdefault(wish, run)
        return [Wish(row, serving.get(row.number)) for row in rows]

    def leading_trials(self, limit: int, *, maximize: bool) -> Sequence[int]:
        """The trials whose curves say most: the best ones, highest fidelity first; none that was invalidated."""
        value = Run.value.desc() if maximize else Run.value.asc()
        found: dict[int, None] = {}
        gone = sa.select(Trial.number).where(Trial.study_id == self.study_id, Trial.invalidated_event.is_not(None))
        for fidelity in self._fidelities():
            at = sa.select(Run.trial).where(Run.study_id == self.study_id, *_VALUED)
            at = at.where(Run.fidelity.is_not_distinct_from(fidelity), Run.trial.not_in(gone))
            feasible = at.where(Run.violation == 0).order_by(value, Run.trial)
            others = at.where(Run.violation > 0).order_by(Run.violation, value, Run.trial)
            for query in (feasible, others):
                # Those that are known of a higher fidelity may come first here, too.
                found |= dict.fromkeys(self.session.scalars(query.limit(limit + len(found))))
                if len(found) >= limit:
                    return list(found)[:limit]
        return list(found)

    def supernet(self) -> Run | None:
        """The run that trains all architectures at once, if one was begun."""
        mine = sa.select(Run).where(Run.study_id == self.study_id, Run.kind == "supernet")
        return self.session.scalar(mine.order_by(Run.number).limit(1))

    def progress(self, run: Run, limit: int) -> Sequence[tuple[float, Mapping[str, Any]]]:
        """Step and metrics of about `limit` reports of the run, evenly, the last one always with them."""
        mine = (Report.study_id == self.study_id, Report.run == run.number, Report.attempt == run.attempts)
        rank = sa.func.row_number().over(order_by=Report.step.desc()).label("rank")
        ranked = sa.select(Report.id, rank).where(*mine).subquery()
        total = self.session.scalar(sa.select(sa.func.count()).select_from(ranked)) or 0
        stride = max(1, -(-total // limit))
        query = sa.select(Report.step, Report.metrics).join(ranked, ranked.c.id == Report.id)
        query = query.where((ranked.c.rank - 1) % stride == 0).order_by(Report.step)
        return [(step, metrics) for step, metrics in self.session.execute(query)]

    def ranked(self) -> Mapping[int, Run]:
        """The runs of configs that a supernet ranked, by their places in the ranking, from 1."""
        rule, rank = Run.origin["rule"].as_string(), Run.origin["rank"].as_integer()
        query = sa.select(rank, Run).where(Run.study_id == self.study_id, rule == RANKED, Run.replicate == 0)
        return {row[0]: row[1] for row in self.session.execute(query.order_by(Run.number))}

    def _fidelities(self) -> Iterator[float | None]:
        """Those that have a success, the highest first; None where the study has no fidelity."""
        top = sa.select(sa.func.max(Run.fidelity)).where(Run.study_id == self.study_id, *_VALUED)
        fidelity = self.session.scalar(top)
        yield fidelity
        while fidelity is not None and (lower := self.session.scalar(top.where(Run.fidelity < fidelity))) is not None:
            yield lower
            fidelity = lower

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


def _point(
    order: int,
    finished_at: datetime | None,
    value: float | None,
    fidelity: float | None,
    trial: int,
    run: int,
    mark: str | None,
) -> Point:
    assert finished_at is not None
    assert value is not None, "a success has a value"
    return Point(order, finished_at, value, fidelity, trial, run, mark)
