"""The JSON of jobs: the checks before a study's first run, and finalizations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.study_parts import WHOLE, Metrics, Values
from workers.jobs import MEMBERS


class Failure(BaseModel):
    class_: str = Field(alias="class")
    message: str
    traceback: str

    model_config = ConfigDict(populate_by_name=True)


class Job(BaseModel):
    """Work of a study beside its runs. `details` depend on the kind; `finalization` is 0 for a check."""

    number: int
    kind: str
    finalization: int
    state: str
    trial: int | None
    seed: int
    attempts: int
    metrics: Metrics | None
    details: dict[str, Any] | None
    failure: Failure | None
    author: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Finalize(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    top: Annotated[int, Field(ge=1, le=50, description="So many of the best trials are confirmed."), WHOLE] = 3
    seeds: Annotated[int, Field(ge=1, le=50, description="With so many trainings each."), WHOLE] = 5
    data: Literal["train", "train+validation"] = Field("train", description="What the last training sees.")
    ensemble: Annotated[
        int,
        Field(ge=0, le=MEMBERS, description="Of so many of the best runs and of the confirmations; 0: none."),
        WHOLE,
    ] = MEMBERS


class Confirmation(BaseModel):
    """A trial's trainings with new seeds. `half_width` of the 95 % interval of the mean; `tied`: it is the best, or
    cannot be told from it."""

    trial: int
    config: Values
    scores: list[float]
    mean: float
    half_width: float | None
    tied: bool


class Finalization(BaseModel):
    """`state` is running, succeeded, cancelled, or failed where there is no model in the end; `ranking` is by the first
    metric."""

    number: int
    state: str
    metric: str
    ranking: list[Confirmation]
    model: int | None = Field(description="The job whose model can be downloaded.")
    card: dict[str, Any] | None = Field(description="The model card.")
    test: Metrics | None = Field(description="The one evaluation of the model on the test split.")
    ensemble: dict[str, Any] | None
    failures: list[str]
