"""The JSON of the API, as types: the study that a client submits, and everything that it gets back.

Times are RFC 3339 in UTC, durations are seconds, fidelities are in the units of the study's fidelity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from search.history import RunState
from search.sources import MAX_SOURCES
from search.spec import PARALLELISM, SEED
from service.states import StudyState
from service.study_parts import (
    WHOLE,
    Algorithm,
    Budget,
    Checks,
    Limits,
    Metrics,
    MetricSpecs,
    Name,
    Number,
    Objective,
    Priority,
    Replicates,
    Resources,
    Retry,
    Space,
    SpaceGiven,
    Values,
    scalar,
)

EXAMPLE_STUDY: dict[str, Any] = {
    "name": "digits-lenet",
    "space": {
        "parameters": [
            {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
            {
                "name": "momentum",
                "type": "float",
                "low": 0.0,
                "high": 0.99,
                "when": {"parameter": "optimizer", "equals": "sgd"},
            },
            {"name": "width", "type": "int", "low": 16, "high": 256, "log": True},
        ],
        "fidelity": {"name": "epochs", "low": 1, "high": 27},
    },
    "objective": {"type": "train", "family": "lenet", "dataset": "digits"},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "hyperband", "eta": 3},
    "budget": {"max_runs": 60},
    "parallelism": 2,
    "resources": {"cpus": 1, "gpus": 0},
    "seed": 0,
}


class StudyCreate(BaseModel):
    """A study as a client submits it."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE_STUDY]})

    name: Name
    space: SpaceGiven
    objective: Objective
    metrics: MetricSpecs
    algorithm: Algorithm | None = None
    budget: Budget | None = None
    replicates: Replicates | None = None
    warm_start: list[Name] | None = Field(
        None, max_length=MAX_SOURCES, description="Finished studies, whose results are copied and made use of."
    )
    parallelism: Annotated[int, scalar(PARALLELISM), WHOLE]
    resources: Resources = Resources()
    limits: Limits | None = None
    retry: Retry | None = None
    checks: bool | Checks = Field(
        True, description="What is looked into before the first run; only where the objective is `train`."
    )
    priority: Priority = 0
    seed: Annotated[int, scalar(SEED), WHOLE]


class Counts(BaseModel):
    """The number of trials, and of runs by state."""

    trials: int
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    stopped: int = 0
    cancelled: int = 0


class Spent(BaseModel):
    """What was used of the budget. A continued trial counts its fidelity once; without a fidelity, a run counts 1."""

    runs: int
    trials: int
    fidelity: Number
    seconds: float = Field(description="How long the study has been active.")


class BestRun(BaseModel):
    """The incumbent: the best run at the highest fidelity that has results."""

    trial: int
    run: int
    fidelity: Number | None
    config: Values
    metrics: Metrics


class Test(BaseModel):
    """The one evaluation of the study's best run on the test split."""

    run: int
    trial: int
    metrics: Metrics


class Segment(BaseModel):
    """A part of a training: from one fidelity to another with this config, up to the end of a run."""

    begin: Number
    end: Number | None
    config: Values
    trial: int
    run: int


class Leader(BestRun):
    """The incumbent, and how firmly it leads. Over several `results` the metrics are means of the study's own."""

    results: int = Field(description="How many runs its metrics are the mean of: itself and its replicates.")
    confirmed: bool = Field(description="Whether it has all the replicates that the study wants.")
    feasible: bool = Field(description="Whether it keeps all constraints; if not, no run does.")
    schedule: list[Segment] = Field(
        description="Where the config changed during the training (pbt): all configs that led to it, in turn."
    )


class Front(BaseModel):
    """The results that no other one dominates, ascending by the first objective as a loss."""

    objectives: list[str]
    size: int = Field(description="How many there are; `items` may be fewer.")
    items: list[Leader]
    reference: Metrics | None = Field(description="The point up to which the hypervolume is measured.")
    hypervolume: float = Field(description="How much the feasible results dominate, as a volume of losses.")


class Best(Leader):
    study: str
    test: Test | None


class Incumbent(BestRun):
    """A run that became the incumbent, when it or one of its replicates ended."""

    finished_at: datetime
    seconds: float = Field(description="Since the study was started.")


class Advice(BaseModel):
    """What is legal in a study but hardly meant, and where."""

    path: str = Field(description="Where, as people write it.", examples=["space.parameters[1].log"])
    pointer: str = Field(description="Where, as a JSON Pointer (RFC 6901).", examples=["/space/parameters/1/log"])
    message: str


