"""Runs of people's own workers, over every database and with a clock that the test moves: leases, attempts, retries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from search.history import RunState
from search.replay import Verified, verify
from service.checkpoints import Checkpoints
from service.database import Database
from service.desk import Desk
from service.external.work import Claimed, External, Heard, Stale
from service.lifecycle import cancel_study, create_study, pause_study, resume_study
from service.models import DEFAULT_PROJECT_ID, Attempt, Event, Project, Report, Run, Study, utcnow
from service.record import stored_record
from service.repositories.artifacts import checkpoint_to_continue
from service.states import AttemptState, NotAllowed, StudyState
from workers.protocol import FailureClass
from workers.protocol import Report as Said

STUDY: dict[str, Any] = {
    "name": "s",
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ]
    },
    "objective": {"type": "external"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 4},
    "parallelism": 8,
    "retry": {"backoff_seconds": 10},
}
EPOCHS = {"space": {**STUDY["space"], "fidelity": {"name": "epochs", "low": 1, "high": 9}}}
HYPERBAND = {**EPOCHS, "algorithm": {"name": "hyperband", "eta": 3}, "budget": {"max_runs": 22}}
MEDIAN = {
    **EPOCHS,
    "algorithm": {"name": "random", "stop": {"rule": "median", "trials": 3, "grace": 3}},
    "budget": {"max_runs": 6},
}
LEASE = 60.0


class Site:
    """A study, whoever works on it, and the time."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.time = utcnow()
        self.folder = folder
        self.desk = self.new_desk()
        self.study_id = 0

    def now(self) -> datetime:
        return self.time

    def new_desk(self) -> Desk:
        """As another process has it."""
        return Desk(self.database, Checkpoints(self.folder), self.now)

    def create(self, **changes: Any) -> int:
        with self.database.session() as session:
            self.study_id = create_study(session, {**STUDY, **changes}).id
        self.time = utcnow()
        return self.study_id

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def act(self, operation: Callable[[External], Any]) -> Any:
        return self.desk.act(self.study_id, lambda work: operation(External(work)))

    def claim(self, worker: str = "ann", count: int = 1, lease: float | None = LEASE) -> Claimed:
        claimed: Claimed = self.act(lambda external: external.claim(worker, count, lease))
        return claimed

    def take(self, worker: str = "ann", lease: float | None = LEASE) -> Attempt:
        """An attempt of its own for a worker that must get one."""
        claimed = self.claim(worker, 1, lease)
        assert claimed.attempts, claimed.nothing
        return claimed.attempts[0][0]

    def report(self, attempt: Attempt, *steps: float, loss: float = 1.0) -> Heard | Stale:
        said = [Said(step, {"loss": loss}) for step in steps]
        heard: Heard | Stale = self.act(lambda external: external.report(attempt.run, attempt.token, said))
        return heard

    def beat(self, attempt: Attempt) -> Heard | Stale:
        heard: Heard | Stale = self.act(lambda external: external.beat(attempt.run, attempt.token))
        return heard

    def complete(self, attempt: Attempt, loss: float | None = 1.0, stopped: bool | None = None) -> Run | Stale:
        metrics = None if loss is None else {"loss": loss}
        ended: Run | Stale = self.act(
            lambda external: external.complete(attempt.run, attempt.token, metrics, stopped, {})
        )
        return ended

    def fail(self, attempt: Attempt, failure: FailureClass = FailureClass.ERROR) -> Run | Stale:
        ended: Run | Stale = self.act(
            lambda external: external.fail(attempt.run, attempt.token, failure, "it broke", "Traceback", {})
        )
        return ended

    def save(self, attempt: Attempt, step: float) -> None:
        """What the route for checkpoints does with an address."""
        with self.database.session() as session:
            stored = session.get_one(Attempt, (attempt.study_id, attempt.run, attempt.number))
            stored.checkpoint, stored.checkpoint_step = f"s3://bucket/{attempt.run}-{step:g}", step

    @property
    def study(self) -> Study:
        with self.database.session(write=False) as session:
            return session.get_one(Study, self.study_id)

    def rows(self, table: Any) -> list[Any]:
        with self.database.session(write=False) as session:
            order = table.__mapper__.primary_key
            return list(session.scalars(sa.select(table).where(table.study_id == self.study_id).order_by(*order)))

    def run(self, number: int) -> Run:
        run: Run = self.rows(Run)[number]
        return run

    def attempts(self, run: int) -> list[Attempt]:
        return [attempt for attempt in self.rows(Attempt) if attempt.run == run]

    def check(self) -> None:
        """What is so at any time."""
        study, runs, attempts = self.study, self.rows(Run), self.rows(Attempt)
        assert study.counts == dict(Counter(run.state for run in runs)), "the counts are those of the rows"
        assert [run.number for run in runs] == list(range(len(runs)))
        assert study.trials == len({run.trial for run in runs})
        under_way = [attempt.run for attempt in attempts if attempt.ended_at is None]
        assert len(under_way) == len(set(under_way)), "no run has two attempts at once"
        assert set(under_way) == {run.number for run in runs if run.state == RunState.RUNNING}
        assert len(under_way) <= study.spec["parallelism"]
        assert len(runs) <= study.spec["budget"].get("max_runs", math.inf)
        for run in runs:
            mine = [attempt for attempt in attempts if attempt.run == run.number]
            assert [attempt.number for attempt in mine] == list(range(1, run.attempts + 1))
            assert sum(attempt.state == AttemptState.SUCCEEDED for attempt in mine) <= 1
        events = self.rows(Event)
        assert [event.seq for event in events] == list(range(1, study.last_event + 1)), "no gap, no double"
        ends = Counter(event.run for event in events if event.type in {f"run.{s}" for s in RunState if s.finished})
        assert not ends or max(ends.values()) == 1, "a run ends once"
        assert ends.total() == sum(RunState(run.state).finished for run in runs)
        with self.database.session(write=False) as session:
            assert isinstance(verify(stored_record(session, session.get_one(Study, self.study_id))), Verified)


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    site = Site(database, tmp_path / "checkpoints")
    yield site
    if site.study_id:
        site.check()


