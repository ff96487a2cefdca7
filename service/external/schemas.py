"""The JSON of external workers, as types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from search.history import RunState
from service.problems import Problem
from service.states import AttemptState
from service.study_parts import WHOLE, Number, Values

LONGEST_LEASE = 7 * 24 * 3600.0
MOST_CLAIMED = 100
MOST_REPORTS = 1000
NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _read_metric(value: object) -> object:
    if value is None:
        return float("nan")
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


Metric = Annotated[
    float,
    BeforeValidator(_read_metric),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": [*NOT_FINITE]}, {"type": "null"}]}),
]
MetricValues = Annotated[
    dict[str, Metric],
    Field(description="By name. What is not finite is null or one of NaN, Infinity, -Infinity: the run has diverged."),
]
Token = Annotated[str, Field(min_length=1, max_length=64, description="That of the attempt, as it was claimed.")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Claim(Body):
    worker: str = Field(
        min_length=1,
        max_length=128,
        description="Who carries the runs out: claiming again under this name gives the runs back that it has already.",
        examples=["gpu-box-1"],
    )
    count: Annotated[
        int, Field(ge=1, le=MOST_CLAIMED, description="How many runs at most, those included that it has."), WHOLE
    ] = 1
    lease_seconds: float | None = Field(
        60.0,
        gt=0,
        le=LONGEST_LEASE,
        description="Without a word for so long the run is lost and given to another; null for people, who take"
        " as long as they like.",
    )


class FidelityValue(BaseModel):
    """How far to train: up to `value` of at most `maximum`, both cumulative."""

    name: str
    value: Number
    maximum: Number


class ResumeFrom(BaseModel):
    """What to go on from: the checkpoint of an earlier run, or of an earlier attempt at this one."""

    run: int
    step: Number | None = Field(description="The step after which it was saved.")
    checkpoint: str = Field(description="The address that was given for it, or a path of this API to download it from.")


class Assignment(BaseModel):
    """One attempt at one run, complete. `id` is the run's in paths; `token` is shown with every word about it."""

    id: str = Field(examples=["12-7"])
    study: str
    trial: int
    run: int
    attempt: int
    token: str
    config: Values
    fidelity: FidelityValue | None
    resume_from: ResumeFrom | None
    seed: int = Field(description="The same for all runs of a trial; replicates have their own.")
    lease_expires: datetime | None


class Claimed(BaseModel):
    """The runs that the worker has now. With fewer than it asked for, why: `reason` is for programs.

    After `retry_after` seconds there may be more; null with a reason: never again.
    """

    assignments: list[Assignment]
    reason: str | None = Field(
        description="exhausted, barrier, paused, quota, budget, target, backoff, cancelled or failed."
    )
    detail: str | None
    retry_after: float | None


class Report(Body):
    """The metrics after one step, in units of the fidelity. `time` is in seconds since the attempt was claimed."""

    step: float = Field(ge=0, le=1e15, allow_inf_nan=False)
    metrics: MetricValues
    time: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False)


class Reports(Body):
    token: Token
    reports: list[Report] = Field(min_length=1, max_length=MOST_REPORTS)


class Beat(Body):
    token: Token


class Heard(BaseModel):
    """Whether to go on. `stop`: save a checkpoint and complete the run with `stopped: true`. `pause`: the study is
    paused; go on, or save a checkpoint and hand the run back (`fail` with the class `preempted`)."""

    answer: Literal["continue", "stop", "pause"]
    lease_expires: datetime | None


class Cost(Body):
    cpu_seconds: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False)
    gpu_seconds: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False)


class Ending(Body):
    token: Token
    provenance: dict[str, Any] | None = Field(None, description="What carried it out: code, libraries, hardware.")
    cost: Cost | None = None

    @property
    def extra(self) -> dict[str, Any]:
        return {"provenance": self.provenance, "cost": self.cost.model_dump() if self.cost else None}


class Completion(Ending):
    metrics: MetricValues | None = Field(None, description="The result; left out, those of the last report.")
    stopped: bool | None = Field(
        None, description="Whether it ended early because it was told to; left out, whether a rule said so."
    )


class Failing(Ending):
    class_: Literal["error", "diverged", "oom", "timeout", "preempted"] = Field("error", alias="class")
    message: str = Field("", max_length=2000)
    traceback: str = Field("", max_length=20000)


class Infeasible(Ending):
    message: str = Field("", max_length=2000)


class Current(BaseModel):
    """What stands: the run's state, and its latest attempt."""

    run: int
    trial: int
    state: RunState
    attempt: int
    attempt_state: AttemptState


class StaleAttempt(Problem):
    """What was said is kept with the attempt (`late`), but counts for nothing."""

    current: Current
