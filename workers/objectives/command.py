"""The objective `command`: the user's own script, in its own process, in whatever language.

    objective:
      type: command
      command: [python, train.py, --lr, "{lr}", [--momentum, "{momentum}"]]
      workdir: /home/ada/digits

The script finds its config in its arguments and in `ASSAY_CONFIG`, and reports by appending lines to the file
`ASSAY_REPORTS`; in Python, `assay.config()` and `assay.report(...)` do it. docs/objectives.md has all of it.

Of the worker's own environment only what programs need to run is handed on: a script that users sent must not find
there what opens the service's database. (It runs as the worker's user all the same; see the docs.)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from spaces import InvalidInput, Problem, Space
from spaces.checks import unknown
from spaces.values import is_number, kind
from workers.guard.guarded import Guarded
from workers.guard.words import Order
from workers.objectives import command_template as template
from workers.objectives.command_checkpoint import pack, unpack
from workers.objectives.command_outcome import failure
from workers.objectives.command_reports import ReportsFile
from workers.protocol import Assignment, Failure, FailureClass, Metrics, Report, Result, Training
from workers.storage import dataset_path

OPTIONS = ("type", "command", "workdir", "env", "dataset", "grace_seconds", "timeout_seconds")
GRACE_SECONDS = 30.0
MAX_SECONDS = 365 * 86_400
POLL_SECONDS = 0.05
PARTING_SECONDS = 0.25

ALWAYS = ("seed", "checkpoint", "python")
"""Values that every run has, beside its parameters; `fidelity` where the space has one."""

INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|SSL_CERT_(?:FILE|DIR)|CUDA_\w+|NVIDIA_\w+"
    r"|(?:ROCR|HIP|GPU)_\w+|\w+_NUM_THREADS|SYSTEMROOT"
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class CommandObjective:
    """A `workers.protocol.Objective`."""

    def __init__(self) -> None:
        # Threads of one process may each have an attempt of their own. A key is doomed that was killed too early.
        self._open: dict[str, Guarded] = {}
        self._doomed: set[str] = set()
        self._lock = threading.Lock()

    def check(self, objective: Mapping[str, Any], study: Mapping[str, Any]) -> Sequence[Problem]:
        return [*_option_problems(objective), *_command_problems(objective, study)]

    def train(self, assignment: Assignment) -> Training:
        """Carries out one attempt; see the module. After a `stop` the script has its grace period to end.

        It ends well with exit code 0 or stopped, and a report; its metrics are those of the last report up to the
        fidelity. A checkpoint is kept if it ended by itself and left something in its directory.
        """
        with _scratch(assignment) as folder, self._started(assignment, folder) as command:
            reports = ReportsFile(folder / "reports.jsonl")
            _, target, _ = assignment.fidelity or ("", None, None)
            counted: Report | None = None
            verdict, ended = None, False
            told = over = False
            while not ended:
                verdict = verdict or command.wait(POLL_SECONDS)
                ended = verdict is not None
                if verdict and verdict.end == "killed":
                    break  # what it said goes with its folder
                for report in reports.new(ended=ended):
                    if target is not None and report.step > target:
                        command.stop()  # there is nothing left to do
                        over = True
                        continue
                    counted = report
                    over = target is not None and report.step >= target
                    if (yield report) == "stop" and not told:
                        # it may have been the last report: a script that ends before it is told came to its own end
                        verdict = verdict or command.wait(PARTING_SECONDS)
                        if verdict is None:
                            command.stop()
                            told = True
            assert verdict is not None, "it has ended"
            if failed := failure(verdict, _seconds(assignment)):
                raise failed
            if counted is None:
                raise Failure(FailureClass.ERROR, "exited without a report")
            keep = assignment.checkpoint if verdict.end == "exit" else None
            complete = over or (verdict.end == "exit" and not told)
            kept = keep is not None and pack(folder / "checkpoint", keep)
            return Result(counted.metrics, checkpointed=kept, complete=complete)

    def test(self, assignment: Assignment) -> Metrics:
        """Nothing: what a script holds back for the end is its own affair."""
        return {}

    def kill(self, key: str) -> None:
        """Ends the command of an attempt that is under way at once, or as soon as it starts. From any thread."""
        with self._lock:
            command = self._open.get(key)
            if command is None:
                self._doomed.add(key)
        if command:
            command.kill()

    @contextmanager
    def _started(self, assignment: Assignment, folder: Path) -> Iterator[Guarded]:
        """The command, running. On leaving, it and all that it started are gone."""
        order = _order(assignment, folder)
        with closing(Guarded(order, marker="ASSAY_REPORTS", env=_inherited(assignment))) as command:
            with self._lock:
                self._open[assignment.key] = command
                doomed = assignment.key in self._doomed
            try:
                if doomed:
                    command.kill()
                yield command
            finally:
                with self._lock:
                    del self._open[assignment.key]
                    self._doomed.discard(assignment.key)


@contextmanager
def _scratch(assignment: Assignment) -> Iterator[Path]:
    """The attempt's own folder, with `checkpoint`, and `resume` when it goes on from one. On a local disk: TMPDIR."""
    folder = Path(tempfile.mkdtemp(prefix="assay-run-")).absolute()
    try:
        (folder / "checkpoint").mkdir()
        if assignment.resume_from:
            (folder / "resume").mkdir()
            unpack(assignment.resume_from, folder / "resume")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _order(assignment: Assignment, folder: Path) -> Order:
    """What the guard is to run. Raises Failure when this worker has no such working directory."""
    options = assignment.objective
    workdir = Path(options.get("workdir") or folder)
    if not workdir.is_dir():
        raise Failure(FailureClass.ERROR, f"this worker has no directory {workdir}, the workdir of the command")
    if assignment.log:
        assignment.log.parent.mkdir(parents=True, exist_ok=True)
    return Order(
        command=template.render(options["command"], _values(assignment, folder)),
        workdir=str(workdir),
        env={**_inherited(assignment), **(options.get("env") or {}), **_told(assignment, folder)},
        folder=str(folder),
        stop=str(folder / "stop"),
        log=str(assignment.log.absolute()) if assignment.log else None,
        grace=_option(options, "grace_seconds", GRACE_SECONDS),
        seconds=_seconds(assignment),
    )