def work_off(site: Site, loss: Callable[[Attempt], float] = lambda attempt: attempt.run) -> None:
    """One worker carries out all that there is."""
    while (claimed := site.claim("off", count=1)).attempts:
        attempt = claimed.attempts[0][0]
        site.complete(attempt, float(loss(attempt)))


# Claims


def test_a_study_from_its_first_claim_to_its_end(site: Site) -> None:
    site.create()
    for _ in range(4):
        attempt = site.take()
        assert site.report(attempt, 1) == Heard("continue", attempt.lease_expires)
        site.complete(attempt, loss=attempt.run)
    nothing = site.claim().nothing
    assert nothing is not None
    assert (nothing.reason, nothing.retry_after) == ("budget", None)
    assert site.study.state == StudyState.COMPLETED
    assert [run.state for run in site.rows(Run)] == [RunState.SUCCEEDED] * 4
    assert (site.study.standing or {})["run"] == 0


def test_claiming_again_gives_back_what_the_worker_has(site: Site) -> None:
    site.create()
    first, second = (attempt for attempt, _ in site.claim("ann", 2).attempts)
    site.wait(30)
    again = [attempt for attempt, _ in site.claim("ann", 3).attempts]
    assert [attempt.token for attempt in again[:2]] == [first.token, second.token]
    assert [attempt.run for attempt in again] == [0, 1, 2]
    assert again[0].lease_expires > first.lease_expires, "the claim is a sign of life"
    assert [row.run.number for _, row in site.claim("bob", 1).attempts] == [3]


