"""Whether the lines of a file are one study that could have been stored by this service, and that the search can go on
from. Nothing is stored here, and no database is asked.

Each record is checked by itself and against those before it; the events are then played, as the state machines have
them, and must lead to the states that the records say. In the end the search is asked what it makes of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from search import History, StudySpec, ask, incumbents, pareto_front, reported, standing
from search.history import ENQUEUED, TOLD, Added, Ended, Enqueued, Event, Invalidated, RunState
from search.schedulers.brackets import OUTSIDE
from service import models
from service.models import Json
from service.specs import completed
from service.states import AttemptState
from service.tracking import decision, outcome
from service.transfer.jobs import check_job
from service.transfer.reading import Line, StudyFile
from service.transfer.records import (
    ArtifactRecord,
    AttemptRecord,
    EnqueuedRecord,
    EvaluationRecord,
    EventRecord,
    IncumbentRecord,
    JobRecord,
    NoteRecord,
    Record,
    ReportRecord,
    RunRecord,
    StudyRecord,
    TrialRecord,
)
from service.transfer.results import check_result
from service.transfer.specs import read_study
from service.transfer.timeline import Timeline
from spaces.errors import InvalidInput
from spaces.values import show

MOST_RUNS = 500_000
"""A study with more of them has a history that no process should have in its memory."""
MOST_REPORTS = 5_000_000
"""Of a study with a stopping rule, which has them in its history too."""

EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was checked. `spec` is what is to be stored, but for the dataset, which belongs to a project."""

    file: StudyFile
    study: StudyRecord
    spec: Json
    search: StudySpec
    history: History
    trials: int
    runs: Mapping[RunState, int]
    fidelity: float
    events: int
    incumbents: int


@dataclass(slots=True)
class _Seen:
    """What must be remembered of records for those after them: a few bytes for each run and trial."""

    configs: list[Json] = field(default_factory=list)
    wishes: list[EnqueuedRecord] = field(default_factory=list)
    served: int = 0
    of_trial: array[int] = field(default_factory=lambda: array("i"))
    attempts: array[int] = field(default_factory=lambda: array("i"))
    attempted: array[int] = field(default_factory=lambda: array("i"))
    slots: set[tuple[int, int, int, int]] = field(default_factory=set)
    begun: int = 0
    fidelity: float = 0.0
    reports: int = 0
    trace: list[int] = field(default_factory=list)


def checked(file: StudyFile) -> Checked:
    """Raises InvalidInput with the first line that is wrong."""
    return _Checker(file).check()