def _values(assignment: Assignment, folder: Path) -> dict[str, object]:
    """What arguments may name."""
    values: dict[str, object] = {
        **assignment.config,
        "seed": assignment.seed,
        "checkpoint": str(folder / "checkpoint"),
        "python": sys.executable,
    }
    if assignment.fidelity:
        values["fidelity"] = assignment.fidelity[1]
    if assignment.resume_from:
        values["resume_from"] = str(folder / "resume")
    return values


def _told(assignment: Assignment, folder: Path) -> dict[str, str]:
    """What the script is told by its environment."""
    told = {
        "ASSAY_CONFIG": json.dumps(dict(assignment.config)),
        "ASSAY_SEED": str(assignment.seed),
        "ASSAY_CHECKPOINT_DIR": str(folder / "checkpoint"),
        "ASSAY_REPORTS": str(folder / "reports.jsonl"),
        "ASSAY_STOP": str(folder / "stop"),
    }
    if assignment.fidelity:
        told["ASSAY_FIDELITY"] = json.dumps(dict(zip(("name", "value", "maximum"), assignment.fidelity, strict=True)))
    if assignment.resume_from:
        told["ASSAY_RESUME_DIR"] = str(folder / "resume")
    if dataset := assignment.objective.get("dataset"):
        told["ASSAY_DATASET"] = str(dataset_path(dataset))
    return told


def _inherited(assignment: Assignment) -> dict[str, str]:
    """What any program needs of the worker's environment, and nothing that is the service's own."""
    inherited = {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}
    threads = str(max(1, int(assignment.resources.cpus)))
    # What a script prints is a log that somebody may be reading; libraries keep to the CPUs that the run was given.
    return {"PYTHONUNBUFFERED": "1", **dict.fromkeys(THREAD_VARIABLES, threads), **inherited}


def _option(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name)
    return default if value is None else float(value)


def _seconds(assignment: Assignment) -> float | None:
    """How long the command may take: the shorter one of the run's limit and the command's own."""
    limits = (assignment.limits.seconds, assignment.objective.get("timeout_seconds"))
    return min((float(limit) for limit in limits if limit is not None), default=None)


def _option_problems(objective: Mapping[str, Any]) -> Iterator[Problem]:
    for name in objective:
        if name not in OPTIONS:
            yield Problem(("objective", str(name)), unknown("field", name, OPTIONS))
    workdir = objective.get("workdir")
    if workdir is not None:
        if not isinstance(workdir, str) or not Path(workdir).is_absolute():
            yield Problem(("objective", "workdir"), "must be an absolute path of a directory that the workers have")
        elif wrong := template.text_problem(workdir):
            yield Problem(("objective", "workdir"), wrong)
    dataset = objective.get("dataset")
    if dataset is not None and not isinstance(dataset, str | Mapping):
        yield Problem(("objective", "dataset"), f"must be the name of an uploaded dataset, got {kind(dataset)}")
    yield from _env_problems(objective.get("env"))
    for name, least in (("grace_seconds", "from 0"), ("timeout_seconds", "above 0")):
        value = objective.get(name)
        low_enough = value is None or (is_number(value) and 0 <= value <= MAX_SECONDS)
        if not low_enough or (name == "timeout_seconds" and value == 0):
            yield Problem(("objective", name), f"must be a number of seconds {least} to {MAX_SECONDS}")


def _env_problems(env: object) -> Iterator[Problem]:
    if env is None:
        return
    if not isinstance(env, Mapping):
        yield Problem(("objective", "env"), f"must be an object: a text per variable; got {kind(env)}")
        return
    for name, value in env.items():
        path = ("objective", "env", str(name))
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Problem(path, "is not a variable's name: letters, digits and _, no digit first")
        elif name.startswith("ASSAY_"):
            yield Problem(path, "names that begin with ASSAY_ are the service's own")
        if not isinstance(value, str):
            yield Problem(path, f"must be a text, got {kind(value)}")
        elif wrong := template.text_problem(value):
            yield Problem(path, wrong)


def _command_problems(objective: Mapping[str, Any], study: Mapping[str, Any]) -> Iterator[Problem]:
    """The command names only what its runs have."""
    if "command" not in objective:
        yield Problem(("objective", "command"), "is required: the program and its arguments, a list of texts")
        return
    always, sometimes, missing = set(ALWAYS), {"resume_from"}, {}
    try:
        space = Space.from_json(study.get("space"))
    except InvalidInput:  # whoever reads the space says what is wrong with it
        yield from template.problems(objective["command"], None, (), {})
        return
    if space.fidelity:
        always.add("fidelity")
    else:
        missing["fidelity"] = "the space has no fidelity"
    for name in {*always, *sometimes} & {parameter.name for parameter in space.parameters}:
        missing[name] = "means two things, the run's own and the parameter of this name: rename the parameter"
        always.discard(name)
        sometimes.discard(name)
    for parameter in space.parameters:
        if parameter.name not in missing:
            (sometimes if parameter.when else always).add(parameter.name)
    yield from template.problems(objective["command"], always, sometimes, missing)
