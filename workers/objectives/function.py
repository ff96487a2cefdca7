"""The objective `function`: an analytic function instead of a training.

    objective: {type: function, function: branin, seconds_per_step: 0.1, failure_rate: 0.05}

It behaves like a training in every respect that matters to a study: a report per step, a fidelity whose low values are
cheap and somewhat misleading, checkpoints, exact resume, and failures on demand. It reports the function's outputs: one
metric, `loss`, or for functions with several `f1`, `f2`, … (see `workers.objectives.functions`). A function reads the
parameters `x0`, `x1`, … of the space and ignores all others.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaces import InvalidInput, Problem, Space
from spaces.checks import unknown
from spaces.values import is_number
from workers.objectives.functions import FUNCTIONS, Function
from workers.objectives.metrics import metric_problems
from workers.protocol import Assignment, Metrics, Report, Result, Training

MAX_SECONDS = 3600
OPTIONS = ("type", "function", "seconds_per_step", "failure_rate")
Step = float | int


class FunctionObjective:
    """A `workers.protocol.Objective`. Torch-free."""

    def check(self, objective: Mapping[str, Any], study: Mapping[str, Any]) -> Sequence[Problem]:
        problems = list(_option_problems(objective))
        if function := _function(objective):
            problems += metric_problems(study, function.outputs, by=objective["function"])
            problems += _space_problems(objective["function"], function, study)
        return problems

    def train(self, assignment: Assignment) -> Training:
        """Steps from the checkpoint (or 0) to the fidelity, one report per whole step and one at the fidelity itself.

        Without a fidelity there is one step. The failures of `failure_rate` are drawn once per trial (seed and config)
        and happen in its first step.
        """
        options = assignment.objective
        point = _Point.of(assignment)
        _, target, maximum = assignment.fidelity or ("", 1, 1)
        step: Step = _load(assignment.resume_from) if assignment.resume_from else 0
        for following in _steps_between(step, target):
            time.sleep(options.get("seconds_per_step", 0))
            if _draw(assignment) < options.get("failure_rate", 0):
                raise RuntimeError("this trial was drawn to fail (failure_rate)")
            step = following
            answer = yield Report(step, point.outputs(step / maximum))
            if answer == "stop":
                break
        if assignment.checkpoint:
            _save(assignment.checkpoint, step)
        kept = assignment.checkpoint is not None
        return Result(point.outputs(step / maximum), checkpointed=kept, complete=step >= target)

    def test(self, assignment: Assignment) -> Metrics:
        """The function itself: what a training up to the highest fidelity approaches."""
        return _Point.of(assignment).outputs(1.0)


@dataclass(frozen=True, slots=True)
class _Point:
    """A function and the coordinates to evaluate it at."""

    function: Function
    coordinates: tuple[float, ...]

    @classmethod
    def of(cls, assignment: Assignment) -> _Point:
        function = FUNCTIONS[assignment.objective["function"]]
        config = assignment.config
        return cls(function, tuple(float(config[name]) for name in function.names(config)))

    def outputs(self, progress: float) -> Metrics:
        """The function's values and errors that shrink to nothing at `progress` 1 (the highest fidelity).

        The errors differ from point to point and among the outputs: low fidelities rank the points almost as the
        function does.
        """
        angle = sum((i + 1) * v for i, v in enumerate(self.coordinates))
        return {
            name: output.evaluate(self.coordinates)
            + output.scale * (1 + math.sin(angle + index) / 2) * (1 - progress) ** 2
            for index, (name, output) in enumerate(self.function.outputs.items())
        }


def _steps_between(done: Step, target: Step) -> Iterator[Step]:
    """Every whole number after `done` up to `target`, then `target` itself where it lies between two."""
    yield from range(math.floor(done) + 1, math.floor(target) + 1)
    if target > max(done, math.floor(target)):
        yield target


def _draw(assignment: Assignment) -> float:
    """A number in [0, 1) that depends on the trial's seed and config alone."""
    text = json.dumps([assignment.seed, dict(assignment.config)], sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _save(path: Path, step: Step) -> None:
    """Writes the checkpoint: all of it or, after a crash, nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        json.dump({"step": step}, file)
    Path(file.name).replace(path)


def _load(path: Path) -> Step:
    step: Step = json.loads(path.read_text())["step"]
    return step


def _option_problems(objective: Mapping[str, Any]) -> Iterator[Problem]:
    for name in objective:
        if name not in OPTIONS:
            yield Problem(("objective", name), unknown("option", name, OPTIONS))
    if "function" not in objective:
        yield Problem(("objective", "function"), f"missing; known: {', '.join(FUNCTIONS)}")
    elif _function(objective) is None:
        yield Problem(("objective", "function"), unknown("function", objective["function"], FUNCTIONS))
    if not _is_within(objective.get("seconds_per_step", 0), 0, MAX_SECONDS):
        yield Problem(("objective", "seconds_per_step"), f"must be a number of seconds from 0 to {MAX_SECONDS}")
    if not _is_within(objective.get("failure_rate", 0), 0, 1):
        yield Problem(("objective", "failure_rate"), "must be a number from 0 to 1")


def _space_problems(called: str, function: Function, study: Mapping[str, Any]) -> Iterator[Problem]:
    """The parameters that the function reads are there, always, and are numbers."""
    try:
        parameters = Space.from_json(study.get("space")).to_json()["parameters"]
    except InvalidInput:
        return  # whoever reads the space says what is wrong with it
    places = {parameter["name"]: index for index, parameter in enumerate(parameters)}
    for name in function.names(places):
        if name not in places:
            message = f"{called} reads the parameter {name}, which the space does not have"
            yield Problem(("space", "parameters"), message)
            continue
        parameter, path = parameters[places[name]], ("space", "parameters", places[name])
        if parameter.get("when"):
            yield Problem((*path, "when"), f"{called} always reads {name}, so it cannot be conditional")
        values = parameter.get("choices", [parameter["value"]] if "value" in parameter else [])
        if parameter["type"] == "bool" or not all(is_number(value) for value in values):
            yield Problem((*path, "type"), f"{called} computes with {name}, so it must be a number")


def _function(objective: Mapping[str, Any]) -> Function | None:
    name = objective.get("function")
    return FUNCTIONS.get(name) if isinstance(name, str) else None


def _is_within(value: object, low: float, high: float) -> bool:
    return is_number(value) and low <= value <= high
