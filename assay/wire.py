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
    limits: dict[str, float | None]
    retry: dict[str, float | None]
    priority: int
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


class Invalidated(TypedDict):
    """Why the results of a trial count for nothing any more, and who says so."""

    reason: str
    by: str


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
    invalidated: Invalidated | None
    created_at: str
    finished_at: str | None


class Wish(TypedDict):
    """A config that somebody wants tried; `run` does so, once there is one."""

    number: int
    config: dict[str, Value]
    author: str
    run: int | None


class Note(TypedDict):
    """What somebody wrote about a study, or about one of its trials."""

    id: int
    trial: int | None
    author: str
    text: str
    created_at: str


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


class Cost(TypedDict):
    """CPU seconds, and GPUs times seconds; null where nobody told."""

    cpu_seconds: float | None
    gpu_seconds: float | None


class Attempt(TypedDict):
    """One execution of a run, with the code, machine, data, space and seed that it was carried out with."""

    number: int
    state: str
    owner: Literal["pool", "external"]
    worker: str | None
    lease_expires: str | None
    checkpoint_step: float | None
    message: str | None
    late: dict[str, Any] | None
    provenance: dict[str, Any] | None
    cost: Cost
    created_at: str
    ended_at: str | None


class StateCost(TypedDict):
    """What the attempts that ended so took; `told` of them said their CPU or GPU seconds."""

    state: str
    attempts: int
    told: int
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float


class StudyCost(TypedDict):
    attempts: int
    told: int
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float
    states: list[StateCost]


class Report(TypedDict):
    """The metrics after one step (in units of the fidelity) of a run."""

    id: int
    trial: int
    run: int
    step: float
    metrics: dict[str, float]
    seconds: float
    created_at: str


class Event(TypedDict):
    """One transition of a study or of a run; docs/events.md says what `data` holds."""

    seq: int
    type: str
    run: int | None
    trial: int | None
    data: dict[str, Any]
    created_at: str


class Webhook(TypedDict):
    """Where a project is told of events. One that was turned off by the service has `failing_since`."""

    id: int
    url: str
    events: list[str]
    study: str | None
    active: bool
    failing_since: str | None
    created_by: str
    created_at: str


class NewWebhook(Webhook):
    """With the secret that requests are signed with."""

    secret: str


DeliveryState = Literal["pending", "sending", "delivered", "failed"]


class Delivery(TypedDict):
    """One event for one webhook; `id` is what the receiver knows it by, `number` what the service does."""

    number: int
    id: str
    event: str
    study: str | None
    seq: int | None
    state: DeliveryState
    attempts: int
    status: int | None
    error: str | None
    created_at: str
    due_at: str | None
    delivered_at: str | None


class FidelityValue(TypedDict):
    """How far a run goes, cumulative: up to `value` of at most `maximum`."""

    name: str
    value: float | int
    maximum: float | int


class ResumeFrom(TypedDict):
    """What a run goes on from: an address that its worker gave, or a path of the API to download it from."""

    run: int
    step: float | None
    checkpoint: str


class Assignment(TypedDict):
    """One attempt at one run. `id` is the run's in paths; the token goes with every word about it."""

    id: str
    study: str
    trial: int
    run: int
    attempt: int
    token: str
    config: dict[str, Value]
    fidelity: FidelityValue | None
    resume_from: ResumeFrom | None
    seed: int
    lease_expires: str | None


class Claimed(TypedDict):
    """The runs that a worker now has; and why there are not more, if so. After `retry_after` seconds there may be; null
    with a reason: never again."""

    assignments: list[Assignment]
    reason: str | None
    detail: str | None
    retry_after: float | None


class Heard(TypedDict):
    answer: Literal["continue", "stop", "pause"]
    lease_expires: str | None


class Checkpoint(TypedDict):
    checkpoint: str
    step: float | None


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


class BuiltinDataset(TypedDict):
    """A dataset that comes with the service."""

    kind: Literal["builtin"]
    name: str
    title: str
    tasks: list[str]
    inputs: str
    shape: list[int]
    outputs: int
    examples: int
    licence: str
    source: str
    needs: str


class DatasetColumn(TypedDict):
    """A column of a table, or an array; `stored` is its type in the words of the format."""

    name: str
    type: Literal["bool", "int", "float", "text", "date", "datetime", "binary", "other"]
    stored: str
    missing: int
    distinct: int | None
    categories: list[bool | str] | None
    low: float | str | None
    high: float | str | None
    shape: list[int] | None


class UploadedDataset(TypedDict):
    kind: Literal["uploaded"]
    name: str
    format: Literal["csv", "parquet", "npz"]
    bytes: int
    sha256: str
    rows: int
    columns: list[DatasetColumn]
    target: str | None
    created_by: str
    created_at: str


Dataset = BuiltinDataset | UploadedDataset


class Artifact(TypedDict):
    """A file that an attempt at a run left."""

    id: str
    run: int
    attempt: int
    kind: Literal["checkpoint", "log", "plot", "file"]
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: str


class Job(TypedDict):
    """Work of a study beside its runs; `finalization` is 0 for a check before the first run."""

    number: int
    kind: str
    finalization: int
    state: Literal["pending", "running", "succeeded", "failed", "cancelled"]
    trial: int | None
    seed: int
    attempts: int
    metrics: dict[str, float] | None
    details: dict[str, Any] | None
    failure: Failure | None
    author: str
    created_at: str
    started_at: str | None
    finished_at: str | None


class Confirmation(TypedDict):
    """`tied`: it is the best, or cannot be told from it."""

    trial: int
    config: dict[str, Any]
    scores: list[float]
    mean: float
    half_width: float | None
    tied: bool


class Finalization(TypedDict):
    """`model` is the number of the job whose model can be downloaded."""

    number: int
    state: Literal["running", "succeeded", "failed", "cancelled"]
    metric: str
    ranking: list[Confirmation]
    model: int | None
    card: dict[str, Any] | None
    test: dict[str, float] | None
    ensemble: dict[str, Any] | None
    failures: list[str]


class RevisedParameter(TypedDict):
    """Before and after; None where there is no such one."""

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Proposal(TypedDict):
    """What the checks propose to change of a space; without changes, `why` says what is in the way."""

    changes: list[dict[str, Any]]
    parameters: list[RevisedParameter]
    why: str


class Node(TypedDict):
    id: str
    label: str
    layer: int


Edge = TypedDict("Edge", {"from": str, "to": str, "op": str})


class Cell(TypedDict):
    name: str
    nodes: list[Node]
    edges: list[Edge]


class Drawing(TypedDict):
    cells: list[Cell]


class Architecture(TypedDict):
    """The architecture of a trial; `objection` says why it cannot be trained, if so."""

    trial: int
    name: str
    preset: str
    genotype: str
    canonical: str
    objection: str | None
    drawing: Drawing


class Pair(TypedDict):
    """A ranked config that was trained by itself."""

    trial: int
    rank: int
    score: float
    value: float


class Correlation(TypedDict):
    value: float
    low: float
    high: float


class TopHit(TypedDict):
    """Which share of the first tenth of a ranking is in the first tenth by trainings; `top` are in a tenth."""

    value: float
    low: float
    high: float
    top: int


class Trust(TypedDict):
    """Whether a supernet's ranking says how good architectures are."""

    metric: str
    verdict: Literal["trusted", "withheld", "unknown"]
    reason: str
    kendall: Correlation | None
    spearman: Correlation | None
    top_hit: TopHit | None
    pairs: list[Pair]
