"""What a process knows of a study, kept up to date with what is stored.

Whoever changes a study holds the lock of its row, brings what it knows up to date (only what is newer is read),
decides, stores. So any number of processes may work on one study, and none of them asks a history that is behind. What
is known here can be dropped at any time: it is never the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern

from search import Invalid, StudySpec, reported
from search.found import verdict
from search.history import (
    Added,
    Config,
    Ended,
    Enqueued,
    Event,
    History,
    Invalidated,
    Kind,
    Outcome,
    RunState,
    Slot,
)
from search.history import Run as Decision
from service.database import Session
from service.models import Json, Run, Study
from service.repositories.reports import Reports
from service.repositories.runs import Begun, Over, Runs
from service.specs import search_spec


@dataclass(slots=True)
class Tracked:
    """A study's history up to the event `seq` and the report with the id `report`."""

    study_id: int
    spec: StudySpec
    history: History = field(default_factory=History)
    seq: int = 0
    report: int = 0

    @classmethod
    def of(cls, study: Study) -> Tracked:
        """Nothing is known yet. Raises InvalidInput when the stored spec is not valid for this version of the code."""
        return cls(study.id, search_spec(study))

    def catch_up(self, session: Session, study: Study) -> None:
        """Takes in what was stored since. The caller holds the lock of the row, or reads one state of the database."""
        for event in self._news(session, study):
            self.history.append(event)
        self.seq = study.last_event

    def forget(self) -> None:
        """After a transaction that was not stored, or of which nobody knows: what is stored counts."""
        self.history, self.seq, self.report = History(), 0, 0

    def _news(self, session: Session, study: Study) -> list[Event]:
        """What happened after `seq`, in order; with all reports where a stopping rule looks at them."""
        placed: list[tuple[int, int, Event]] = []
        if study.last_event > self.seq:
            runs, known = Runs(session), self.history.runs
            first = len(known)
            placed += [
                (run.added_event, 0, Added(decision(self.spec, run, run.config)))
                for run in runs.added(self.study_id, first)
            ]
            ended = runs.ended(self.study_id, self.seq)
            enqueued = runs.enqueued(self.study_id, self.seq)
            invalidated = runs.invalidated(self.study_id, self.seq)
            for run in ended:
                config: Config = {}
                if run.kind == "supernet":
                    added = placed[run.number - first][2] if run.number >= first else Added(known[run.number])
                    assert isinstance(added, Added), "runs come in the order of their numbers"
                    config = added.run.config
                placed.append((run.ended_event, 0, Ended(run.number, outcome(self.spec, run, config))))
            placed += [(wish.event, 0, Enqueued(wish.number, wish.config)) for wish in enqueued]
            placed += [(trial.invalidated_event or 0, 0, Invalidated(trial.number)) for trial in invalidated]
        if self.spec.algorithm.stop:
            for report in Reports(session).after(self.study_id, self.report):
                event = reported(self.spec, report.run, report.step, report.metrics)
                placed.append((report.after_event, report.id, event))
                self.report = report.id
        placed.sort(key=lambda item: item[:2])
        return [event for _, _, event in placed]


def tracked(session: Session, study: Study) -> Tracked:
    """The study as it is stored. Raises InvalidInput as `Tracked.of` does."""
    found = Tracked.of(study)
    found.catch_up(session, study)
    return found


def stored_history(session: Session, study: Study) -> History:
    """The history of a study as it is stored. Raises InvalidInput as `Tracked.of` does."""
    return tracked(session, study).history


def decision(spec: StudySpec, run: Begun | Run, config: Json) -> Decision:
    return Decision(
        number=run.number,
        trial=run.trial,
        config=_interned(config),
        slot=Slot(run.bracket, run.rung, restore_fidelity(spec, run.fidelity), run.replicate),
        kind=kind_of(run.kind),
        origin=_interned(run.origin),
        resume_from=run.resume_from,
    )


def kind_of(stored: str) -> Kind:
    return "supernet" if stored == "supernet" else "train"


def _interned(values: Json) -> Json:
    """The names of parameters and of choices are the same in every config: they are kept once."""
    return {intern(name): intern(value) if type(value) is str else value for name, value in values.items()}


def outcome(spec: StudySpec, run: Over | Run, config: Config) -> Outcome:
    """What the search makes of an ended run; its config is read of a supernet's alone."""
    if run.state == RunState.SUCCEEDED:
        judged = verdict(spec, kind_of(run.kind), config, run.metrics or {}, run.details)
        return judged.outcome if isinstance(judged, Invalid) else judged
    return Outcome(RunState(run.state), failure=run.failure_class)


def restore_fidelity(spec: StudySpec, stored: float | None) -> float | int | None:
    """The database keeps fidelities as floats; epochs are counted in integers."""
    fidelity = spec.space.fidelity
    return int(stored) if stored is not None and fidelity and isinstance(fidelity.high, int) else stored
