"""Lists of trials, page by page, against sorting all of them by hand: on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sqlalchemy as sa

from search.history import RunState
from service.database import Database
from service.lifecycle import create_study
from service.models import Run, Trial
from service.repositories.trial_order import Cursor, Sort, TrialOrder

TRIALS, MOST_RUNS = 45, 4
VALUES = (0.1, 0.2, 0.3, 0.4)  # few, so that there are ties
VIOLATIONS = (0.0, 0.0, 0.0, 1.0, 2.0)
STUDY = {
    "space": {"parameters": [{"name": "x0", "type": "float", "low": 0, "high": 1}]},
    "objective": {"type": "function", "function": "noop"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
}
Facts = dict[int, tuple[RunState, float | None, float]]
"""Of each trial: its state, its value and its violation."""


@pytest.fixture
def facts(database: Database) -> tuple[int, Facts]:
    """A study whose trials have several runs in all states, and another one whose runs are none of its own."""
    rng = np.random.default_rng(7)
    with database.session() as session:
        for name in ("other", "mine"):
            study_id = create_study(session, {**STUDY, "name": name}).id
            found: Facts = {}
            runs, numbers = [], iter(range(TRIALS * MOST_RUNS))
            for trial, rung in itertools.product(range(TRIALS), range(MOST_RUNS)):
                if rung and rng.random() < 0.5:
                    continue
                state = RunState(rng.choice(list(RunState)))
                row = {"state": state, "value": None, "violation": 0.0, "trial": trial, "rung": rung}
                if state is RunState.SUCCEEDED:
                    row |= {"value": float(rng.choice(VALUES)), "violation": float(rng.choice(VIOLATIONS))}
                runs.append(row)
            # Whichever trial it is of, a run gets the next number: those of a trial do not follow each other.
            order = sorted(range(len(runs)), key=lambda place: (runs[place]["rung"], rng.random()))
            session.execute(
                sa.insert(Trial), [{"study_id": study_id, "number": n, "config": {}} for n in range(TRIALS)]
            )
            for place in order:
                run = runs[place]
                _, value, violation = found.get(run["trial"], (None, None, 0.0))
                if run["state"] is RunState.SUCCEEDED:
                    value, violation = run["value"], run["violation"]
                found[run["trial"]] = (run["state"], value, violation)
                common = {"study_id": study_id, "kind": "train", "bracket": 0, "origin": {}, "added_event": 1}
                session.add(Run(**run, **common, number=next(numbers), metrics=None))
    return study_id, found


def by_hand(found: Facts, sort: Sort, maximize: bool, state: RunState | None) -> list[int]:
    sign = -1 if (sort is Sort.BEST) == maximize else 1

    def key(trial: int) -> tuple[bool, float, float, int]:
        _, value, violation = found[trial]
        violation = violation if sort is Sort.BEST else -violation
        return value is None, violation if value is not None else 0.0, sign * (value or 0.0), trial

    wanted = [trial for trial in found if state is None or found[trial][0] is state]
    if sort in (Sort.NEWEST, Sort.OLDEST):
        return sorted(wanted, reverse=sort is Sort.NEWEST)
    return sorted(wanted, key=key)


@pytest.mark.parametrize("state", [None, *RunState])
def test_every_list_in_pages_of_every_size(
    database: Database, facts: tuple[int, Facts], state: RunState | None
) -> None:
    study_id, found = facts
    with database.session(write=False) as session:
        for sort, maximize, size in itertools.product(Sort, (False, True), (2, 7, TRIALS + 1)):
            expected = by_hand(found, sort, maximize, state)
            pages: list[int] = []
            after: Cursor | None = None
            for _ in range(math.ceil(len(expected) / size) + 1):
                page = TrialOrder(study_id, sort, maximize, state).read(session, size, after)
                pages += [one.number for one in page]
                after = Cursor.parse(str(page[-1])) if page else after
            assert pages == expected, (sort, maximize, size)


def test_a_cursor_of_another_list_begins_somewhere(database: Database, facts: tuple[int, Facts]) -> None:
    study_id, _ = facts
    with database.session(write=False) as session:
        order = TrialOrder(study_id, Sort.BEST, state=RunState.SUCCEEDED)
        assert order.read(session, TRIALS, Cursor(0.0, None, 3)) == order.read(session, TRIALS)
