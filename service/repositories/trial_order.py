"""Which trials come next in a list of them: by number or by value, of all trials or of those in one state.

How a trial stands and what it is worth, its runs say: its state is that of its latest run, its value that of its latest
success. Nothing of that is stored with the trial, and yet a page costs the same in a study of a hundred thousand: runs
are read in the order of an index, and one that a later run of its trial makes obsolete is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from search.history import RunState
from service.models import Run, Trial

Query = sa.Select[Any, Any, Any]
"""Answers violation, value and number of trials: the fields of a cursor."""


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    BEST = "best"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last trial of a page: its violation of constraints, its value (None without a success) and its number. By
    number, that alone counts."""

    violation: float
    value: float | None
    number: int

    def __str__(self) -> str:
        return f"{self.violation!r}~{'' if self.value is None else repr(self.value)}~{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of `str`. Raises ValueError."""
        violation, value, number = text.split("~")
        if not 0 <= int(number) < 2**31:
            raise ValueError("no trial has such a number")
        return cls(float(violation), float(value) if value else None, int(number))


class _Part(StrEnum):
    """By value, a list is a part after another."""

    FEASIBLE = auto()
    INFEASIBLE = auto()
    """Its latest success breaks constraints."""
    WORTHLESS = auto()
    """No run of it has succeeded."""


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """An order of a study's trials; with `state`, of those whose latest run is in it.

    By value, those that break constraints are worse than all that keep them, the more they break, the worse; and those
    without a success come last either way. Ties are broken by number.
    """

    study_id: int
    sort: Sort = Sort.OLDEST
    maximize: bool = False
    state: RunState | None = None

    def read(self, session: Session, limit: int, after: Cursor | None = None) -> list[Cursor]:
        """The next `limit` trials, in order."""
        found: list[Cursor] = []
        for query in self._queries(after, limit):
            found += [Cursor(*row) for row in session.execute(query.limit(limit - len(found)))]
            if len(found) == limit:
                break
        return found

    def _queries(self, after: Cursor | None, limit: int) -> Iterator[Query]:
        """One after another answers the list behind `after`."""
        if self.sort in (Sort.NEWEST, Sort.OLDEST):
            yield self._by_number(after)
        elif self.state in (None, RunState.SUCCEEDED):
            parts = [_Part.FEASIBLE, _Part.INFEASIBLE] if self.sort is Sort.BEST else [_Part.INFEASIBLE, _Part.FEASIBLE]
            parts += [_Part.WORTHLESS] if self.state is None else []
            begun = _part_of(after) if after else None
            for part in parts[parts.index(begun) :] if begun in parts else parts:
                behind = after if part is begun else None
                yield self._worthless(behind, limit) if part is _Part.WORTHLESS else self._successes(part, behind)
        else:
            yield self._of_few(after)

    def _by_number(self, after: Cursor | None) -> Query:
        number = Trial.number if self.state is None else Run.trial
        query: Query = sa.select(sa.literal(0.0), sa.null(), number)
        if self.state is None:
            query = query.where(Trial.study_id == self.study_id)
        else:
            query = query.where(Run.study_id == self.study_id, Run.state == self.state, _is_latest())
        if self.sort is Sort.NEWEST:
            return query.where(*([number < after.number] if after else [])).order_by(number.desc())
        return query.where(*([number > after.number] if after else [])).order_by(number)

    def _successes(self, part: _Part, after: Cursor | None) -> Query:
        """The trials with a success that keeps, or breaks, the constraints, in the order of an index."""
        best = self.sort is Sort.BEST
        value = _Column(Run.value, descending=best == self.maximize)
        violation = _Column(Run.violation, descending=not best)
        valid = _is_latest(RunState.SUCCEEDED) if self.state is None else _is_latest()
        query: Query = sa.select(Run.violation, Run.value, Run.trial)
        query = query.where(Run.study_id == self.study_id, Run.value.is_not(None), valid)  # only a success has one
        if part is _Part.FEASIBLE:
            query = query.where(Run.violation == 0).order_by(value.order, Run.trial)
            if after is not None:
                query = query.where(value.from_(after.value), value.beyond(after.value) | (Run.trial > after.number))
            return query
        query = query.where(Run.violation > 0).order_by(violation.order, value.order, Run.trial)
        if after is not None:
            same = (Run.value == after.value) & (Run.trial > after.number)
            later = (Run.violation == after.violation) & (value.beyond(after.value) | same)
            query = query.where(violation.from_(after.violation), violation.beyond(after.violation) | later)
        return query

    def _worthless(self, after: Cursor | None, limit: int) -> Query:
        """By number: the first of each state, and of them the first, so that few are sorted."""
        first: list[sa.Select[Any]] = []
        for state in RunState:
            if state is RunState.SUCCEEDED:
                continue
            query = sa.select(Run.trial).where(Run.study_id == self.study_id, Run.state == state)
            query = query.where(_is_latest(), _has_no_success()).order_by(Run.trial).limit(limit)
            if after is not None:
                query = query.where(Run.trial > after.number)
            first.append(sa.select(query.subquery()))
        any_of_them = sa.union_all(*first).subquery()
        (number,) = any_of_them.c
        return sa.select(sa.literal(0.0), sa.null(), number).order_by(number)

    def _of_few(self, after: Cursor | None) -> Query:
        """By value, of a state in which runs are not a success: all of its trials are read, and sorted."""
        success = aliased(Run)
        of_trial = (success.study_id == Run.study_id) & (success.trial == Run.trial)
        latest_success = of_trial & (success.state == RunState.SUCCEEDED) & _is_latest(RunState.SUCCEEDED, of=success)
        best = self.sort is Sort.BEST
        value = _Column(success.value, descending=best == self.maximize)
        violation = _Column(sa.func.coalesce(success.violation, 0.0), descending=not best)
        query: Query = (
            sa.select(violation.of, value.of, Run.trial)
            .outerjoin(success, latest_success)
            .where(Run.study_id == self.study_id, Run.state == self.state, _is_latest())
            .order_by(value.of.is_(None), violation.order, value.order, Run.trial)
        )
        if after is None:
            return query
        if after.value is None:
            return query.where(value.of.is_(None), Run.trial > after.number)
        later = value.beyond(after.value) | ((value.of == after.value) & (Run.trial > after.number))
        later = violation.beyond(after.violation) | ((violation.of == after.violation) & later)
        return query.where(value.of.is_(None) | later)


