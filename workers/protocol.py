"""How a run is carried out: the words that the service, the pools and the objectives share.

An objective is a generator: it yields a `Report` per step, may be told to stop in answer to any of them, and returns a
`Result`. A pool executes assignments on warm workers and tells what happened as a stream of `PoolEvent`s. Nothing here
imports torch or ray, and everything here can be pickled.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from spaces.errors import Problem

Metrics = Mapping[str, float]
T = TypeVar("T")


class FailureClass(StrEnum):
    """Why a run failed. `diverged` is a loss or metric that is not finite; `lost` is a worker that vanished."""

    ERROR = "error"
    DIVERGED = "diverged"
    INFEASIBLE = "infeasible"
    OOM = "oom"
    TIMEOUT = "timeout"
    LOST = "lost"
    PREEMPTED = "preempted"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one run may use; `gpus` may be a fraction."""

    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take at most; None is no limit.

    `seconds` count from `Started`; an attempt beyond them ends as TIMEOUT. `memory_bytes` bound the resident memory of
    the worker that carries the attempt out, with all its child processes; an attempt beyond them ends as OOM.
    """

    seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A training that has ended, of a run or of a confirmation: its trial's number and config, its seed, its fidelity,
    and where its checkpoint is."""

    trial: int
    config: Mapping[str, Any]
    seed: int
    checkpoint: Path
    fidelity: tuple[str, float | int, float | int] | None = None
    source: Literal["run", "confirmation"] = "run"


@dataclass(frozen=True, slots=True)
class Job:
    """Work of a study beside its runs. `kind` names it (`workers.jobs`), `options` are JSON; `members` are configs,
    seeds and checkpoints of trainings that it reads."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Supernet:
    """What a run of kind supernet does: search the architecture of `space` (on the wire), or hyperparameters, within
    one training, by the `method`, a name of the table of algorithms, with its complete `options`."""

    method: str
    options: Mapping[str, Any]
    space: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt at one run, complete: a worker needs nothing else.

    `key` names the attempt within the pool (unique for ever, also the fencing token of its reports).
    `task` is `train` for a run, `test` for the one final evaluation of a checkpoint on the test split, and `job` for
    what `job` says. `supernet` is set for a run of that kind: then `config` is the recipe's, and the result's details
    have the ranking that `search.found` reads.
    `fidelity` is `(name, value, maximum)`, cumulative: a resumed training starts at the checkpoint's own step.
    `seed` is the trial's: all its runs share it, so that a continued training equals an uninterrupted one.
    `resume_from` and `checkpoint` are file paths: where to continue from, where to save at the end.
    `own` says that `resume_from` was saved by an earlier attempt at this very run, which goes on from there whether or
    not a smaller run's checkpoint would help it.
    `inherit_from` is the checkpoint of another trial, whose weights a training begins with as far as they fit.
    `metrics` are the names of those that the study chooses by: what costs time to measure is measured if it is there.
    `log` is the file that captures what a command writes to its stdout and stderr; None keeps nothing.
    `store` is where these files lie if not on a disk that all workers share: an address for fsspec, in which the paths
    are keys. Objectives never see it: `workers.staging` brings the files to this machine and back.
    """

    key: str
    objective: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int
    fidelity: tuple[str, float | int, float | int] | None = None
    resume_from: Path | None = None
    checkpoint: Path | None = None
    inherit_from: Path | None = None
    own: bool = False
    metrics: tuple[str, ...] = ()
    task: Literal["train", "test", "job"] = "train"
    job: Job | None = None
    supernet: Supernet | None = None
    resources: Resources = field(default_factory=Resources)
    limits: Limits = field(default_factory=Limits)
    log: Path | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The metrics after one step (in units of the fidelity: epoch 1, 2, ...). `seconds` since the attempt started."""

    step: float | int
    metrics: Metrics
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a training ended well: the final metrics, and whether a checkpoint was saved at `Assignment.checkpoint`.
    `details` are JSON, of a job. `complete`: it came to its own end, whatever it was asked to."""

    metrics: Metrics
    checkpointed: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False


