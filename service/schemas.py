"""The JSON of the API, as types: the study that a client submits, and everything that it gets back.

Times are RFC 3339 in UTC, durations are seconds, fidelities are in the units of the study's fidelity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from search.history import RunState
from service.states import StudyState
from service.study_parts import (
    Algorithm,
    Budget,
    Metrics,
    MetricSpecs,
    Name,
    Number,
    Objective,
    Resources,
    Space,
    Values,
)

MAX_PARALLELISM = 10_000
MAX_SEED = 2**53 - 1
"""Beyond this, clients that read numbers as doubles would show a seed that is not the study's."""

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
    space: Space
    objective: Objective
    metrics: MetricSpecs
    algorithm: Algorithm
    budget: Budget | None = None
    parallelism: int = Field(1, ge=1, le=MAX_PARALLELISM, description="How many runs are open at once, at most.")
    resources: Resources = Resources()
    seed: int = Field(0, ge=0, le=MAX_SEED, description="All randomness of the study derives from it.")


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


class Best(BestRun):
    study: str
    test: Test | None


class Incumbent(BestRun):
    """A run that became the incumbent when it ended."""

    finished_at: datetime
    seconds: float = Field(description="Since the study was started.")


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
    parallelism: int
    resources: Resources
    seed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    counts: Counts
    spent: Spent
    waiting: str | None = Field(description="Why nothing is started just now.")
    best: BestRun | None
    test: Test | None
    last_event: int = Field(description="The sequence number of the newest event: where a stream may begin.")


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
    origin: Values = Field(description="Which rule suggested the config, and from what.")
    created_at: datetime
    finished_at: datetime | None


class Run(BaseModel):
    """One training of a trial, up to one fidelity."""

    number: int
    trial: int
    state: RunState
    kind: Literal["train", "supernet"]
    bracket: int
    rung: int
    fidelity: Number | None
    config: Values
    origin: Values
    resume_from: int | None = Field(description="The run whose checkpoint it continues.")
    metrics: Metrics | None
    failure: RunFailure | None
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


class Family(BaseModel):
    """A network family. `parameters` are all that a space may name, by kind of inputs, with ranges to begin with."""

    name: str
    title: str
    tasks: list[str]
    inputs: list[str]
    metric: dict[str, str] = Field(description="What a study of this family usually optimizes.")
    fidelity: str
    epochs: int = Field(description="How long it trains where the study has no fidelity.")
    datasets: list[str]
    parameters: dict[str, list[Values]]
    source: str


class Dataset(BaseModel):
    """`shape` is that of one example. `metrics` are what a training on it reports."""

    name: str
    title: str
    task: str
    inputs: str
    shape: list[int]
    classes: int
    examples: int
    metrics: list[str]
    licence: str
    source: str


class AlgorithmOption(BaseModel):
    """One option. Numbers are `at_least` and `above` (exclusive) these bounds; a text is one of `choices`, if any."""

    name: str
    type: Literal["int", "float", "text"]
    doc: str
    default: Number | str | None = None
    required: bool = False
    at_least: Number | None = None
    above: Number | None = None
    choices: list[str] = []


class AlgorithmRow(BaseModel):
    """An algorithm: what it `needs` of a space, what it `serves`, and its options."""

    name: str
    summary: str
    paper: str
    needs: dict[str, bool]
    serves: dict[str, bool]
    options: list[AlgorithmOption]


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Everything that was checked, and works."""

    status: Literal["ready"] = "ready"
    checks: list[str]
