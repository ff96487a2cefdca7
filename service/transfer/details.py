"""What jobs find, by their kind: as much of it as pages, clients and proposals read, so that they can trust its types.

Whoever makes it says more (`workers.jobs`); that is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.transfer.records import Amount, Number, Object, Real

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scores = dict[str, Real | None]
"""A score that is no number is null."""


class Details(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Baseline(Details):
    name: str
    seconds: Amount = 0


class Overfit(Details):
    passed: bool
    score: str
    value: Real | None
    epochs: Number
    why: str
    examples: Number = 0
    wanted: Real = 0
    seconds: Amount = 0


class LrRange(Details):
    """`lrs` and `losses` are one per step."""

    lrs: list[Positive]
    losses: list[Real]
    low: Positive
    high: Positive
    diverged: Positive | None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.lrs) != len(self.losses):
            raise ValueError(f"must have as many losses as lrs, got {len(self.losses)} and {len(self.lrs)}")
        if self.low > self.high:
            raise ValueError(f"must have a low of at most its high, got {self.low} and {self.high}")
        return self


class Refit(Details):
    card: Object


class Member(Details):
    trial: Number
    weight: Real
    source: str | None = None
    seed: Number | None = None
    snapshot: Number | None = None


class Mixture(Details):
    kind: str
    networks: Number
    scores: Scores


class Fit(Details):
    nll: Real | None
    ece: Real | None


class Bin(Details):
    confidence: Real
    accuracy: Real
    share: Real


class Calibration(Fit):
    temperature: Real
    scaled: Fit
    bins: list[Bin]


class Ensemble(Details):
    members: list[Member]
    single: Scores
    ensemble: Scores
    best: Number | None = None
    chosen: str | None = None
    kinds: list[Mixture] | None = None
    correlation: Real | None = None
    calibration: dict[str, Calibration] | None = None


DETAILS: Mapping[str, type[Details]] = {
    "baseline": Baseline,
    "overfit": Overfit,
    "lr_range": LrRange,
    "refit": Refit,
    "ensemble": Ensemble,
}
