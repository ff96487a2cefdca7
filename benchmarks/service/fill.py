"""A finished part of a large study, written straight into the tables: what thousands of workers would have left.

One run per trial, as `tpe` makes them; of each its attempt, a report and the three events of its life. A few in a
hundred have failed, the last ones are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.service.studies import METRIC, NOOP, SPACE, loss_of, study
from search import Standing
from search.history import RunState
from service.database import Database
from service.lifecycle import create_study
from service.models import Attempt, Base, Event, Incumbent, Report, Run, Study, Trial
from service.states import AttemptState
from spaces import Space

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PENDING, RUNNING = 8, 8  # of the last trials
FAILED = 0.04
SECONDS = 30.0  # of a run
PER_SECOND = 4  # that are begun
BATCH = 5000

Row = dict[str, Any]


def large_study(database: Database, name: str, trials: int, objective: Mapping[str, Any] = NOOP) -> None:
    """Creates an active study of so many trials, that has no limits. The same at every call, but for its id.

    For an external objective nothing is open, so that workers get nothing but new trials.
    """
    with database.session() as session:
        created = create_study(session, study(name, objective, parallelism=64))
        study_id, created.created_at, created.started_at = created.id, BEGIN, BEGIN
    leader = _Leader()
    seq = 1  # the creation
    for numbers in _batches(trials):
        rows: dict[type[Base], list[Row]] = {model: [] for model in (Trial, Run, Attempt, Report, Event, Incumbent)}
        for life in _lives(numbers, trials if objective is NOOP else trials + PENDING + RUNNING):
            seq = life.write(rows, study_id, seq, leader)
        with database.session() as session:
            for model, content in rows.items():
                if content:
                    session.execute(sa.insert(model), content)
            _finish(session.get_one(Study, study_id), leader, numbers[-1] + 1, seq)


@dataclass
class _Leader:
    run: int = -1
    loss: float = float("inf")
    places: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Life:
    """Of one trial and its run."""

    number: int
    config: Mapping[str, Any]
    state: RunState

    def write(self, rows: dict[type[Base], list[Row]], study_id: int, seq: int, leader: _Leader) -> int:
        """Adds its rows, and answers the study's last event."""
        begin = BEGIN + timedelta(seconds=self.number / PER_SECOND)
        end = begin + timedelta(seconds=SECONDS)
        of_study = {"study_id": study_id}
        of_run = {**of_study, "run": self.number}
        run: Row = {
            **of_study,
            **{"number": self.number, "trial": self.number, "state": self.state, "kind": "train"},
            **{"bracket": 0, "rung": 0, "replicate": 0, "fidelity": None, "resume_from": None, "checkpoint": None},
            "origin": {"rule": "model", "candidates": 24, "ratio": 1.7, "good": 25, "seen": self.number},
            **{"metrics": None, "value": None, "violation": 0.0, "stopped_by": None, "attempts": 0},
            **{"failure_class": None, "failure_message": None, "failure_traceback": None},
            **{"created_at": begin, "started_at": None, "finished_at": None, "ended_event": None},
        }
        rows[Trial].append({**of_study, "number": self.number, "config": self.config, "created_at": begin})
        seq = run["added_event"] = self._event(rows, study_id, seq, "run.pending", begin)
        if self.state is not RunState.PENDING:
            run |= {"attempts": 1, "started_at": begin}
            data = {"attempt": 1, "worker": f"worker-{self.number % 32}"}
            seq = self._event(rows, study_id, seq, "run.running", begin, data)
            loss = loss_of(dict(self.config))
            report = {"attempt": 1, "step": 1.0, "metrics": {METRIC: loss * 1.1}, "seconds": SECONDS / 2}
            rows[Report].append({**of_run, **report, "after_event": seq, "created_at": begin})
            ended = AttemptState.REPORTING
            if self.state is RunState.FAILED:
                ended = AttemptState.ERROR
                failure = {"failure_class": "error", "failure_message": "the loss is not a number"}
                run |= {**failure, "failure_traceback": "Traceback (most recent call last):\n" + "  a line\n" * 20}
                seq = self._event(rows, study_id, seq, "run.failed", end, {"class": "error", "message": "no number"})
            if self.state is RunState.SUCCEEDED:
                ended = AttemptState.SUCCEEDED
                run |= {"metrics": {METRIC: loss, "accuracy": 1 - loss}, "value": loss}
                seq = self._event(rows, study_id, seq, "run.succeeded", end, {"metrics": run["metrics"]})
                if loss < leader.loss:
                    place = {"place": leader.places, "run": self.number, "event": seq, "created_at": end}
                    rows[Incumbent].append({**of_study, **place})
                    leader.run, leader.loss, leader.places = self.number, loss, leader.places + 1
            if self.state.finished:
                run |= {"finished_at": end, "ended_event": seq}
            attempt = {"number": 1, "token": f"{study_id}-{self.number}", "state": ended, "owner": "benchmark"}
            attempt |= {"worker": data["worker"], "created_at": begin, "ended_at": run["finished_at"]}
            rows[Attempt].append({**of_run, **attempt})
        leader.counts[self.state] = leader.counts.get(self.state, 0) + 1
        rows[Run].append(run)
        return seq

    def _event(
        self, rows: dict[type[Base], list[Row]], study_id: int, seq: int, type_: str, at: datetime, data: Any = None
    ) -> int:
        event = {"seq": seq + 1, "type": type_, "data": data or {}, "created_at": at}
        rows[Event].append({"study_id": study_id, "run": self.number, "trial": self.number, **event})
        return seq + 1


def _batches(trials: int) -> Iterator[range]:
    for first in range(0, trials, BATCH):
        yield range(first, min(first + BATCH, trials))


def _lives(numbers: range, trials: int) -> Iterator[_Life]:
    space = Space.from_json(SPACE)
    rng = np.random.default_rng(numbers[0])
    failed = rng.random(len(numbers)) < FAILED
    for number, fails in zip(numbers, failed, strict=True):
        state = RunState.FAILED if fails else RunState.SUCCEEDED
        if number >= trials - PENDING:
            state = RunState.PENDING
        elif number >= trials - PENDING - RUNNING:
            state = RunState.RUNNING
        yield _Life(number, space.sample(rng), state)


def _finish(study: Study, leader: _Leader, trials: int, seq: int) -> None:
    standing = Standing(run=leader.run, metrics={METRIC: leader.loss}, results=1, confirmed=True, feasible=True)
    study.standing = asdict(standing) | {"schedule": []}
    study.counts, study.trials, study.fidelity, study.last_event = dict(leader.counts), trials, float(trials), seq
