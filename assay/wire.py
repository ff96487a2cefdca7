"""The JSON of the API, as types: what `assay.Client` returns are these dictionaries, exactly as on the wire.

Times are RFC 3339 in UTC; `seconds` are seconds; `fidelity` is in the units of the study's fidelity (null without one).
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Value = float | int | bool | str
StudyState = Literal["active", "paused", "completed", "failed", "cancelled"]
RunState = Literal["pending", "running", "succeeded", "failed", "stopped", "cancelled"]

ENDED: frozenset[StudyState] = frozenset({"completed", "failed", "cancelled"})
"""The states in which a study stays."""


# Not written as a class because of the key `class`: one of error, diverged, infeasible, oom, timeout, lost, preempted.
Failure = TypedDict("Failure", {"class": str, "message": str, "traceback": NotRequired[str]})


class Metric(TypedDict):
    name: str
    direction: Literal["minimize", "maximize"]


class Counts(TypedDict):
    """Trials, and runs by state."""

    trials: int
    pending: int
    running: int
    succeeded: int
    failed: int
    stopped: int
    cancelled: int


class Spent(TypedDict):
    """What was used of the budget so far."""

    runs: int
    trials: int
    fidelity: float
    seconds: float


class Incumbent(TypedDict):
    """The best run of a study at one time: at the highest fidelity that had results."""

    trial: int
    run: int
    fidelity: float | None
    metrics: dict[str, float]
    config: dict[str, Value]
    finished_at: NotRequired[str]
    seconds: NotRequired[float]


class Tested(TypedDict):
    """The one evaluation of the best trial on the test split."""

    run: int
    trial: int
    metrics: dict[str, float]


class Best(Incumbent):
    study: str
    test: Tested | None


class Study(TypedDict):
    id: str
    name: str
    state: StudyState
    reason: str | None
    space: dict[str, Any]
    objective: dict[str, Any]
    metrics: list[Metric]
    algorithm: dict[str, Any]
    budget: dict[str, Any]
    parallelism: int
    resources: dict[str, Any]
    seed: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    counts: Counts
    spent: Spent
    waiting: str | None
    best: Incumbent | None
    test: Tested | None
    last_event: int


class Trial(TypedDict):
    number: int
    state: str
    config: dict[str, Value]
    fidelity: float | None
    metrics: dict[str, float] | None
    runs: list[int]
    failure: Failure | None
    origin: dict[str, Any]
    created_at: str
    finished_at: str | None


class Run(TypedDict):
    number: int
    trial: int
    state: RunState
    kind: Literal["train", "supernet"]
    bracket: int
    rung: int
    fidelity: float | None
    config: dict[str, Value]
    origin: dict[str, Any]
    resume_from: int | None
    metrics: dict[str, float] | None
    failure: Failure | None
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    seconds: float | None


class Report(TypedDict):
    """The metrics after one step (in units of the fidelity) of a run."""

    id: int
    trial: int
    run: int
    step: float
    metrics: dict[str, float]
    seconds: float
    created_at: str