def test_no_more_runs_than_the_parallelism(site: Site) -> None:
    site.create(parallelism=2)
    claimed = site.claim("ann", 4)
    assert [attempt.run for attempt, _ in claimed.attempts] == [0, 1]
    assert claimed.nothing is not None, "it has fewer than it asked for"
    assert claimed.nothing.reason == "quota"
    nothing = site.claim("bob").nothing
    assert nothing is not None
    assert (nothing.reason, nothing.detail) == ("quota", "the study's parallelism of 2 is used up")
    assert nothing.retry_after
    site.complete(claimed.attempts[0][0])
    assert site.take("bob").run == 2


def test_no_more_runs_than_the_project_may_have(site: Site) -> None:
    site.create()
    with site.database.session() as session:
        session.get_one(Project, DEFAULT_PROJECT_ID).max_runs = 1
    attempt = site.take()
    claimed = site.claim("bob", 2)
    assert not claimed.attempts
    assert claimed.nothing is not None
    assert claimed.nothing.reason == "quota"
    assert "1 of at most 1 runs" in claimed.nothing.detail
    assert "1 of at most 1 runs" in (site.study.waiting or "")
    site.complete(attempt)
    assert site.take("bob").run == 1
    assert site.study.waiting is None


def test_the_budget_is_exact(site: Site) -> None:
    site.create(budget={"max_runs": 3})
    claimed = site.claim("ann", 5)
    assert len(claimed.attempts) == 3
    assert claimed.nothing is not None
    assert claimed.nothing.reason == "budget"
    assert claimed.nothing.retry_after, "one of them may be lost yet"
    for attempt, _ in claimed.attempts:
        site.complete(attempt)
    nothing = site.claim("bob").nothing
    assert nothing is not None
    assert nothing.retry_after is None
    assert len(site.rows(Run)) == 3


def test_a_paused_study_gives_nothing_and_its_workers_hear_of_it(site: Site) -> None:
    site.create()
    attempt = site.take()
    with site.database.session() as session:
        pause_study(session, DEFAULT_PROJECT_ID, "s")
    nothing = site.claim("bob").nothing
    assert nothing is not None
    assert nothing.reason == "paused"
    assert nothing.retry_after
    assert site.report(attempt, 1).answer == "pause"
    site.fail(attempt, FailureClass.PREEMPTED)
    assert site.run(0).state == RunState.PENDING
    assert site.claim("ann").nothing == nothing
    with site.database.session() as session:
        resume_study(session, DEFAULT_PROJECT_ID, "s")
    assert (site.take("bob").run, site.run(0).attempts) == (0, 2), "what was handed back comes first"


@pytest.mark.parametrize("state", [StudyState.CANCELLED, StudyState.FAILED])
def test_a_study_that_has_ended_never_has_more(site: Site, state: StudyState) -> None:
    site.create()
    attempt = site.take()
    if state is StudyState.CANCELLED:
        with site.database.session() as session:
            cancel_study(session, DEFAULT_PROJECT_ID, "s")
    else:
        site.fail(attempt)
        for _ in range(3):
            site.fail(site.take())
        site.claim()
    nothing = site.claim("bob").nothing
    assert nothing is not None
    assert (nothing.reason, nothing.retry_after) == (state, None)
    assert isinstance(site.report(attempt, 1), Stale)
    assert isinstance(site.beat(attempt), Stale)


def test_synchronous_hyperband_waits_at_its_barriers(site: Site) -> None:
    site.create(**{**HYPERBAND, "budget": {"max_trials": 17}}, parallelism=30)
    first = site.claim("ann", 30)
    assert len(first.attempts) == 17, "the first rungs of a cycle"
    assert first.nothing is not None
    assert first.nothing.reason == "barrier"
    assert first.nothing.retry_after
    assert site.study.waiting
    for attempt, _ in first.attempts:
        site.complete(attempt, loss=attempt.run)
    work_off(site)
    assert site.study.state == StudyState.COMPLETED
    sizes = Counter((run.bracket, run.rung) for run in site.rows(Run))
    assert sizes == {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}


# Leases


