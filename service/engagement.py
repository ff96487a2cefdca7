"""One study in the hands of the dispatcher: what it knows of it, and its attempts that are under way.

Everything here can be rebuilt from the database; nothing here is the truth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from search import StudySpec, stream
from service.datasets.references import objective_for_worker
from service.lifecycle import COMMAND
from service.logs import log_path
from service.models import Json, Run, Study
from service.repositories.runs import RunRow
from service.store import Store
from service.tracking import Tracked, restore_fidelity
from workers.objectives import runs_on_pool
from workers.protocol import Assignment, Limits, Resources, Supernet

MEGABYTE = 2**20


@dataclass(slots=True)
class Engagement:
    """`keys` maps the pool's key of an attempt to its run; `pending` holds runs that no worker has yet.

    `settled` says that the algorithm has nothing more to start until a run ends. `stale` says that this may differ from
    what is stored; it is read again before it is used. `seen` is the last event that was looked at: when there are
    newer ones, somebody else has changed the study, and has `changed` it until that was looked into: what is under way
    may have been ended. `swept` is the last event looked at of those that the pool does not carry out.
    `limited` says that its project's quota had no room for a run when it was last asked: no worker would help it.
    `share` is how much it has been given, in runs per weight. Nothing can be started before the clock shows `retry_at`.
    """

    study_id: int
    name: str
    objective: Json
    resources: Resources
    limits: Limits
    preemptible: bool
    weight: float
    tracked: Tracked
    keys: dict[str, int] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    active: bool = True
    out_of_time: bool = False
    settled: bool = False
    stale: bool = False
    limited: bool = False
    waiting: str | None = None
    test_key: str | None = None
    untested: bool = True
    lost_tests: int = 0
    seen: int = 0
    changed: bool = False
    swept: int = -1
    share: float = 0.0
    retry_at: float = 0.0

    @property
    def spec(self) -> StudySpec:
        return self.tracked.spec

    @property
    def on_pool(self) -> bool:
        """Whether the pool carries out its runs, or people's own workers do."""
        return runs_on_pool(self.objective)

    @property
    def logs(self) -> bool:
        """Whether its runs write a log."""
        return bool(self.objective["type"] == COMMAND)

    @property
    def all_keys(self) -> set[str]:
        """The pool's keys of everything under way, the final test included."""
        return {*self.keys, self.test_key} if self.test_key else set(self.keys)

    @property
    def wants_work(self) -> bool:
        return (
            self.active
            and self.test_key is None
            and not (self.settled and not self.pending)
            and time.monotonic() >= self.retry_at
        )

    @property
    def under_way(self) -> int:
        return len(self.keys) + (self.test_key is not None)

    @property
    def room(self) -> int:
        """How many more runs the study may have under way."""
        return max(0, self.spec.parallelism - len(self.keys))

    def assignment(
        self,
        row: RunRow,
        key: str,
        resume_from: Path | None,
        checkpoint: Path | None,
        store: Store | None = None,
        inherit_from: Path | None = None,
        *,
        own: bool = False,
    ) -> Assignment:
        """What a worker needs to carry out the run; without `checkpoint` it is the final test of `resume_from`.

        All of them are keys in the `store`, if it is on other machines.
        """
        fidelity = self.spec.space.fidelity
        value = restore_fidelity(self.spec, row.run.fidelity)
        level = (fidelity.name, value, fidelity.high) if fidelity and value is not None else None
        supernet = None
        if row.run.kind == "supernet":
            supernet = self._supernet()
            level = ("epochs", supernet.options["epochs"], supernet.options["epochs"])
        return Assignment(
            key=key,
            objective=self.objective if store is None else objective_for_worker(self.objective, store),
            config=dict(row.trial.config),
            seed=training_seed(self.spec, row.run),
            fidelity=level,
            resume_from=resume_from,
            checkpoint=checkpoint,
            inherit_from=inherit_from,
            own=own,
            metrics=tuple(metric.name for metric in self.spec.metrics),
            task="train" if checkpoint else "test",
            supernet=supernet,
            resources=self.resources,
            limits=self.limits,
            log=log_path(store, self.study_id, row.run.number, row.run.attempts) if store and self.logs else None,
            store=store.url if store and not store.local else None,
        )

    def _supernet(self) -> Supernet:
        algorithm = self.spec.algorithm
        return Supernet(algorithm.name, algorithm.options, self.spec.space.to_json())


def engage(study: Study, tracked: Tracked) -> Engagement:
    """Takes a study on, of which nothing is under way."""
    limits = study.spec.get("limits") or {}
    memory = limits.get("memory_mb")
    return Engagement(
        study_id=study.id,
        name=study.name,
        objective=study.spec["objective"],
        resources=resources_of(study),
        limits=Limits(limits.get("seconds"), None if memory is None else int(memory * MEGABYTE)),
        preemptible=study.spec["resources"].get("preemptible", False),
        weight=weight_of(study.priority),
        tracked=tracked,
        pending=list(tracked.history.open),
        seen=tracked.seq,
    )


def resources_of(study: Study) -> Resources:
    resources = study.spec["resources"]
    return Resources(cpus=resources.get("cpus", 1), gpus=resources.get("gpus", 0))


def weight_of(priority: int) -> float:
    """How much more than a study of priority 0 one of this priority is given."""
    return float(2.0**priority)


def training_seed(spec: StudySpec, run: Run) -> int:
    """One for all runs of a trial, so that continued training equals uninterrupted training; replicates differ."""
    purpose = f"training/{run.replicate}" if run.replicate else "training"
    return int(stream(spec.seed, run.trial, purpose).integers(2**31))
