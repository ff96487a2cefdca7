"""One attempt at one run: what every pool does between `Started` and `Finished` or `Failed`.

Drives the objective's generator, passes a stop on, measures the time, and gives whatever goes wrong a failure class.
All pools run this same code: in a thread of the process, or in a Ray worker.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from workers import jobs, provenance
from workers.pools.failures import failed
from workers.protocol import (
    Ask,
    Assignment,
    Cost,
    Failure,
    FailureClass,
    Finished,
    Metrics,
    Objective,
    PoolEvent,
    Preempted,
    Report,
    Reported,
    Result,
    Started,
    Stop,
)
from workers.staging import staged


def worker_name() -> str:
    """Who carries out an attempt: `host/pid`."""
    return f"{socket.gethostname()}/{os.getpid()}"


def attempt(
    assignment: Assignment,
    objectives: Mapping[str, Objective],
    asked_to: Callable[[], Ask | None],
    cpu_seconds: Callable[[], float],
) -> Iterator[PoolEvent]:
    """Carries out the assignment: yields `Started`, any `Reported`, and exactly one `Ended`.

    Metrics leave as plain finite floats; the first one that is not finite ends the attempt as diverged. `asked_to`
    is read after every report. `cpu_seconds` is the clock of the CPU time that counts as the attempt's.
    """
    key = assignment.key
    started, cpu_started = time.monotonic(), cpu_seconds()

    def cost() -> Cost:
        return Cost(cpu_seconds() - cpu_started, assignment.resources.gpus * (time.monotonic() - started))

    yield Started(key, worker_name(), provenance.of_attempt(assignment))
    steps = _steps(assignment, objectives)
    asked: Ask | None = None
    last: Report | None = None
    while True:
        try:
            step = _checked(steps.send("stop" if asked else None))
        # The border between the objective and the service: whatever it raises ends this run and nothing else.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            yield replace(failed(key, error), cost=cost())
            with contextlib.suppress(Exception):  # the verdict stands, whatever the objective's clean-up raises
                steps.close()
            return
        match step:
            case Report():
                yield Reported(key, replace(step, seconds=time.monotonic() - started))
                asked, last = asked_to(), step
            case Result():
                if asked == "preempt" and not step.complete:
                    yield Preempted(key, step, last.step if last and step.checkpointed else None, cost())
                else:
                    yield Finished(key, step, stopped=asked == "stop", cost=cost())
                return


def _steps(
    assignment: Assignment, objectives: Mapping[str, Objective]
) -> Generator[Report | Result, Stop | None, None]:
    """The reports of the assignment's task, then its result."""
    name = assignment.objective["type"]
    if name not in objectives:
        known = ", ".join(objectives)
        raise Failure(FailureClass.ERROR, f"this worker knows no objective {name!r}; it has {known}")
    with staged(assignment) as files:
        match assignment.task:
            case "test":
                yield Result(objectives[name].test(files.assignment))
            case "job":
                yield (yield from files.saved(jobs.steps(files.assignment)))
            case "train":
                yield (yield from files.saved(objectives[name].train(files.assignment)))


def _checked(step: Report | Result) -> Report | Result:
    """The step with its metrics as plain finite floats (an objective may hand over numpy or torch scalars)."""
    if not isinstance(step, Report | Result):
        raise TypeError(f"an objective yields reports and returns a result, not {step!r}")
    where = f"at step {step.step}" if isinstance(step, Report) else "in the result"
    metrics: Metrics = {name: _finite(name, value, where) for name, value in step.metrics.items()}
    if isinstance(step, Result):
        return replace(step, metrics=metrics, details={name: _storable(value) for name, value in step.details.items()})
    return replace(step, metrics=metrics)


def _storable(value: Any) -> Any:
    """JSON knows no number that is not finite: it becomes null."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {name: _storable(item) for name, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case _:
            return value


def _finite(name: str, value: object, where: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # the objective's word is checked here, not trusted
    except (TypeError, ValueError):
        raise TypeError(f"metric {name!r} is {value!r} {where}, not a number") from None
    if not math.isfinite(number):
        raise Failure(FailureClass.DIVERGED, f"{name} is {number} {where}")
    return number