def test_a_run_whose_lease_has_run_out_goes_to_another(site: Site) -> None:
    site.create()
    lost = site.take("ann")
    site.report(lost, 1, 2, loss=0.1)
    site.wait(LEASE + 1)
    taken = site.take("bob")
    assert (taken.run, taken.number) == (0, 2)
    assert taken.token != lost.token
    stale = site.complete(lost, loss=0.0)
    assert isinstance(stale, Stale)
    assert (stale.run.state, stale.attempt.number) == (RunState.RUNNING, 2)
    site.complete(taken, loss=0.5)
    first, second = site.attempts(0)
    assert (first.state, first.late["metrics"]) == (AttemptState.LOST, {"loss": 0.0})
    assert (second.state, second.late) == (AttemptState.SUCCEEDED, None)
    assert site.run(0).metrics == {"loss": 0.5}
    assert site.study.counts == {"succeeded": 1}


def test_a_late_word_is_kept_also_when_nobody_else_has_the_run_yet(site: Site) -> None:
    site.create()
    lost = site.take()
    site.wait(LEASE + 1)
    site.act(lambda external: external.expire())
    assert site.run(0).state == RunState.PENDING
    assert isinstance(site.report(lost, 1), Stale)
    assert isinstance(site.fail(lost, FailureClass.OOM), Stale)
    (attempt,) = site.attempts(0)
    assert (attempt.late["reports"], attempt.late["class"]) == (1, "oom")
    assert site.rows(Report) == []


@pytest.mark.parametrize("say", [Site.beat, lambda site, attempt: site.report(attempt, 1)], ids=["beat", "report"])
def test_every_word_renews_the_lease(site: Site, say: Callable[[Site, Attempt], Any]) -> None:
    site.create()
    attempt = site.take()
    for _ in range(3):
        site.wait(LEASE - 1)
        heard = say(site, attempt)
        assert heard.answer == "continue"
    assert site.claim("ann").attempts[0][0].token == attempt.token


def test_people_take_as_long_as_they_like(site: Site) -> None:
    site.create()
    attempt = site.take("ann", lease=None)
    site.wait(30 * 24 * 3600)
    assert site.take("bob").run == 1
    assert site.report(attempt, 1) == Heard("continue", None)
    assert site.complete(attempt).state == RunState.SUCCEEDED


def test_a_service_that_was_away_first_listens_for_the_length_of_a_lease(site: Site) -> None:
    site.create()
    attempt = site.take("ann")
    site.wait(10 * LEASE)
    site.desk = site.new_desk()
    assert site.take("bob").run == 1, "the first who claims costs nobody else his run"
    site.wait(LEASE / 2)
    assert site.report(attempt, 1).answer == "continue"
    site.wait(LEASE + 1)
    assert site.take("eve").run == 0, "who is silent still is lost"


def test_a_worker_can_be_lost_twice_and_not_three_times(site: Site) -> None:
    site.create()
    for number in (1, 2, 3):
        assert site.take().number == number
        site.wait(LEASE + 1)
    site.act(lambda external: external.expire())
    run = site.run(0)
    assert (run.state, run.failure_class) == (RunState.FAILED, "lost")
    assert "worker ann was not heard of for 60 seconds" in run.failure_message


def test_an_attempt_may_take_only_so_long(site: Site) -> None:
    site.create(limits={"seconds": 100})
    attempt = site.take("ann", lease=None)
    site.wait(99)
    assert site.beat(attempt).answer == "continue"
    site.wait(2)
    site.act(lambda external: external.settle())
    run = site.run(0)
    assert (run.state, run.failure_class, run.failure_message) == (
        RunState.FAILED,
        "timeout",
        "it took longer than 100 seconds",
    )
    assert isinstance(site.complete(attempt), Stale)


# Ends