class WarmStart(BaseModel):
    """What was taken from another study when this one was created."""

    study: str
    configs: int = Field(description="How many of its configs are made use of.")
    left_out: int = Field(description="How many have no place in this space.")


class Study(BaseModel):
    id: str
    name: str
    state: StudyState
    reason: str | None = Field(description="Why the study is in this state.")
    space: Space
    objective: Objective
    metrics: MetricSpecs
    algorithm: Algorithm
    budget: Budget
    replicates: Replicates | None
    warm_start: list[WarmStart]
    parallelism: int
    resources: Resources
    limits: Limits
    retry: Retry
    priority: int
    seed: int
    advice: list[Advice]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    counts: Counts
    spent: Spent
    waiting: str | None = Field(description="Why nothing is started just now.")
    best: Leader | None
    test: Test | None
    last_event: int = Field(description="The sequence number of the newest event: where a stream may begin.")


class Progress(BaseModel):
    """How many events of a study have been gone through, of how many."""

    events: int
    of: int


class DifferentField(BaseModel):
    """A part of a decision that is another one; null where one of them does not have it."""

    path: str = Field(description="Where in the run, or in what the stopping rule said.", examples=["config.lr"])
    stored: Any
    derived: Any
    distance: float | None = Field(description="By how much two numbers differ, relative to the larger one.")


class Difference(BaseModel):
    """The first decision that is not the stored one."""

    position: int = Field(description="Its place among what the search knows: runs added, ended and reported; from 0.")
    run: int = Field(description="The number of the run that is decided about.")
    decision: Literal["suggestion", "stop", "end", "order"] = Field(
        description="What to start, whether to stop, whether the study is over; or something happens to no run at all."
    )
    rounding: bool = Field(description="Whether it is in the last digits of numbers alone.")
    fields: list[DifferentField]


class Verification(BaseModel):
    """Whether what is stored of a study is what the search decides, up to the first difference."""

    verified: bool
    runs: int = Field(description="How many suggestions were derived again as they are stored.")
    stops: int = Field(description="How many stops by a stopping rule were.")
    difference: Difference | None


class Failure(BaseModel):
    """Why a run failed."""

    class_: str = Field(
        alias="class",
        description="error, diverged, infeasible, oom, timeout, lost or preempted.",
        examples=["diverged"],
    )
    message: str


class RunFailure(Failure):
    traceback: str | None


class Trial(BaseModel):
    """One config. State and failure are those of its latest run, fidelity and metrics of its latest success."""

    number: int
    state: RunState
    config: Values
    fidelity: Number | None
    metrics: Metrics | None
    runs: list[int]
    failure: Failure | None
    stopped_by: Values | None = Field(description="What the stopping rule said that ended its latest run, if one did.")
    origin: Values = Field(description="Which rule suggested the config, and from what.")
    invalidated: Invalidated | None = Field(description="Set when its results count for nothing any more.")
    created_at: datetime
    finished_at: datetime | None


class Invalidated(BaseModel):
    """Why and by whom the results of a trial were taken out."""

    reason: str
    by: str


class Note(BaseModel):
    """What somebody wrote about the study, or about a trial."""

    id: int
    trial: int | None
    author: str
    text: str
    created_at: datetime


class Run(BaseModel):
    """One training of a trial, up to one fidelity."""

    number: int
    trial: int
    state: RunState
    kind: Literal["train", "supernet"]
    bracket: int
    rung: int
    replicate: int = Field(description="Not 0 where it repeats the run of the same rung, with another seed.")
    fidelity: Number | None
    config: Values
    origin: Values
    resume_from: int | None = Field(description="The run whose checkpoint it continues.")
    metrics: Metrics | None
    failure: RunFailure | None
    stopped_by: Values | None = Field(description="What the stopping rule said that ended it, if one did.")
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None = Field(description="From start to end.")


class Report(BaseModel):
    """The metrics after one step of a run, in units of the fidelity."""

    id: int
    trial: int
    run: int
    step: Number
    metrics: Metrics
    seconds: float = Field(description="Since the attempt started.")
    created_at: datetime


class Event(BaseModel):
    """One transition of a study or of a run."""

    seq: int = Field(description="Counts the events of the study, from 1, without gaps.")
    type: str = Field(examples=["run.succeeded"])
    run: int | None
    trial: int | None
    data: Values
    created_at: datetime


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A part of a long list. `next` is the `after` of the page that follows; null on the last page."""

    items: list[Item]
    next: str | None


class Listing(BaseModel, Generic[Item]):
    """A whole list."""

    items: list[Item]


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Everything that was checked, and works."""

    status: Literal["ready"] = "ready"
    checks: list[str]