class Failure(Exception):
    """Raised by an objective to end its run as failed with a class and a message of its own."""

    def __init__(self, failure: FailureClass, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message

    def __reduce__(self) -> tuple[type[Failure], tuple[FailureClass, str]]:
        return Failure, (self.failure, self.message)


Stop = Literal["stop"]
Ask = Literal["stop", "preempt"]
"""Why an attempt is to end at its next report: its run is over there, or goes on in another attempt. The objective is
told the same, `stop`."""

Training = Generator[Report, Stop | None, Result]


def to_the_end(steps: Generator[Report, Stop | None, T]) -> tuple[list[Report], T]:
    """Carries a training out that nobody stops: its reports, and what it returns."""
    reports: list[Report] = []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return reports, end.value


class Objective(Protocol):
    """What a run executes. One explicit table names them all: `workers.objectives.OBJECTIVES`."""

    def check(self, objective: Mapping[str, Any], study: Mapping[str, Any]) -> Sequence[Problem]:
        """What is wrong with the objective, and with the space and metrics beside it; paths from the study's root.

        `objective` is `study["objective"]`. Called by the service when a study is created, so it must not import
        torch. Never touches data.
        """

    def train(self, assignment: Assignment) -> Training:
        """Carries out one attempt. After a `stop` it saves its checkpoint if it can and returns at once."""

    def test(self, assignment: Assignment) -> Metrics:
        """Evaluates the checkpoint `assignment.resume_from` on the test split."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt took: seconds of CPU time, and GPUs times seconds held."""

    cpu_seconds: float
    gpu_seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """`provenance` is JSON: the code, the libraries and the machine that carry the attempt out, and its resources."""

    key: str
    worker: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    key: str
    report: Report


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt ended well; `stopped` when it ended early because `Pool.stop` asked for it."""

    key: str
    result: Result
    stopped: bool = False
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended badly. `failure` LOST means the worker vanished: the run deserves a new attempt.

    `cost` is None where nobody is left who knows it.
    """

    key: str
    failure: FailureClass
    message: str
    traceback: str = ""
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Preempted:
    """The attempt ended because `Pool.preempt` asked for it, or its node is about to go: nothing is wrong with the run.

    `result` is how far it came. `step` is the one after which `Assignment.checkpoint` was saved, from which the next
    attempt goes on; None where nothing was saved.
    """

    key: str
    result: Result
    step: float | int | None = None
    cost: Cost | None = None


Ended = Finished | Failed | Preempted
PoolEvent = Started | Reported | Ended


class Pool(Protocol):
    """Where runs execute. All methods are called from one thread (the dispatcher's)."""

    def capacity(self, resources: Resources) -> int:
        """How many more assignments of this shape could start right now."""

    def want(self, shapes: Mapping[Resources, int]) -> None:
        """What would start if there were room for it: so many assignments of each shape. Each call replaces the one
        before. A hint, to a pool that can grow."""

    def submit(self, assignment: Assignment) -> None:
        """Starts the attempt. Exactly one `Ended` follows for its key, after any Started and Reported."""

    def poll(self, timeout: float) -> list[PoolEvent]:
        """What happened since the last call, per key in order; waits up to `timeout` seconds for the first event."""

    def stop(self, key: str) -> None:
        """Asks the attempt to end at its next report. Unknown or ended keys are ignored."""

    def preempt(self, key: str) -> None:
        """Asks the attempt to save a checkpoint and end at its next report, so that another one can go on from there:
        it ends as Preempted, or as Finished where its result is complete. Unknown or ended keys are ignored, and so
        is what was asked to stop."""

    def kill(self, key: str) -> None:
        """Ends the attempt now, by force where it must; no event follows for this key. Unknown keys are ignored."""

    def shutdown(self) -> None:
        """Ends everything that this pool started. Idempotent."""