def test_saying_the_end_again_changes_nothing(site: Site) -> None:
    site.create(retry={"error": 3, "backoff_seconds": 0})
    won, broken = (attempt for attempt, _ in site.claim("ann", 2).attempts)
    events = [site.complete(won, 1.0), site.study.last_event]
    assert [site.complete(won, 2.0), site.study.last_event][1] == events[1]
    assert site.run(0).metrics == {"loss": 1.0}
    site.fail(broken)
    assert isinstance(site.fail(broken), Run)
    again = site.take("bob")
    assert (again.run, again.number) == (1, 2)
    assert isinstance(site.fail(broken), Run), "also when somebody else has the run by now"
    assert site.attempts(1)[0].late is None
    assert site.attempts(1)[1].ended_at is None


def test_a_token_of_another_run_counts_for_nothing(site: Site) -> None:
    site.create()
    one, other = (attempt for attempt, _ in site.claim("ann", 2).attempts)
    forged = Attempt(run=one.run, token=other.token)
    assert isinstance(site.complete(forged), Stale)
    assert isinstance(site.complete(Attempt(run=one.run, token="made-up")), Stale)
    assert site.study.counts == {"running": 2}
    assert [attempt.late for attempt in site.rows(Attempt)] == [None, None]


def test_without_metrics_those_of_the_last_step_count(site: Site) -> None:
    site.create(**EPOCHS, budget={"max_runs": 2})
    attempt = site.take()
    site.report(attempt, 1, loss=3.0)
    site.report(attempt, 2, loss=2.0)
    site.report(attempt, 1, loss=9.0)  # sent again
    site.complete(attempt, None)
    assert site.run(0).metrics == {"loss": 2.0}
    silent = site.take()
    site.complete(silent, None)
    run = site.run(1)
    assert (run.state, run.failure_class) == (RunState.FAILED, "error")
    assert "loss" in run.failure_message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_ends_the_run_as_diverged(site: Site, value: float) -> None:
    site.create(retry={"error": 5, "backoff_seconds": 0}, budget={"max_runs": 2})
    attempt = site.take()
    assert site.report(attempt, 1).answer == "continue"
    assert site.report(attempt, 2, 3, loss=value).answer == "stop"
    run = site.run(0)
    assert (run.state, run.failure_class) == (RunState.FAILED, "diverged")
    assert "at step 2" in run.failure_message
    assert isinstance(site.complete(attempt), Run), "who does as he was told is not refused"
    last = site.take()
    site.complete(last, value)
    assert (site.run(1).state, site.run(1).failure_class) == (RunState.FAILED, "diverged")


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (FailureClass.ERROR, 2),
        (FailureClass.OOM, 1),
        (FailureClass.TIMEOUT, 3),
        (FailureClass.INFEASIBLE, 1),
        (FailureClass.DIVERGED, 1),
    ],
)
def test_each_class_of_failure_has_its_own_number_of_attempts(site: Site, failure: FailureClass, attempts: int) -> None:
    site.create(retry={"error": 1, "oom": 0, "timeout": 2, "backoff_seconds": 10}, budget={"max_runs": 1})
    for number in range(1, attempts + 1):
        attempt = site.take()
        assert attempt.number == number
        site.fail(attempt, failure)
        site.fail(attempt, failure)  # again, for its answer was lost
        if number < attempts:
            nothing = site.claim().nothing
            assert nothing is not None
            assert nothing.reason == "backoff"
            assert "run 0" in (site.study.waiting or "")
            wait = 10 * 2 ** (number - 1)
            assert wait - 5 < (nothing.retry_after or 0) <= wait
            site.wait(nothing.retry_after or 0)
    run = site.run(0)
    assert (run.state, run.failure_class, run.attempts) == (RunState.FAILED, failure, attempts)
    assert site.claim().nothing is not None
    assert site.study.state == StudyState.FAILED


def test_a_run_in_backoff_keeps_nobody_from_new_ones(site: Site) -> None:
    site.create(retry={"error": 1, "backoff_seconds": 100}, parallelism=2)
    site.fail(site.take())
    claimed = site.claim("ann", 2, lease=None)
    assert [attempt.run for attempt, _ in claimed.attempts] == [1, 2]
    assert claimed.nothing is None
    site.wait(101)
    assert site.claim("bob").nothing is not None, "two are under way"
    site.complete(claimed.attempts[0][0])
    assert site.take("bob").run == 0


