"""One study in the hands of the dispatcher: its cached history and its attempts that are under way.

Everything here can be rebuilt from the database; nothing here is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from search import StudySpec, judge, reported, stream
from search.history import Added, Ended, Event, History, Outcome, RunState, Slot
from search.history import Run as Decision
from service.database import Session
from service.models import Json, Run, Study
from service.repositories.reports import Reports
from service.repositories.runs import RunRow, Runs
from service.specs import search_spec
from workers.protocol import Assignment, Resources


@dataclass(slots=True)
class Engagement:
    """`keys` maps the pool's key of an attempt to its run; `pending` holds runs that no worker has yet.

    `settled` says that the algorithm has nothing more to start until a run ends. `stale` says that this may differ from
    what is stored; it is read again before it is used. `served` is the turn in which the study was last given workers.
    """

    study_id: int
    name: str
    objective: Json
    resources: Resources
    spec: StudySpec
    history: History
    keys: dict[str, int] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    active: bool = True
    out_of_time: bool = False
    settled: bool = False
    stale: bool = False
    waiting: str | None = None
    test_key: str | None = None
    untested: bool = True
    lost_tests: int = 0
    served: int = 0

    @property
    def all_keys(self) -> set[str]:
        """The pool's keys of everything under way, the final test included."""
        return {*self.keys, self.test_key} if self.test_key else set(self.keys)

    @property
    def wants_work(self) -> bool:
        return self.active and self.test_key is None and not (self.settled and not self.pending)

    @property
    def under_way(self) -> int:
        return len(self.keys) + (self.test_key is not None)

    @property
    def room(self) -> int:
        """How many more runs the study may have under way."""
        return max(0, self.spec.parallelism - len(self.keys))

    def assignment(self, row: RunRow, key: str, resume_from: Path | None, checkpoint: Path | None) -> Assignment:
        """What a worker needs to carry out the run; without `checkpoint` it is the final test of `resume_from`."""
        fidelity = self.spec.space.fidelity
        value = restore_fidelity(self.spec, row.run.fidelity)
        return Assignment(
            key=key,
            objective=self.objective,
            config=dict(row.trial.config),
            seed=_training_seed(self.spec, row.run),
            fidelity=(fidelity.name, value, fidelity.high) if fidelity and value is not None else None,
            resume_from=resume_from,
            checkpoint=checkpoint,
            task="train" if checkpoint else "test",
            resources=self.resources,
        )


def engage(runs: Runs, study: Study) -> Engagement:
    """Loads a study. Raises InvalidInput when its stored spec is not valid for this version of the code."""
    spec = search_spec(study)
    resources = study.spec["resources"]
    history = stored_history(runs.session, spec, study.id)
    return Engagement(
        study_id=study.id,
        name=study.name,
        objective=study.spec["objective"],
        resources=Resources(cpus=resources.get("cpus", 1), gpus=resources.get("gpus", 0)),
        spec=spec,
        history=history,
        pending=list(history.open),
    )


def stored_history(session: Session, spec: StudySpec, study_id: int) -> History:
    """The history of a study as it is stored."""
    return History(stored_events(session, spec, study_id))


def stored_events(session: Session, spec: StudySpec, study_id: int) -> list[Event]:
    """What was added and ended, in the order in which it happened; with all reports where a stopping rule looks at
    them."""
    events: list[tuple[int, int, Event]] = []
    for row in Runs(session).all(study_id):
        events.append((row.run.added_event, 0, Added(decision(spec, row))))
        if row.run.ended_event is not None:
            events.append((row.run.ended_event, 0, Ended(row.run.number, outcome(spec, row.run))))
    if spec.algorithm.stop:
        reports = Reports(session).all(study_id)
        events += [(it.after_event, it.id, reported(spec, it.run, it.step, it.metrics)) for it in reports]
    events.sort(key=lambda placed: placed[:2])
    return [event for _, _, event in events]


def decision(spec: StudySpec, row: RunRow) -> Decision:
    run = row.run
    return Decision(
        number=run.number,
        trial=run.trial,
        config=row.trial.config,
        slot=Slot(run.bracket, run.rung, restore_fidelity(spec, run.fidelity), run.replicate),
        kind="supernet" if run.kind == "supernet" else "train",
        origin=run.origin,
        resume_from=run.resume_from,
    )


def outcome(spec: StudySpec, run: Run) -> Outcome:
    """What the search makes of an ended run."""
    if run.state == RunState.SUCCEEDED:
        verdict = judge(spec, run.metrics or {})
        return verdict if isinstance(verdict, Outcome) else verdict.outcome
    return Outcome(RunState(run.state), failure=run.failure_class)


def restore_fidelity(spec: StudySpec, stored: float | None) -> float | int | None:
    """The database keeps fidelities as floats; epochs are counted in integers."""
    fidelity = spec.space.fidelity
    return int(stored) if stored is not None and fidelity and isinstance(fidelity.high, int) else stored


def _training_seed(spec: StudySpec, run: Run) -> int:
    """One for all runs of a trial, so that continued training equals uninterrupted training; replicates differ."""
    purpose = f"training/{run.replicate}" if run.replicate else "training"
    return int(stream(spec.seed, run.trial, purpose).integers(2**31))