class _Checker:
    def __init__(self, file: StudyFile) -> None:
        self.file = file
        self.timeline = Timeline()
        self.seen = _Seen()
        self._study: StudyRecord | None = None
        self._search: StudySpec | None = None
        self._spec: Json = {}
        self._placed: list[tuple[int, int, Event]] = []
        self._fidelities: list[float | None] = []
        self._evaluated = False
        self._jobs = 0

    def check(self) -> Checked:
        checks: dict[type[Record], Callable[[Line, Any], None]] = {
            StudyRecord: self._check_study,
            EnqueuedRecord: self._check_enqueued,
            TrialRecord: self._check_trial,
            RunRecord: self._check_run,
            AttemptRecord: self._check_attempt,
            ReportRecord: self._check_report,
            EventRecord: self._check_event,
            IncumbentRecord: self._check_incumbent,
            EvaluationRecord: self._check_evaluation,
            NoteRecord: self._check_note,
            ArtifactRecord: self._check_artifact,
            JobRecord: self._check_job,
        }
        for line in self.file.records():
            if self._study is None and not isinstance(line.record, StudyRecord):
                raise line.wrong("", "comes before the study that it belongs to")
            checks[type(line.record)](line, line.record)
        if self._study is None:
            raise InvalidInput.at(("line 2",), "must be the study")
        self._check_whole(self._study)
        history = self._history(self._study)
        return Checked(
            file=self.file,
            study=self._study,
            spec=self._spec,
            search=self.search,
            history=history,
            trials=len(self.seen.configs),
            runs=self.timeline.counts(),
            fidelity=self.seen.fidelity,
            events=self.timeline.seq,
            incumbents=len(self.seen.trace),
        )

    @property
    def search(self) -> StudySpec:
        assert self._search is not None, "the study comes first"
        return self._search

    # One record after the other

    def _check_study(self, line: Line, study: StudyRecord) -> None:
        if self._study is not None:
            raise line.wrong("", "a file has one study")
        if study.state.finished != (study.finished_at is not None):
            raise line.wrong("finished_at", f"does not go with a study that is {study.state}")
        self._search = read_study(line, study)
        self._study, self._spec = study, completed(study.spec, self.search)

    def _check_enqueued(self, line: Line, wish: EnqueuedRecord) -> None:
        if wish.number != len(self.seen.wishes):
            raise line.wrong("number", f"must be {len(self.seen.wishes)}, the next one, got {wish.number}")
        self._check_config(line, wish.config)
        self.seen.wishes.append(wish)
        self.timeline.enqueued.append(wish.event)
        self._placed.append((wish.event, 0, Enqueued(wish.number, wish.config)))

    def _check_trial(self, line: Line, trial: TrialRecord) -> None:
        if trial.number != len(self.seen.configs):
            raise line.wrong("number", f"must be {len(self.seen.configs)}, the next one, got {trial.number}")
        self._check_config(line, trial.config)
        if (trial.invalidated is None) != (trial.invalidated_event is None):
            raise line.wrong("invalidated_event", "there is one exactly for trials that were invalidated")
        self.seen.configs.append(trial.config)
        if trial.invalidated is not None and trial.invalidated_event is not None:
            self.timeline.invalidated[trial.number] = (trial.invalidated_event, trial.invalidated.model_dump())
            self._placed.append((trial.invalidated_event, 0, Invalidated(trial.number)))

    def _check_config(self, line: Line, config: Json) -> None:
        try:
            self.search.space.validate(config)
        except InvalidInput as invalid:
            raise invalid.under(f"line {line.number}: {line.record.word}", "config") from invalid

    def _check_run(self, line: Line, run: RunRecord) -> None:
        seen = self.seen
        number = len(seen.of_trial)
        if run.number != number:
            raise line.wrong("number", f"must be {number}, the next one, got {run.number}")
        if number >= MOST_RUNS:
            raise line.wrong("number", f"a study with more than {MOST_RUNS} runs cannot be imported")
        first = run.trial == seen.begun
        if run.trial > seen.begun or run.trial >= len(seen.configs):
            raise line.wrong("trial", f"must be one of those before it, or the next one that there is: {seen.begun}")
        slot = (run.trial, run.bracket, run.rung, run.replicate)
        if slot in seen.slots:
            raise line.wrong("rung", "the trial has another run of this bracket, rung and replicate")
        self._check_place(line, run, first=first)
        check_result(self.search, line, run, seen.configs[run.trial])
        seen.slots.add(slot)
        seen.begun += first
        seen.of_trial.append(run.trial)
        seen.attempts.append(run.attempts)
        seen.attempted.append(0)
        self._fidelities.append(run.fidelity)
        self.timeline.expect(run.trial, run.state, run.added_event, run.ended_event)
        row = models.Run(**{name: getattr(run, name) for name in _OF_DECISION})
        self._placed.append((run.added_event, 0, Added(decision(self.search, row, seen.configs[run.trial]))))
        if run.ended_event is not None:
            self._placed.append(
                (run.ended_event, 0, Ended(run.number, outcome(self.search, row, seen.configs[run.trial])))
            )

    def _check_place(self, line: Line, run: RunRecord, *, first: bool) -> None:
        """Where the run belongs in the schedule, and what it goes on from."""
        seen, axis = self.seen, self.search.space.fidelity
        if (run.fidelity is None) != (axis is None):
            raise line.wrong("fidelity", "there is one exactly where the space has one")
        if axis is not None and run.fidelity is not None:
            whole = axis.type != "int" or run.fidelity.is_integer()
            if not (axis.low <= run.fidelity <= axis.high and whole):
                raise line.wrong("fidelity", f"is none of {axis.name}: {run.fidelity:g}")
        rule = run.origin.get("rule")
        if rule is not None and not isinstance(rule, str):
            raise line.wrong("origin", f"its rule must be a text, got {show(rule)}")
        if rule == TOLD and (run.bracket != OUTSIDE or run.attempts or not run.state.finished):
            raise line.wrong("origin", "a run that was told is outside all brackets, has ended, and has no attempts")
        if rule == ENQUEUED:
            self._check_wish(line, run)
        if run.resume_from is not None:
            if run.resume_from >= run.number:
                raise line.wrong("resume_from", f"must be an earlier run, got {run.resume_from}")
            if not first and seen.of_trial[run.resume_from] != run.trial:
                raise line.wrong(
                    "resume_from", "must be a run of the same trial: only its first may go on from another"
                )
        self._check_checkpoint(line, run.checkpoint)
        seen.fidelity += self._spent(run)

    def _spent(self, run: RunRecord) -> float:
        """As it is counted when the run is added (`service.repositories.runs`)."""
        if run.origin.get("rule") == TOLD:
            return 0.0
        if run.fidelity is None:
            return 1.0
        before = None if run.resume_from is None else self._fidelities[run.resume_from]
        return run.fidelity - (before or 0.0)

    def _check_wish(self, line: Line, run: RunRecord) -> None:
        number, seen = run.origin.get("number"), self.seen
        if type(number) is not int or number != seen.served or number >= len(seen.wishes):
            raise line.wrong(
                "origin", f"must name the next config that was enqueued, {seen.served}, got {show(number)}"
            )
        if seen.wishes[number].event > run.added_event:
            raise line.wrong("added_event", f"comes before config {number} was enqueued")
        seen.served += 1

    def _check_checkpoint(self, line: Line, checkpoint: str | None) -> None:
        if checkpoint is not None and self._study is not None and self._study.spec["objective"]["type"] != EXTERNAL:
            raise line.wrong("checkpoint", "only runs of an external objective have one at an address")

    def _check_attempt(self, line: Line, attempt: AttemptRecord) -> None:
        run, seen = self._run_of(line, attempt.run), self.seen
        due = seen.attempted[run] + 1
        if attempt.number != due or due > seen.attempts[run]:
            message = f"run {run} has {seen.attempts[run]} attempts, of which {due - 1} came; this is {attempt.number}"
            raise line.wrong("number", message)
        seen.attempted[run] = due
        is_open = attempt.state in (AttemptState.LEASED, AttemptState.REPORTING)
        if is_open != (attempt.ended_at is None):
            raise line.wrong("ended_at", f"does not go with an attempt that is {attempt.state}")
        if is_open and (due < seen.attempts[run] or self.timeline.said(run).finished):
            raise line.wrong("state", f"is {attempt.state}, but the run has gone on")
        self._check_checkpoint(line, attempt.checkpoint)

    def _check_report(self, line: Line, report: ReportRecord) -> None:
        run = self._run_of(line, report.run)
        self._check_attempt_number(line, run, report.attempt)
        stops = self.search.algorithm.stop is not None
        if stops and report.after_event < self.timeline.added(run):
            raise line.wrong("after_event", f"comes before run {run} was added")
        self.timeline.latest = max(self.timeline.latest, report.after_event)
        self.seen.reports += 1
        if stops:
            if self.seen.reports > MOST_REPORTS:
                raise line.wrong("", f"more than {MOST_REPORTS} reports of a study with a stopping rule are too many")
            event = reported(self.search, run, report.step, report.metrics)
            self._placed.append((report.after_event, self.seen.reports, event))

    def _check_event(self, line: Line, event: EventRecord) -> None:
        self.timeline.play(line, event)

    def _check_incumbent(self, line: Line, incumbent: IncumbentRecord) -> None:
        if incumbent.place != len(self.seen.trace):
            raise line.wrong("place", f"must be {len(self.seen.trace)}, the next one, got {incumbent.place}")
        run = self._run_of(line, incumbent.run)
        if not self.timeline.ended(run) <= incumbent.event <= self.timeline.seq:
            raise line.wrong("event", f"must be the end of run {run}, or a later one")
        self.seen.trace.append(run)

    def _check_evaluation(self, line: Line, evaluation: EvaluationRecord) -> None:
        if self._evaluated:
            raise line.wrong("", "the best run is evaluated once")
        self._evaluated = True
        run = self._run_of(line, evaluation.run)
        if self.seen.of_trial[run] != evaluation.trial:
            raise line.wrong("trial", f"run {run} is of trial {self.seen.of_trial[run]}")
        if self.timeline.said(run) is not RunState.SUCCEEDED:
            raise line.wrong("run", f"is {self.timeline.said(run)}: only what succeeded can be evaluated")

    def _check_note(self, line: Line, note: NoteRecord) -> None:
        if note.trial is not None and note.trial >= len(self.seen.configs):
            raise line.wrong("trial", f"the study has no trial {note.trial}")

    def _check_artifact(self, line: Line, artifact: ArtifactRecord) -> None:
        self._check_attempt_number(line, self._run_of(line, artifact.run), artifact.attempt)

    def _check_job(self, line: Line, job: JobRecord) -> None:
        if job.number != self._jobs:
            raise line.wrong("number", f"must be {self._jobs}, the next one, got {job.number}")
        self._jobs += 1
        check_job(line, job)
        if job.trial is not None and job.trial >= len(self.seen.configs):
            raise line.wrong("trial", f"the study has no trial {job.trial}")
        for run in job.runs:
            self._run_of(line, run)

    def _run_of(self, line: Line, run: int) -> int:
        if run >= len(self.seen.of_trial):
            raise line.wrong("run", f"the study has no run {run}")
        return run

    def _check_attempt_number(self, line: Line, run: int, attempt: int) -> None:
        if attempt > self.seen.attempts[run]:
            raise line.wrong("attempt", f"run {run} has {self.seen.attempts[run]} attempts")

    # All of them

    def _check_whole(self, study: StudyRecord) -> None:
        seen = self.seen
        if seen.begun != len(seen.configs):
            raise _of_study(f"trial {seen.begun} has no run")
        for run, (came, due) in enumerate(zip(seen.attempted, seen.attempts, strict=True)):
            if came != due:
                raise _of_study(f"of the {due} attempts at run {run} only {came} came")
        self.timeline.check_end(study.state)

    def _history(self, study: StudyRecord) -> History:
        """What the search makes of it. Raises InvalidInput when it makes nothing of it."""
        self._placed.sort(key=lambda item: item[:2])
        try:
            history = History(event for _, _, event in self._placed)
            trace = incumbents(self.search, history)
            standing(self.search, history)
            pareto_front(self.search, history)
            if not study.state.finished:
                ask(self.search, history)
        # The border to a search that was written for what it has decided itself: this was written by anybody.
        except Exception as error:
            raise _of_study(f"the search cannot go on from this history: {error!r}") from error
        finally:
            self._placed = []
        if trace != self.seen.trace:
            place = next(
                (at for at, pair in enumerate(zip(trace, self.seen.trace, strict=False)) if pair[0] != pair[1]),
                min(len(trace), len(self.seen.trace)),
            )
            led = f"run {trace[place]}" if place < len(trace) else "no further run"
            raise _of_study(f"by its results {led} took the lead at place {place} of the incumbents")
        return history


_OF_DECISION = (
    *("number", "trial", "state", "kind", "bracket", "rung", "replicate", "fidelity", "origin"),
    *("resume_from", "metrics", "details", "failure_class"),
)


def _of_study(message: str) -> InvalidInput:
    return InvalidInput.at((), message)