def test_what_is_handed_back_goes_on_at_once_and_without_limit(site: Site) -> None:
    site.create()
    for number in range(1, 8):
        attempt = site.take()
        assert (attempt.run, attempt.number) == (0, number)
        site.fail(attempt, FailureClass.PREEMPTED)
    assert site.complete(site.take()).state == RunState.SUCCEEDED


# Stops


def stopped_site(site: Site) -> Attempt:
    """A study with a run that the median rule has just stopped, at step 3."""
    site.create(**MEDIAN)
    for _ in range(3):
        good = site.take()
        site.report(good, *range(1, 10), loss=0.1)
        site.complete(good, 0.1)
    bad = site.take()
    for step in range(1, 10):
        heard = site.report(bad, step, loss=5.0)
        if heard.answer == "stop":
            return bad
    raise AssertionError("the rule never spoke")


def test_a_stopping_rule_answers_the_report(site: Site) -> None:
    bad = stopped_site(site)
    step = site.run(bad.run).stopped_by["step"]
    assert site.beat(bad).answer == "stop", "it may not have heard the first time"
    assert site.report(bad, step, loss=5.0).answer == "stop"
    run = site.complete(bad, None)
    assert isinstance(run, Run)
    assert (run.state, run.metrics) == (RunState.STOPPED, {"loss": 5.0})
    assert run.stopped_by["rule"] == "median"


def test_who_did_not_listen_and_trained_to_the_end_has_a_result(site: Site) -> None:
    bad = stopped_site(site)
    site.report(bad, *range(2, 10), loss=5.0)
    run = site.complete(bad, 4.0)
    assert isinstance(run, Run)
    assert (run.state, run.stopped_by, run.metrics) == (RunState.SUCCEEDED, None, {"loss": 4.0})


def test_another_attempt_ends_where_the_stopped_one_did(site: Site) -> None:
    bad = stopped_site(site)
    step = site.run(bad.run).stopped_by["step"]
    site.wait(LEASE + 1)
    again = site.take("bob")
    assert (again.run, again.number) == (bad.run, 2)
    assert site.beat(again).answer == "continue"
    answers = [site.report(again, one, loss=5.0).answer for one in range(1, int(step) + 1)]
    assert answers == ["continue"] * (int(step) - 1) + ["stop"]
    assert site.complete(again, None).state == RunState.STOPPED


def test_reports_sent_again_decide_nothing(site: Site) -> None:
    """Else a stop could not be derived again: what is known already leaves no trace in the record."""
    site.create(**MEDIAN, parallelism=3)
    slow = site.take("slow")
    site.report(slow, 1, 2, 3, loss=5.0)
    for _ in range(3):
        good = site.take()
        site.report(good, *range(1, 10), loss=0.1)
        site.complete(good, 0.1)
    assert site.report(slow, 1, 2, 3, loss=5.0).answer == "continue"
    assert site.report(slow, 4, loss=5.0).answer == "stop"
    site.complete(slow, None)
    site.check()


def test_ending_early_of_its_own_accord_is_no_result_for_the_fidelity(site: Site) -> None:
    site.create(**EPOCHS)
    attempt = site.take()
    site.report(attempt, 1)
    site.complete(attempt, 0.5, stopped=True)
    assert site.run(0).state == RunState.STOPPED
    assert [event.data for event in site.rows(Event) if event.type == "run.stopped"] == [{"rule": "worker"}]


