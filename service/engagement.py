"""One study in the hands of the dispatcher: its cached history and its attempts that are under way.

Everything here can be rebuilt from the database; nothing here is the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from search import StudySpec, judge, stream
from search.history import Added, Ended, Event, History, Outcome, RunState, Slot
from search.history import Run as Decision
from service.lifecycle import search_spec
from service.models import Json, Run, Study
from service.repositories.runs import RunRow, Runs
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
    def maximize(self) -> bool:
        return self.spec.metrics[0].direction == "maximize"

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
            seed=int(stream(self.spec.seed, row.run.trial, "training").integers(2**31)),
            fidelity=(fidelity.name, value, fidelity.high) if fidelity and value is not None else None,
            resume_from=resume_from,
            checkpoint=checkpoint,
            task="train" if checkpoint else "test",
            resources=self.resources,
        )


def engage(runs: Runs, study: Study) -> Engagement:
    """Loads a study. Raises InvalidInput when its stored spec is not valid for this version of the code."""
    spec = search_spec(study.spec)
    resources = study.spec["resources"]
    rows = runs.all(study.id)
    return Engagement(
        study_id=study.id,
        name=study.name,
        objective=study.spec["objective"],
        resources=Resources(cpus=resources.get("cpus", 1), gpus=resources.get("gpus", 0)),
        spec=spec,
        history=fold(spec, rows),
        pending=[row.run.number for row in rows if not RunState(row.run.state).finished],
    )


def fold(spec: StudySpec, rows: Sequence[RunRow]) -> History:
    """The history of a study from its rows: what was added and what ended, in the order in which it happened."""
    events: list[tuple[int, Event]] = []
    for row in rows:
        events.append((row.run.added_event, Added(decision(spec, row))))
        if row.run.ended_event is not None:
            events.append((row.run.ended_event, Ended(row.run.number, outcome(spec, row.run))))
    events.sort(key=lambda pair: pair[0])
    return History(event for _, event in events)


def decision(spec: StudySpec, row: RunRow) -> Decision:
    run = row.run
    return Decision(
        number=run.number,
        trial=run.trial,
        config=row.trial.config,
        slot=Slot(run.bracket, run.rung, restore_fidelity(spec, run.fidelity)),
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
