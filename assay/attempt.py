"""A run in the hands of a worker: what the function that trains sees of it, and the line to the service behind it.

What is reported waits in a queue until the service has it, in order. A service that is away for a while costs a
training nothing: it goes on, and what was said meanwhile is sent later. A thread keeps the lease while nothing is said.
"""

from __future__ import annotations

import logging
import math
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from assay.errors import AssayError, NotFound, StaleAttempt
from assay.patience import LONGEST_PAUSE, SHORTEST_PAUSE, is_passing, persistently
from assay.runs import FailureClass, Runs
from assay.script import Fidelity, as_number, on_the_wire
from assay.wire import Assignment, Heard, ResumeFrom
from assay.wire import Run as Ended

log = logging.getLogger("assay")

_BATCH = 500
_BEAT_SECONDS = 30.0  # without a lease: to hear that the run is to stop
_LINE_BUSY = 5.0  # seconds that a report waits for another request before it is left to that
_CHECKPOINT_PATIENCE = 60.0


class Infeasible(Exception):
    """Raised by `Run.infeasible`."""


class Run:
    """One attempt at a run.

    `config` has a value for every active parameter, `fidelity` says how far to train, `seed` is the trial's, and
    `resume_from` what to go on from (None: from the beginning). `number`, `trial` and `attempt` are for your own logs.
    """

    def __init__(self, runs: Runs, assignment: Assignment, lease_seconds: float | None) -> None:
        fidelity = assignment["fidelity"]
        self.id = assignment["id"]
        self.number = assignment["run"]
        self.trial = assignment["trial"]
        self.attempt = assignment["attempt"]
        self.config = assignment["config"]
        self.seed = assignment["seed"]
        self.fidelity: Fidelity | None = Fidelity(**fidelity) if fidelity else None
        self.resume_from: ResumeFrom | None = assignment["resume_from"]
        self.paused = False
        self._runs = runs
        self._token = assignment["token"]
        self._began = self._heard_at = time.monotonic()
        self._last_step: float | None = None
        self._unsent: list[dict[str, Any]] = []
        self._queue = threading.Lock()
        self._line = threading.Lock()  # one request at a time keeps reports in order
        self._told_to_stop = False
        self._given_up = False
        self._refusal: AssayError | None = None
        self._pause = 0.0  # the service is away: so long until the next try
        self._not_before = 0.0
        self._ended = threading.Event()
        self._interval = _BEAT_SECONDS if lease_seconds is None else min(lease_seconds / 3, _BEAT_SECONDS)
        self._keeper = threading.Thread(target=self._keep, name=f"assay-{self.id}", daemon=True)
        self._folder = tempfile.TemporaryDirectory(prefix="assay-run-")

    # What the training says

    def report(self, step: float | None = None, **metrics: Any) -> bool:
        """Reports metrics after a step, in units of the fidelity (epoch 1, 2, ...). Whether to go on.

        False: the step is the run's last one, or the study wants it to end there, or this attempt counts no longer:
        save what is worth saving and return. Without `step` it is the one after the last, the first being 1. Metrics
        are numbers, or scalars of numpy, torch and the like; what is not finite ends the run as diverged. Raises
        TypeError for anything else, and `Invalid` for what the service does not take.
        """
        if not metrics:
            raise TypeError("report needs a metric: run.report(1, val_loss=0.3)")
        if step is None:
            step = 1 if self._last_step is None else math.floor(self._last_step) + 1
        step = as_number("step", step)
        entry = {"step": step, "metrics": on_the_wire(metrics), "time": round(time.monotonic() - self._began, 3)}
        with self._queue:
            self._unsent.append(entry)
        self._last_step = step
        self._say()
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            raise refusal
        return self.goes_on

    @property
    def goes_on(self) -> bool:
        """Whether more is wanted of this run, as far as is known."""
        at_its_end = self.fidelity and self._last_step is not None and self._last_step >= self.fidelity.value
        return not (self._told_to_stop or self._given_up or at_its_end)

    def save_checkpoint(self, where: Path | str, step: float) -> bool:
        """Saves what a later attempt or run goes on from, after a step. Whether the service has it.

        A file is uploaded; an address (`s3://bucket/key`, `file:///shared/run-7`) is remembered. What cannot be saved
        is logged, and costs the run nothing but its checkpoint. Raises FileNotFoundError, IsADirectoryError.
        """
        if not (isinstance(where, str) and "://" in where):
            Path(where).open("rb").close()
        self._say()
        try:
            persistently(
                lambda: self._runs.checkpoint(self.id, self._token, where, as_number("step", step)),
                _CHECKPOINT_PATIENCE,
            )
        except AssayError as error:
            if isinstance(error, StaleAttempt | NotFound):
                self._give_up(error)
            else:
                log.error("run %s: the checkpoint after step %g is not saved: %s", self.id, step, error)
            return False
        self._heard_at = time.monotonic()
        return True

    def load_checkpoint(self) -> Path | str | None:
        """What to go on from: a file, which is gone after the run; or the address that was given for it; or None, then
        train from the beginning."""
        if self.resume_from is None:
            return None
        where = self.resume_from["checkpoint"]
        if not where.startswith("/api/"):
            return where
        target = Path(self._folder.name) / "checkpoint"
        try:
            persistently(lambda: self._runs.download_checkpoint(self.id, target), _CHECKPOINT_PATIENCE)
        except NotFound as error:
            log.warning("run %s begins at the beginning: %s", self.id, error)
            return None
        return target

    def infeasible(self, reason: str) -> NoReturn:
        """Ends the run: its config cannot be carried out (a model that does not fit, a forbidden combination)."""
        raise Infeasible(reason)

    # How it ends; said by the worker

    def complete(self, metrics: Mapping[str, Any] | None, patience: float, **extra: Any) -> None:
        """Raises ConnectionFailed when the service stays away for `patience` seconds; Invalid when it does not take
        the metrics, or did not take a report."""
        self._end(lambda: self._runs.complete(self.id, self._token, metrics, **extra), patience, faultless=True)

    def fail(
        self, message: str, patience: float, *, class_: FailureClass = "error", traceback: str = "", **extra: Any
    ) -> None:
        """Raises ConnectionFailed as `complete` does."""
        self._end(
            lambda: self._runs.fail(self.id, self._token, message, class_=class_, traceback=traceback, **extra),
            patience,
        )

    def reject(self, message: str, patience: float, **extra: Any) -> None:
        """Raises ConnectionFailed as `complete` does."""
        self._end(lambda: self._runs.infeasible(self.id, self._token, message, **extra), patience)

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._keeper.join()
        self._folder.cleanup()

    def _end(self, say: Callable[[], Ended], patience: float, *, faultless: bool = False) -> None:
        with self._line:
            try:
                persistently(self._deliver, patience)
                if faultless and self._refusal is not None:
                    raise self._refusal
                if not self._given_up:
                    ended = persistently(say, patience)
                    log.info("run %s is %s", self.id, ended["state"])
            except (StaleAttempt, NotFound) as error:
                self._give_up(error)

    # The line to the service

    def _say(self) -> None:
        """Sends what is unsent, unless the service is away: then the keeper tries again."""
        if not self._line.acquire(timeout=_LINE_BUSY):
            return
        try:
            if time.monotonic() >= self._not_before:
                self._try(self._deliver)
        finally:
            self._line.release()

    def _keep(self) -> None:
        """Keeps the lease, and sends what could not be sent before."""
        while not self._ended.wait(self._pause or self._interval / 2):
            with self._line:
                if self._ended.is_set() or self._given_up:
                    return
                if self._unsent:
                    self._try(self._deliver)
                elif self._pause or time.monotonic() - self._heard_at >= self._interval / 2:
                    self._try(lambda: self._take(self._runs.beat(self.id, self._token)))

    def _deliver(self) -> None:
        while self._unsent and not self._given_up:
            with self._queue:
                batch = self._unsent[:_BATCH]
            heard = None
            try:
                heard = self._runs.reports(self.id, self._token, batch)
            except AssayError as error:
                if is_passing(error) or isinstance(error, StaleAttempt | NotFound):
                    raise
                self._refusal = error
            with self._queue:
                del self._unsent[: len(batch)]
            if heard is not None:
                self._take(heard)

    def _try(self, request: Callable[[], None]) -> None:
        """One request, of which a failure passes or is final; neither is the training's."""
        try:
            request()
        except (StaleAttempt, NotFound) as error:
            self._give_up(error)
        except AssayError as error:
            if not is_passing(error):
                self._refusal = error
                return
            self._pause = min(max(2 * self._pause, SHORTEST_PAUSE), LONGEST_PAUSE, self._interval)
            self._not_before = time.monotonic() + self._pause
            log.warning("run %s goes on without the service: %s", self.id, error)

    def _take(self, heard: Heard) -> None:
        self._heard_at, self._pause, self._not_before = time.monotonic(), 0.0, 0.0
        self._told_to_stop |= heard["answer"] == "stop"
        self.paused = heard["answer"] == "pause"

    def _give_up(self, error: AssayError) -> None:
        if not self._given_up:
            log.warning("run %s counts no longer: %s", self.id, error)
        self._given_up = True