def test_out_of_time_workers_are_stopped_and_the_study_ends(site: Site) -> None:
    site.create(**EPOCHS, budget={"max_runs": 4, "max_seconds": 1000})
    done = site.take("ann", lease=None)
    site.complete(done, 1.0)
    long, quick, waiting = (attempt for attempt, _ in site.claim("ann", 3, lease=None).attempts)
    site.fail(waiting, FailureClass.PREEMPTED)
    site.wait(1001)
    assert site.report(long, 3).answer == "stop"
    nothing = site.claim("bob").nothing
    assert nothing is not None
    assert (nothing.reason, nothing.retry_after) == ("budget", None)
    assert site.run(waiting.run).state == RunState.CANCELLED
    assert site.complete(long, None).state == RunState.STOPPED, "at step 3 of 9"
    site.report(quick, 9)
    assert site.study.state == StudyState.ACTIVE
    assert site.complete(quick, None).state == RunState.SUCCEEDED
    assert (site.study.state, site.study.reason) == (StudyState.COMPLETED, "budget: max_seconds is used up")


# Checkpoints


def test_a_promotion_goes_on_from_its_run(site: Site) -> None:
    site.create(**HYPERBAND, parallelism=1)
    while (claimed := site.claim()).attempts:
        attempt, row = claimed.attempts[0]
        if row.run.resume_from is not None:
            with site.database.session(write=False) as session:
                found = checkpoint_to_continue(session, row.run)
            source = site.run(row.run.resume_from)
            assert source.trial == row.run.trial
            # The last that was saved is not after the last step.
            assert found == (f"s3://bucket/{source.number}-{source.fidelity - 0.5:g}", source.fidelity - 0.5)
        site.save(attempt, row.run.fidelity - 0.5)
        site.complete(attempt, loss=row.run.trial)
    assert any(run.resume_from is not None for run in site.rows(Run))


def test_a_new_attempt_goes_on_from_the_checkpoint_with_the_reports_up_to_there(site: Site) -> None:
    site.create(**EPOCHS)
    lost = site.take()
    site.report(lost, 1, 2, 3, 4, loss=0.4)
    site.save(lost, 2)
    site.wait(LEASE + 1)
    taken = site.take("bob")
    assert (taken.checkpoint, taken.checkpoint_step) == ("s3://bucket/0-2", 2)
    assert [(report.step, report.attempt) for report in site.rows(Report)] == [(1, 2), (2, 2), (3, 1), (4, 1)]
    site.report(taken, 3, loss=0.3)
    site.complete(taken, None)
    assert site.run(0).metrics == {"loss": 0.3}, "not that of the lost attempt's step 4"
    assert site.run(0).checkpoint == "s3://bucket/0-2"


# Several replicas


def test_replicas_decide_as_one(site: Site) -> None:
    site.create(**HYPERBAND, parallelism=4)
    desks = [site.new_desk() for _ in range(3)]
    turn = 0
    while True:
        site.desk = desks[turn % 3]
        claimed = site.claim(f"worker-{turn}", 1)
        if not claimed.attempts:
            break
        site.desk = desks[(turn + 1) % 3]
        site.complete(claimed.attempts[0][0], loss=turn % 5)
        turn += 1
    assert site.study.state == StudyState.COMPLETED
    assert len(site.rows(Run)) == 22


# Whatever order things happen in


