"""What studies took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Attempt


@dataclass(frozen=True, slots=True)
class Spending:
    """Of the attempts in one state. CPU and GPU seconds are of those that told, which `told` counts."""

    state: str
    attempts: int
    told: int
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float


class Costs:
    def __init__(self, session: Session) -> None:
        self.session = session

    def by_state(self, study_id: int, now: datetime) -> Sequence[Spending]:
        """Over all attempts at a study's runs; those that are under way count up to `now`."""
        wall = self._seconds(Attempt.created_at, sa.func.coalesce(Attempt.ended_at, now))
        query = (
            sa.select(
                Attempt.state,
                sa.func.count(),
                sa.func.count(sa.func.coalesce(Attempt.cpu_seconds, Attempt.gpu_seconds)),
                _total(Attempt.cpu_seconds),
                _total(Attempt.gpu_seconds),
                _total(wall),
            )
            .where(Attempt.study_id == study_id)
            .group_by(Attempt.state)
            .order_by(Attempt.state)
        )
        return [Spending(*row) for row in self.session.execute(query)]

    def _seconds(self, begin: Any, end: Any) -> Any:
        """Between two times, in the words of each database."""
        if self.session.get_bind().dialect.name == "sqlite":
            days = sa.func.julianday(end, type_=sa.Float) - sa.func.julianday(begin, type_=sa.Float)
            return days * 86400.0
        return sa.extract("epoch", end - begin)


def _total(amount: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(sa.cast(amount, sa.Float)), 0.0)
