"""What is done for a study beside its runs: one explicit table. Torch-free; rows name their code by `module:function`.

    before   is the study worth its budget: a cheap baseline, an overfit gate, a learning-rate range test
    after    is the result worth having: confirmation over seeds, a last training, ensembles, calibration

A job is a function `work(plan, assignment, job) -> Result`: its metrics are numbers, its details JSON for people. One
that trains for long is a generator instead, as a training is, so that it can be ended on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spaces.errors import InvalidInput
from workers.catalogue import FAMILIES, dataset_of
from workers.protocol import Assignment, Result, Training, to_the_end
from workers.rows import Family, load
from workers.tasks import Task

MEMBERS = 10
"""So many of the best runs keep their checkpoints for an ensemble."""

CONFIRMATIONS = 60
"""About so many confirmations keep theirs: as many seeds of each config, two at least."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """`tasks` are those that it makes sense for, all if there are none; `descends`: only for families that follow an
    optimizer."""

    name: str
    when: Literal["before", "after"]
    worker: str
    tasks: tuple[str, ...] = ()
    descends: bool = False

    def suits(self, family: Family, task: Task) -> bool:
        return (not self.tasks or task.name in self.tasks) and (not self.descends or "optimizer" in family.recipe)


JOBS: Mapping[str, JobKind] = {
    kind.name: kind
    for kind in (
        JobKind("baseline", "before", "workers.jobs.baseline:work"),
        JobKind(
            "overfit",
            "before",
            "workers.jobs.overfit:work",
            tasks=("classification", "regression", "segmentation"),
            descends=True,
        ),
        JobKind("lr_range", "before", "workers.jobs.lr_range:work", descends=True),
        JobKind("confirm", "after", "workers.jobs.confirm:work"),
        JobKind("refit", "after", "workers.jobs.refit:work"),
        JobKind(
            "ensemble", "after", "workers.jobs.ensemble:work", tasks=("classification", "regression", "forecasting")
        ),
    )
}


def kinds_of(objective: Mapping[str, Any]) -> Sequence[JobKind]:
    """The jobs that a study of this objective may have: what is not trained here cannot be looked into."""
    if objective["type"] != "train":
        return ()
    family = FAMILIES[objective["family"]]
    try:
        task = family.task_on(dataset_of(objective["dataset"]))
    except InvalidInput:  # of a study from elsewhere, whose dataset is not here
        return ()
    return tuple(kind for kind in JOBS.values() if task is not None and kind.suits(family, task))


def carry_out(assignment: Assignment) -> Result:
    """Carries out `assignment.job`, to its end."""
    return to_the_end(steps(assignment))[1]


def steps(assignment: Assignment) -> Training:
    """Carries out `assignment.job`; what it reports on the way tells only that it goes on."""
    from workers.training.plan import Plan

    job = assignment.job
    assert job is not None, "an assignment of the task job has one"
    made: Result | Training = load(JOBS[job.kind].worker)(Plan.of(assignment), assignment, job)
    return made if isinstance(made, Result) else (yield from made)