class Crowd(RuleBasedStateMachine):
    """Several workers who claim, report, vanish, come back too late, and repeat themselves, in any order."""

    site: Site
    held: dict[str, Attempt]
    told: dict[int, float | None]

    def new_site(self) -> Site:
        raise NotImplementedError

    @initialize(
        study=st.sampled_from([MEDIAN, {**HYPERBAND, "budget": {"max_runs": 8}}, {"budget": {"max_runs": 5}}]),
        parallelism=st.integers(1, 4),
    )
    def begin(self, study: dict[str, Any], parallelism: int) -> None:
        self.site = self.new_site()
        self.held, self.told = {}, {}
        retry = {"error": 1, "backoff_seconds": 5}
        self.site.create(**study, parallelism=parallelism, retry=retry, limits={"seconds": 500})

    @rule(worker=st.sampled_from("abc"), count=st.integers(1, 3), lease=st.sampled_from([LEASE, LEASE, None]))
    def claim(self, worker: str, count: int, lease: float | None) -> None:
        claimed = self.site.claim(worker, count, lease)
        assert len(claimed.attempts) <= count
        assert claimed.nothing is not None or len(claimed.attempts) == count, "if there is less, it says why"
        for attempt, _ in claimed.attempts:
            assert attempt.worker == worker
            self.held[attempt.token] = attempt

    @rule(data=st.data(), first=st.integers(1, 9), last=st.integers(1, 9), loss=st.floats(0, 5))
    def report(self, data: st.DataObject, first: int, last: int, loss: float) -> None:
        if self.held:
            self.site.report(self.any(data), *range(min(first, last), max(first, last) + 1), loss=loss)

    @rule(
        data=st.data(), loss=st.one_of(st.none(), st.floats(0, 5)), stopped=st.sampled_from([None, None, False, True])
    )
    def complete(self, data: st.DataObject, loss: float | None, stopped: bool | None) -> None:
        if self.held:
            attempt = self.any(data)
            before = self.site.run(attempt.run)
            ended = self.site.complete(attempt, loss, stopped)
            if isinstance(ended, Run) and not RunState(before.state).finished and ended.state == RunState.SUCCEEDED:
                assert attempt.run not in self.told, "a run has one result"
                self.told[attempt.run] = loss

    @rule(data=st.data(), failure=st.sampled_from([FailureClass.ERROR, FailureClass.PREEMPTED, FailureClass.OOM]))
    def fail(self, data: st.DataObject, failure: FailureClass) -> None:
        if self.held:
            self.site.fail(self.any(data), failure)

    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        if self.held:
            attempt = self.any(data)
            heard = self.site.beat(attempt)
            (stored,) = [one for one in self.site.rows(Attempt) if one.token == attempt.token]
            assert isinstance(heard, Heard) == (stored.ended_at is None)

    @rule(data=st.data(), step=st.integers(1, 8))
    def save(self, data: st.DataObject, step: int) -> None:
        if self.held:
            self.site.save(self.any(data), step)

    @rule(seconds=st.sampled_from([3.0, 30.0, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        self.site.wait(seconds)

    @rule()
    def look_after(self) -> None:
        self.site.act(lambda external: external.settle())

    @rule()
    def restart(self) -> None:
        self.site.desk = self.site.new_desk()

    @rule(name=st.sampled_from([pause_study, resume_study]))
    def rest(self, name: Callable[..., Study]) -> None:
        with suppress(NotAllowed), self.site.database.session() as session:
            name(session, DEFAULT_PROJECT_ID, "s")

    def any(self, data: st.DataObject) -> Attempt:
        return self.held[data.draw(st.sampled_from(list(self.held)))]

    @invariant()
    def sound(self) -> None:
        if hasattr(self, "site"):
            self.site.check()

    def teardown(self) -> None:
        if not hasattr(self, "site"):
            return
        site = self.site
        if site.study.state == StudyState.PAUSED:
            with site.database.session() as session:
                resume_study(session, DEFAULT_PROJECT_ID, "s")
        for _ in range(100):
            claimed = site.claim("last", 4, lease=None)
            for attempt, _ in claimed.attempts:
                site.complete(attempt, 1.0, stopped=False)
            if claimed.nothing is not None and claimed.nothing.retry_after is None:
                break
            site.wait(LEASE + 1)
        site.check()
        assert StudyState(site.study.state).finished
        assert len(site.rows(Run)) == site.study.spec["budget"]["max_runs"], "all of the budget, and no more"
        for number, loss in self.told.items():
            assert loss is None or site.run(number).metrics == {"loss": loss}
        site.database.dispose()


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 30), ("postgresql", 6)])
def test_in_whatever_order_things_happen(
    kind: str, examples: int, new_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    class OnDatabase(Crowd):
        def new_site(self) -> Site:
            return Site(Database(new_database_url(kind)), tmp_path / "checkpoints")

    run_state_machine_as_test(
        OnDatabase,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
