"""A worker: claims runs of a study with an external objective, and has a function carry them out.

def train(run):
    model = build(run.config)
    for epoch in range(1, run.fidelity.value + 1):
        if not run.report(epoch, val_loss=train_one_epoch(model)):
            break

assay.Client().work("my-study", train)
"""

from __future__ import annotations

import logging
import os
import platform
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from assay.attempt import Infeasible, Run
from assay.errors import AssayError, Invalid
from assay.patience import persistently
from assay.runs import FailureClass
from assay.script import INFEASIBLE, on_the_wire
from assay.wire import Assignment

if TYPE_CHECKING:
    from assay.client import Client

log = logging.getLogger("assay")

Train = Callable[[Run], Mapping[str, Any] | None]


class Terminated(SystemExit):
    """SIGTERM: the machine is taken back."""


PATIENCE = 3600.0
_HANDING_BACK = 5.0  # seconds: whoever is interrupted has no time


def default_worker() -> str:
    """A name that nobody else has."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{random.getrandbits(32):08x}"


def work(
    client: Client,
    study: str,
    train: Train,
    *,
    worker: str | None = None,
    lease_seconds: float | None = 60.0,
    max_runs: int | None = None,
    max_failures: int | None = 10,
    patience: float = PATIENCE,
) -> int:
    """Carries out runs until the study has no more, or `max_runs` of them; answers how many.

    `train` gets a `Run` and returns its metrics, or None for those of the last report. What it raises fails the run:
    MemoryError (and torch's) as out of memory, everything else as an error; after `max_failures` in a row something is
    wrong with more than a config, and the last one is raised. Ctrl-C and SIGTERM hand the run back for another worker,
    and are raised.

    Under a `worker` name that is given, a restarted worker goes on with the run that it had; only one process at a time
    may have it. A service that does not answer is waited for up to `patience` seconds; then `ConnectionFailed` is
    raised. Raises `NotFound` and `Invalid` when there is no such study, or none for workers.
    """
    name = worker or default_worker()
    done = failures = 0
    with _terminable():
        while max_runs is None or done < max_runs:
            claimed = persistently(lambda: client.studies.claim(study, name, lease_seconds=lease_seconds), patience)
            if not claimed["assignments"]:
                if claimed["retry_after"] is None:
                    log.info("study %s has no more runs: %s", study, claimed["detail"])
                    break
                log.info("study %s has no run just now: %s", study, claimed["detail"])
                time.sleep(claimed["retry_after"])
                continue
            error = _carry_out(client, claimed["assignments"][0], train, lease_seconds, patience)
            done += 1
            failures = failures + 1 if error else 0
            if isinstance(error, SystemExit):
                raise error
            if error and failures == max_failures:
                error.add_note(f"the last of {failures} runs in a row that failed on this worker")
                raise error
    return done


def _carry_out(
    client: Client, assignment: Assignment, train: Train, lease_seconds: float | None, patience: float
) -> Exception | SystemExit | None:
    """Answers what made the run fail, if it was not its config."""
    log.info("run %s: %s", assignment["id"], assignment["config"])
    began = _cpu_seconds()

    def extra() -> dict[str, Any]:
        return {"provenance": _provenance(), "cost": {"cpu_seconds": round(_cpu_seconds() - began, 3)}}

    with Run(client.runs, assignment, lease_seconds) as run:
        try:
            found = _outcome(run, train)
            if isinstance(found, Infeasible):
                run.reject(str(found), patience, **extra())
                return None
            if not isinstance(found, BaseException):
                try:
                    run.complete(found, patience, **extra())
                except Invalid as refusal:  # of what it has reported, or of its metrics
                    found = refusal
                else:
                    return None
            log.error("run %s failed", run.id, exc_info=found)
            trace = "".join(traceback.format_exception(found))
            message = f"{type(found).__name__}: {found}"
            run.fail(message, patience, class_=_class_of(found), traceback=trace, **extra())
        except (KeyboardInterrupt, Terminated) as interruption:
            _hand_back(run, interruption)
            raise
    return found


def _outcome(run: Run, train: Train) -> Mapping[str, Any] | Exception | SystemExit | None:
    """What the training returns or raises, of which nothing is the worker's own fault."""
    try:
        metrics = train(run)
        return None if metrics is None else on_the_wire(metrics)
    except Terminated:
        raise
    except SystemExit as end:
        return Infeasible("the training said so") if end.code == INFEASIBLE else end
    except Exception as error:  # noqa: BLE001 (somebody else's code: whatever it is ends this run alone)
        return error


def _hand_back(run: Run, interruption: BaseException) -> None:
    try:
        run.fail(f"the worker was interrupted ({type(interruption).__name__})", _HANDING_BACK, class_="preempted")
    except AssayError as error:  # then its lease runs out
        log.warning("run %s could not be handed back: %s", run.id, error)


def _class_of(error: BaseException) -> FailureClass:
    # torch has several, and is not imported here to ask for them.
    return "oom" if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" else "error"


def _provenance() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "program": sys.argv[0],
    }


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


@contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM, by which clusters take machines back, an exception; where a program has no handler of its own."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: object) -> None:
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
