"""What a training script needs when a study runs it, in a few words. The standard library alone.

    import assay

    config = assay.config({"lr": 0.1})           # the defaults are for running the script by hand
    for epoch in range(1, 28):
        ...
        if assay.report(step=epoch, val_loss=loss):
            break                                # nothing more is wanted of this run

The same script runs by hand: then there is no run, its reports go to stderr, and nobody asks it to stop. The run tells
its wishes by environment variables (`ASSAY_CONFIG`, ...), which scripts in other languages read themselves.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

INFEASIBLE = 77
"""The exit code that says: this config cannot be run."""

_last_step: float | None = None
_told_that_there_is_no_run = False


class Fidelity(NamedTuple):
    """How far this run goes, cumulative: a run that resumes at 3 and has the value 9 trains from 4 to 9."""

    name: str
    value: float | int
    maximum: float | int


def report(step: float | None = None, **metrics: Any) -> bool:
    """Reports metrics after a step, in units of the fidelity (epoch 1, 2, ...). Answers whether to stop now.

    True: the step is the run's last one, or the study has asked it to end; save what is worth saving and return.
    Without `step` it is the one after the last, the first being 1. Metrics are numbers, or scalars of numpy, torch and
    the like; what is not finite ends the run as diverged. Raises TypeError for anything else, and without a metric.
    """
    global _last_step
    if not metrics:
        raise TypeError("report needs a metric: report(step=1, val_loss=0.3)")
    if step is None:
        step = 1 if _last_step is None else math.floor(_last_step) + 1
    values = {name: as_number(name, value) for name, value in metrics.items()}
    # numpy's integers are no ints of Python
    step = step if isinstance(step, int | float) else as_number("step", step)
    path = os.environ.get("ASSAY_REPORTS")
    if path is None:
        _show(step, values)
    else:
        _append(path, json.dumps({"step": step, "metrics": on_the_wire(values)}))
    _last_step = step
    return should_stop()


def should_stop() -> bool:
    """Whether nothing more is wanted of this run: its last step is reported, or the study has asked it to end."""
    limit = fidelity()
    if limit and os.environ.get("ASSAY_REPORTS") and _last_step is not None and _last_step >= limit.value:
        return True
    path = os.environ.get("ASSAY_STOP")
    return path is not None and Path(path).exists()


def config(default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The run's config: a value for every active parameter. `default` holds for names that it does not set."""
    return {**(default or {}), **json.loads(os.environ.get("ASSAY_CONFIG", "{}"))}


def seed(default: int = 0) -> int:
    """The trial's seed: the same in all its runs, so that a training that goes on equals one that never paused."""
    return int(os.environ.get("ASSAY_SEED", default))


def fidelity() -> Fidelity | None:
    """How far to go; None when the study has no fidelity, and outside of a run."""
    text = os.environ.get("ASSAY_FIDELITY")
    return Fidelity(**json.loads(text)) if text else None


def checkpoint_dir() -> Path | None:
    """Where to save what a later run may go on from; None outside of a run. What lies there when the script ends is
    kept."""
    return _directory("ASSAY_CHECKPOINT_DIR")


def resume_dir() -> Path | None:
    """What an earlier run of this trial left in its `checkpoint_dir`; None when this run starts from nothing."""
    return _directory("ASSAY_RESUME_DIR")


def infeasible(reason: str) -> NoReturn:
    """Ends the script and its run: this config cannot be run (a model that does not fit, a forbidden combination)."""
    sys.stderr.write(f"{reason}\n")
    sys.exit(INFEASIBLE)


def _directory(variable: str) -> Path | None:
    path = os.environ.get(variable)
    return Path(path) if path else None


def as_number(name: str, value: Any) -> float:
    """A number, or a scalar of numpy, torch and the like. Raises TypeError for anything else."""
    if hasattr(value, "detach"):  # a tensor that is part of a graph is a number all the same
        value = value.detach()
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except OverflowError:  # an integer beyond the doubles
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, which is not a number") from None


def on_the_wire(metrics: Mapping[str, Any]) -> dict[str, float | str]:
    """Metrics as JSON has words for them: what is not finite travels as a text. Raises TypeError."""
    values = {name: as_number(name, value) for name, value in metrics.items()}
    return {name: value if math.isfinite(value) else json.dumps(value) for name, value in values.items()}


def _append(path: str, line: str) -> None:
    """One write, so that lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def _show(step: float, values: Mapping[str, float]) -> None:
    global _told_that_there_is_no_run
    if not _told_that_there_is_no_run:
        sys.stderr.write("assay: this is not a run of a study; reports are printed here\n")
        _told_that_there_is_no_run = True
    sys.stderr.write(f"step {step}: {', '.join(f'{name} {value:g}' for name, value in values.items())}\n")
