"""What holds whatever went wrong: looked up in the database, in what the workers were promised, and over the API."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from search import History, StudySpec, best, incumbents, spent
from search.history import Added, RunState
from search.replay import Verified, verify
from service.database import Session
from service.models import Attempt, Event, Incumbent, Report, Run, Study, Trial
from service.record import stored_record
from service.repositories.runs import Runs
from service.specs import search_spec
from service.states import AttemptState
from service.tracking import restore_fidelity, stored_history
from tests.chaos.installation import Installation
from tests.chaos.kinds import Kind
from tests.chaos.objective import loss

RUN_ENDS = {f"run.{state}" for state in RunState if state.finished}
FOLLOWERS = {
    "run.pending": {"run.running"} | RUN_ENDS,
    "run.running": {"run.retried"} | RUN_ENDS,
    "run.retried": {"run.running"} | RUN_ENDS,
}
"""What happens to a run next: two attempts at once would begin twice."""
GIVEN_UP = (AttemptState.LOST, AttemptState.TIMEOUT, AttemptState.SUPERSEDED)


def broken(installation: Installation) -> list[str]:
    """Everything that does not hold, in words; empty when all is well."""
    found: list[str] = []
    journal = defaultdict(list)
    for line in installation.journal():
        journal[line["id"].partition("-")[0]].append(line)
    with installation.database.session(write=False) as session:
        session.execute(
            sa.text("SET LOCAL idle_in_transaction_session_timeout = 0")
        )  # deriving decisions takes a while
        studies = session.scalars(sa.select(Study).order_by(Study.id)).all()
        names = Counter(study.name for study in studies)
        if names != Counter(list(installation.studies)):
            found.append(f"ordered were {sorted(installation.studies)}, there are {sorted(names.elements())}")
        for study in studies:
            told = journal.pop(str(study.id), [])
            found += [f"{study.name}: {problem}" for problem in _Inquest(session, study, installation, told).problems()]
    found += [f"a worker was told what it must never be: {line}" for lines in journal.values() for line in lines]
    return found + list(_of_processes(installation))


def _of_processes(installation: Installation) -> Iterator[str]:
    for process in (*installation.apis, *installation.dispatchers):
        for status, tail in process.exits:
            # Without its database it cannot start, and says so; nor without a Ray, which was killed as it started.
            if not any(excuse in tail[-1500:] for excuse in ("the database cannot be migrated", "Ray does not start")):
                yield f"{process.name} ended by itself with {status}:\n{tail}"
        log = process.log.read_text(errors="replace")
        for sign in ("incident ", "fault of the service"):
            if sign in log:
                place = log.index(sign)
                yield f"the log of {process.name} tells of a fault:\n{log[max(0, place - 500) : place + 4000]}"
    for worker in installation.workers:
        yield from (f"{worker.name} ended by itself:\n{tail}" for _, tail in worker.exits)


class _Inquest:
    """Of one study that has ended."""

    def __init__(
        self, session: Session, study: Study, installation: Installation, told: Sequence[dict[str, Any]]
    ) -> None:
        self.session = session
        self.study = study
        self.installation = installation
        self.kind: Kind = installation.studies[study.name]
        self.told = told
        self.spec: StudySpec = search_spec(study)
        self.runs: list[Run] = self._rows(Run, Run.number)
        self.attempts: list[Attempt] = self._rows(Attempt, Attempt.run, Attempt.number)
        self.reports: list[Report] = self._rows(Report, Report.id)
        self.events: list[Event] = self._rows(Event, Event.seq)
        self.history: History = stored_history(session, study)

    def problems(self) -> Iterator[str]:
        checks: Sequence[Callable[[], Iterator[str]]] = (
            self._end, self._runs, self._attempts, self._events, self._budget, self._schedule, self._reports,
            self._results, self._leaders, self._decisions, self._promises, self._follower, self._api,
        )  # fmt: skip
        for check in checks:
            yield from check()

    def _end(self) -> Iterator[str]:
        yield from _same("state", self.study.state, "completed")
        reason = (self.study.reason or "").partition(":")[0]
        if reason not in ("budget", "exhausted"):
            yield f"it ended for {self.study.reason}"
        yield from _same("owner", self.study.owner, None)

    def _runs(self) -> Iterator[str]:
        """None is lost, none is there twice, and what is kept of their number is so."""
        trials: list[Trial] = self._rows(Trial, Trial.number)
        yield from _same("numbers of runs", [run.number for run in self.runs], list(range(len(self.runs))))
        yield from _same("numbers of trials", [trial.number for trial in trials], list(range(len(trials))))
        yield from _same("trials that have runs", {run.trial for run in self.runs}, set(range(len(trials))))
        slots = Counter((run.trial, run.bracket, run.rung, run.replicate) for run in self.runs)
        yield from _same("slots with more than one run", [slot for slot, number in slots.items() if number > 1], [])
        yield from _same("open runs", [run.number for run in self.runs if not RunState(run.state).finished], [])
        yield from _same("counts", self.study.counts, dict(Counter(run.state for run in self.runs)))
        yield from _same("trials", self.study.trials, len(trials))

    def _attempts(self) -> Iterator[str]:
        by_run: dict[int, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts:
            by_run[attempt.run].append(attempt)
            if attempt.ended_at is None:
                yield f"attempt {attempt.number} at run {attempt.run} is open"
            lease = attempt.lease_expires
            early = attempt.ended_at and lease and attempt.ended_at < lease
            if self.kind.external and attempt.state == AttemptState.LOST and early:
                yield f"attempt {attempt.number} at run {attempt.run} was lost {lease - attempt.ended_at} too early"
        for run in self.runs:
            mine = by_run[run.number]
            yield from _same(
                f"attempts at run {run.number}", [one.number for one in mine], [*range(1, run.attempts + 1)]
            )
            good = [one.number for one in mine if one.state == AttemptState.SUCCEEDED]
            ended_well = run.state in (RunState.SUCCEEDED, RunState.STOPPED)
            yield from _same(f"good attempts at run {run.number}", good, [run.attempts] if ended_well else [])

    def _events(self) -> Iterator[str]:
        numbers = [event.seq for event in self.events]
        yield from _same("events", numbers, list(range(1, self.study.last_event + 1)))
        for types, what in (({"run.pending"}, "beginning"), (RUN_ENDS, "end")):
            times = Counter(event.run for event in self.events if event.type in types)
            yield from _same(f"runs with one {what}", times, Counter(range(len(self.runs))))
        for number in range(len(self.runs)):
            types = [event.type for event in self.events if event.run == number and event.type.startswith("run.")]
            for earlier, later in pairwise(types):
                if later not in FOLLOWERS.get(earlier, ()):
                    yield f"run {number}: {later} after {earlier}"
        by_number = {event.seq: event for event in self.events}
        for run in self.runs:
            added, ended = by_number[run.added_event], by_number[run.ended_event or 0]
            yield from _same(f"events of run {run.number}", (added.run, ended.run), (run.number, run.number))
            yield from _same(f"last event of run {run.number}", ended.type, f"run.{run.state}")
        ends = [event.type for event in self.events if event.type in ("study.completed", "study.failed")]
        yield from _same("ends of the study", ends, ["study.completed"])

    def _budget(self) -> Iterator[str]:
        budget, ledger = self.spec.budget, spent(self.history)
        yield from _same("fidelity in the books", self.study.fidelity, ledger.fidelity)
        if budget.max_runs is not None:
            yield from _same("runs of the budget", len(self.runs), budget.max_runs)
        if budget.max_trials is not None:
            yield from _same("trials of the budget", self.study.trials, budget.max_trials)
        if budget.max_fidelity is not None and ledger.fidelity > budget.max_fidelity:
            yield f"fidelity {ledger.fidelity} is more than {budget.max_fidelity}"

    def _schedule(self) -> Iterator[str]:
        if sizes := self.kind.sizes:
            # Which exactly they are, the replay says: workers in parallel begin the next cycle, with brackets of its
            # own, while the last promotions of this one wait for results.
            next_cycle = 1 + max(bracket for bracket, _ in sizes)
            for (bracket, rung), count in self.kind.sizes_of(self.runs).items():
                if bracket < next_cycle and count > sizes.get((bracket, rung), 0):
                    yield f"rung {rung} of bracket {bracket} has {count} runs, not at most {sizes.get((bracket, rung))}"
        if self.kind.serial:
            decided = [event.run for event in self.history.events if isinstance(event, Added)]
            for ours, undisturbed in zip(decided, self.kind.undisturbed(self.spec), strict=True):
                yield from _same(f"run {ours.number} of the undisturbed study", ours, undisturbed)

    def _reports(self) -> Iterator[str]:
        keys = Counter((report.run, report.attempt, report.step) for report in self.reports)
        yield from _same("reports that are there twice", [key for key, number in keys.items() if number > 1], [])
        steps = defaultdict(list)
        for report in self.reports:
            if report.attempt == self.runs[report.run].attempts:
                steps[report.run].append(report.step)
        for run in self.runs:
            if run.state != RunState.SUCCEEDED or run.stopped_by is not None:
                continue
            if run.fidelity is None:
                expected = [9.0]
            else:
                before = self.runs[run.resume_from].fidelity if run.resume_from is not None else 0
                expected = [float(step) for step in range(int(before or 0) + 1, int(run.fidelity) + 1)]
            yield from _same(f"steps of run {run.number}", sorted(steps[run.number]), expected)

    def _results(self) -> Iterator[str]:
        for run in Runs(self.session).numbered(self.study.id, range(len(self.runs))).values():
            if run.run.state == RunState.SUCCEEDED and run.run.stopped_by is None:
                metrics = self.kind.metrics(run.trial.config, restore_fidelity(self.spec, run.run.fidelity))
                yield from _same(f"metrics of run {run.run.number}", run.run.metrics, metrics)
        if self.kind.external:
            configs = {trial.number: trial.config for trial in self._rows(Trial, Trial.number)}
            for report in self.reports:
                value = report.metrics["loss"]
                if value is not None and value != loss(configs[self.runs[report.run].trial], report.step):
                    yield f"report {report.id} is not that of its config"

    def _leaders(self) -> Iterator[str]:
        trace = [one.run for one in self._rows(Incumbent, Incumbent.place)]
        yield from _same("incumbents", trace, list(incumbents(self.spec, self.history)))
        leader = self.study.standing and self.study.standing["run"]
        yield from _same("best run", leader, best(self.spec, self.history))

    def _decisions(self) -> Iterator[str]:
        verdict = verify(stored_record(self.session, self.study))
        if not isinstance(verdict, Verified):
            yield f"its decisions cannot be derived again: {verdict}"
        elif verdict.runs != len(self.runs):
            yield f"only {verdict.runs} of {len(self.runs)} decisions were derived"

    def _promises(self) -> Iterator[str]:
        """What a worker was answered is so: what was taken is there, what was refused counts for nothing."""
        by_token = {attempt.token: attempt for attempt in self.attempts}
        steps = {(report.run, report.step) for report in self.reports}
        for line in self.told:
            attempt = by_token.get(line["token"])
            if attempt is None or line["what"] in ("refused", "broken", "broken checkpoint"):
                yield f"a worker was told what it must never be: {line}"
                continue
            run = self.runs[attempt.run]
            taken = line["status"] == 200
            if line["what"] == "reports":
                for report in line["reports"]:
                    if taken and (attempt.run, report["step"]) not in steps:
                        yield f"a report was taken, and is not there: {line}"
            elif line["what"] == "complete" and taken:
                yield from _same(f"end of the attempt of {line}", attempt.state, AttemptState.SUCCEEDED)
                if line.get("metrics") and run.metrics != line["metrics"]:
                    yield f"a result was taken, and is not there: {line}"
            elif line["what"] in ("complete", "fail", "infeasible") and (
                not taken and (attempt.state not in GIVEN_UP or attempt.late is None)
            ):
                yield f"a word was refused, and the attempt is {attempt.state}, late: {attempt.late}; {line}"

    def _follower(self) -> Iterator[str]:
        follower = self.installation.followers[self.study.name]
        if not follower.wait(30):
            yield f"whoever followed it has not heard of its end, but of {len(follower.seen)} events"
        yield from _same("events as followed", follower.seen, [event.seq for event in self.events])

    def _api(self) -> Iterator[str]:
        """Every replica tells what is stored."""
        stored = [(run.number, run.state, run.metrics) for run in self.runs]
        for port in self.installation.ports:
            told = self.installation.items(port, f"/studies/{self.study.name}/runs")
            shown = [(run["number"], run["state"], run["metrics"]) for run in told]
            yield from _same(f"runs by the API on port {port}", shown, stored)

    def _rows(self, table: Any, *order: Any) -> list[Any]:
        return list(self.session.scalars(sa.select(table).where(table.study_id == self.study.id).order_by(*order)))


def _same(what: str, actual: object, expected: object) -> Iterator[str]:
    if actual != expected:
        yield f"{what}: {actual!r}, expected {expected!r}"
