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
    """With a bound it is a constraint, without one an objective."""

    name: str
    direction: Literal["minimize", "maximize"]
    at_most: NotRequired[float]
    at_least: NotRequired[float]


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


class Segment(TypedDict):
    """A part of a training: from one fidelity to another with this config, up to the end of a run."""

    begin: float
    end: float | None
    config: dict[str, Value]
    trial: int
    run: int


class Leader(Incumbent):
    """The incumbent as it stands: its metrics are means over `results` runs, itself and its replicates.

    `schedule` is not empty where the config changed during the training: all that led to it, in turn.
    """

    results: int
    confirmed: bool
    feasible: bool
    schedule: list[Segment]


class Front(TypedDict):
    """The results that no other one dominates, and the volume of losses that they dominate up to `reference`."""

    objectives: list[str]
    size: int
    items: list[Leader]
    reference: dict[str, float] | None
    hypervolume: float


class Tested(TypedDict):
    """The one evaluation of the best trial on the test split."""

    run: int
    trial: int
    metrics: dict[str, float]


class Best(Leader):
    study: str
    test: Tested | None


class WarmStart(TypedDict):
    """How many configs of another study are made use of, and how many have no place in this space."""

    study: str
    configs: int
    left_out: int


class Advice(TypedDict):
    """What is legal in a study but hardly meant."""

    path: str
    pointer: str
    message: str


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
    replicates: dict[str, int] | None
    warm_start: list[WarmStart]
    parallelism: int
    resources: dict[str, Any]
    seed: int
    advice: list[Advice]
    created_at: str
    started_at: str | None
    finished_at: str | None
    counts: Counts
    spent: Spent
    waiting: str | None
    best: Leader | None
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
    stopped_by: dict[str, Any] | None
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
    replicate: int
    fidelity: float | None
    config: dict[str, Value]
    origin: dict[str, Any]
    resume_from: int | None
    metrics: dict[str, float] | None
    failure: Failure | None
    stopped_by: dict[str, Any] | None
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


class DifferentField(TypedDict):
    """A part of a decision; `distance` is by how much two numbers differ, relative to the larger one."""

    path: str
    stored: Any
    derived: Any
    distance: float | None


class Difference(TypedDict):
    """The first decision that is not the stored one; `rounding` when only last digits of numbers differ."""

    position: int
    run: int
    decision: Literal["suggestion", "stop", "end", "order"]
    rounding: bool
    fields: list[DifferentField]


class Verification(TypedDict):
    """Whether a study's decisions are what the search decides; how many suggestions and stops are."""

    verified: bool
    runs: int
    stops: int
    difference: Difference | None
