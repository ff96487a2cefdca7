"""What stands in the lines of an exported study: one type of record per table, the fields named as the columns.

What can be derived from the rest is not there (counts, standings, what a study was advised), nor is what is of one
service alone: ids, tokens, leases of dispatchers, places of files. So a study that was imported is exported as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from search.history import RunState
from service import models
from service.amendments import LONGEST_NOTE
from service.file_schemas import Address, ArtifactKind
from service.states import AttemptState, StudyState
from service.study_parts import Name, Priority
from workers.protocol import FailureClass

FORMAT = "assay-study"
VERSION = 1

MOST = 2**31 - 1
LONGEST_NAME = 128

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


def _read_time(value: object) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("must be a time in UTC such as 2030-01-31T12:00:00.5Z")


def write_time(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


Number = Annotated[int, Field(ge=0, le=MOST)]
Sequence = Annotated[int, Field(ge=1, le=MOST)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Time = Annotated[datetime, BeforeValidator(_read_time)]
Author = Annotated[str, Field(max_length=LONGEST_NAME)]
Metrics = dict[str, int | Real | None]
# A member of an enumeration is written as a text, which strictly speaking it is not.
InStudyState = Annotated[StudyState, Field(strict=False)]
InRunState = Annotated[RunState, Field(strict=False)]
InAttemptState = Annotated[AttemptState, Field(strict=False)]
Kind = Annotated[ArtifactKind, Field(strict=False)]
Failure = Annotated[FailureClass, Field(strict=False)]
Object = dict[str, Any]


class Record(BaseModel):
    """`word` is what its lines are called; the fields are columns of `table`, whose rows come in this `order`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    word: ClassVar[str]
    table: ClassVar[type[models.Base]]
    order: ClassVar[tuple[str, ...]]


class Header(BaseModel):
    """The first line. `counts` are the records by their word; what there is none of is not named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["assay-study"]
    version: Literal[1]
    assay: Annotated[str, Field(max_length=LONGEST_NAME)]
    exported_at: Time
    counts: dict[str, Number]


class End(BaseModel):
    """The last line: how many there are before it, and the SHA-256 of their bytes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lines: Number
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class StudyRecord(Record):
    """`active_seconds` counts up to the export."""

    word: ClassVar = "study"
    table: ClassVar = models.Study
    order: ClassVar = ("id",)

    name: Name
    priority: Priority
    state: InStudyState
    reason: str | None
    spec: Object
    sources: list[Object] | None
    active_seconds: Amount
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class EnqueuedRecord(Record):
    word: ClassVar = "enqueued"
    table: ClassVar = models.Enqueued
    order: ClassVar = ("number",)

    number: Number
    config: Object
    event: Sequence
    author: Author
    created_at: Time


class Invalidated(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str
    by: str


class TrialRecord(Record):
    word: ClassVar = "trial"
    table: ClassVar = models.Trial
    order: ClassVar = ("number",)

    number: Number
    config: Object
    invalidated: Invalidated | None
    invalidated_event: Sequence | None
    created_at: Time


class RunRecord(Record):
    """`checkpoint` is an address of its worker's own; files that the service keeps stay where they are."""

    word: ClassVar = "run"
    table: ClassVar = models.Run
    order: ClassVar = ("number",)

    number: Number
    trial: Number
    state: InRunState
    kind: Literal["train", "supernet"]
    bracket: Annotated[int, Field(ge=-1, le=MOST)]
    rung: Number
    replicate: Number
    fidelity: Real | None
    origin: Object
    resume_from: Number | None
    metrics: Metrics | None
    stopped_by: Object | None
    details: Object | None = None
    checkpoint: Address | None
    failure_class: Failure | None
    failure_message: str | None
    failure_traceback: str | None
    attempts: Number
    not_before: Time | None
    added_event: Sequence
    ended_event: Sequence | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class AttemptRecord(Record):
    """Without its token, which is a secret of who has it."""

    word: ClassVar = "attempt"
    table: ClassVar = models.Attempt
    order: ClassVar = ("run", "number")

    run: Number
    number: Sequence
    state: InAttemptState
    owner: Author
    worker: Author | None
    lease_seconds: Amount | None
    lease_expires: Time | None
    checkpoint: Address | None
    checkpoint_step: Real | None
    message: str | None
    late: Object | None
    provenance: Object | None
    cpu_seconds: Real | None
    gpu_seconds: Real | None
    created_at: Time
    ended_at: Time | None


class ReportRecord(Record):
    word: ClassVar = "report"
    table: ClassVar = models.Report
    order: ClassVar = ("id",)

    run: Number
    attempt: Sequence
    step: Real
    metrics: Metrics
    seconds: Real
    after_event: Number
    created_at: Time


class EventRecord(Record):
    word: ClassVar = "event"
    table: ClassVar = models.Event
    order: ClassVar = ("seq",)

    seq: Sequence
    type: Annotated[str, Field(max_length=32)]
    run: Number | None
    trial: Number | None
    data: Object
    created_at: Time


class IncumbentRecord(Record):
    word: ClassVar = "incumbent"
    table: ClassVar = models.Incumbent
    order: ClassVar = ("place",)

    place: Number
    run: Number
    event: Sequence
    created_at: Time


class EvaluationRecord(Record):
    word: ClassVar = "evaluation"
    table: ClassVar = models.Evaluation
    order: ClassVar = ("study_id",)

    run: Number
    trial: Number
    metrics: Metrics
    created_at: Time


class NoteRecord(Record):
    word: ClassVar = "note"
    table: ClassVar = models.Note
    order: ClassVar = ("id",)

    trial: Number | None
    author: Author
    text: Annotated[str, Field(max_length=LONGEST_NOTE)]
    created_at: Time


class ArtifactRecord(Record):
    """What file there was, not the file."""

    word: ClassVar = "artifact"
    table: ClassVar = models.Artifact
    order: ClassVar = ("id",)

    run: Number
    attempt: Sequence
    kind: Kind
    name: Annotated[str, Field(min_length=1, max_length=255)]
    media_type: Annotated[str, Field(max_length=LONGEST_NAME)]
    bytes: Annotated[int, Field(ge=0, le=2**63 - 1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: Time


class JobRecord(Record):
    """Work beside the runs, and what it found, but for the model. A check under way is one that waits; what was under
    way of a finalization is cancelled."""

    word: ClassVar = "job"
    table: ClassVar = models.Job
    order: ClassVar = ("number",)

    number: Number
    finalization: Number
    kind: Annotated[str, Field(max_length=16)]
    state: InRunState
    trial: Number | None
    config: Object
    fidelity: Real | None
    seed: Number
    options: Object
    runs: list[Number]
    metrics: Metrics | None
    details: Object | None
    failure: Object | None
    author: Author
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


RECORDS: tuple[type[Record], ...] = (
    StudyRecord,
    EnqueuedRecord,
    TrialRecord,
    RunRecord,
    AttemptRecord,
    ReportRecord,
    EventRecord,
    IncumbentRecord,
    EvaluationRecord,
    NoteRecord,
    ArtifactRecord,
    JobRecord,
)
"""In the order in which they stand in a file."""
BY_WORD: Mapping[str, type[Record]] = {record.word: record for record in RECORDS}