@dataclass(frozen=True, slots=True)
class _Column:
    """What is sorted by, and in which direction."""

    of: Any
    descending: bool

    @property
    def order(self) -> Any:
        return self.of.desc() if self.descending else self.of.asc()

    def beyond(self, limit: float | None) -> Any:
        return self.of < limit if self.descending else self.of > limit

    def from_(self, limit: float | None) -> Any:
        """`beyond` or equal: what an index can begin at."""
        return self.of <= limit if self.descending else self.of >= limit


def _part_of(cursor: Cursor) -> _Part:
    if cursor.value is None:
        return _Part.WORTHLESS
    return _Part.INFEASIBLE if cursor.violation else _Part.FEASIBLE


def _is_latest(state: RunState | None = None, of: Any = Run) -> Any:
    """Whether no later run of its trial (in that state) has been added."""
    later = aliased(Run)
    query = sa.select(1).where(later.study_id == of.study_id, later.trial == of.trial)
    # As a sum, or SQLite walks an index of numbers, over all the trials that came later.
    query = query.where(later.number + 0 > of.number)
    return ~sa.exists(query if state is None else query.where(later.state == state))


def _has_no_success() -> Any:
    other = aliased(Run)
    return ~sa.exists(
        sa.select(1).where(other.study_id == Run.study_id, other.trial == Run.trial, other.state == RunState.SUCCEEDED)
    )
