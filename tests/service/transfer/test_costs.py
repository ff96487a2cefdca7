"""What studies took, as each database adds it up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.models import Attempt, utcnow
from service.repositories.costs import Costs, Spending


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_seconds_are_added_up_by_state(new_site: Callable[[str], Any], kind: str) -> None:
    site, now = new_site(kind), utcnow()
    study_id = site.create(parallelism=4)
    site.claim(4)
    with site.database.session() as session:
        rows = session.scalars(sa.select(Attempt).order_by(Attempt.run)).all()
        for number, row in enumerate(rows):
            row.created_at = now - timedelta(seconds=100.5)
            if number:
                row.state, row.ended_at = "succeeded", now - timedelta(seconds=100 - number)
            row.cpu_seconds, row.gpu_seconds = (None, 1.5) if number == 3 else (0.25 * number or None, None)

    with site.database.session(write=False) as session:
        going_on, ended = Costs(session).by_state(study_id, now)

    assert (going_on.state, going_on.attempts, going_on.told) == ("reporting", 1, 0)
    assert going_on.wall_seconds == pytest.approx(100.5, abs=1e-3)
    assert ended == Spending("succeeded", 3, 3, 0.75, 1.5, pytest.approx(1.5 + 2.5 + 3.5, abs=1e-3))
