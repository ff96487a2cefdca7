"""What a run may execute: one explicit table.

To add an objective, write its module beside this one (a class with `check`, `train` and `test`, see
`workers.protocol.Objective`) and name it here. Importing this package loads neither torch nor ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from search import ALGORITHMS
from spaces.architectures import written_out as cells_written_out
from spaces.checks import unknown
from spaces.errors import InvalidInput, Problem
from workers.objectives.command import CommandObjective
from workers.objectives.external import ExternalObjective
from workers.objectives.function import FunctionObjective
from workers.objectives.preset_space import Written
from workers.objectives.train import TrainObjective
from workers.protocol import Objective

OBJECTIVES: Mapping[str, Objective] = {
    "train": TrainObjective(),
    "function": FunctionObjective(),
    "command": CommandObjective(),
    "external": ExternalObjective(),
}


def runs_on_pool(objective: Mapping[str, Any]) -> bool:
    """Whether a pool carries out the runs of a study with this objective, rather than workers outside."""
    return not isinstance(OBJECTIVES[objective["type"]], ExternalObjective)


def written_out(study: Mapping[str, Any]) -> Written | None:
    """The study's space, if it names a preset or has an architecture, with all its parameters. Raises InvalidInput;
    paths as for `check`."""
    space = study.get("space")
    if not isinstance(space, Mapping):
        return None
    try:
        plain, places = cells_written_out(dict(space))
    except InvalidInput as invalid:
        raise invalid.under("space") from None
    cells = Written(plain, places, len(plain.get("constraints") or ()))
    if "preset" not in space:
        return cells if plain != space else None
    try:
        written = _preset_written_out({**study, "space": plain})
    except InvalidInput as invalid:
        raise InvalidInput(map(cells.origin, invalid.problems)) from None
    return replace(written, places=[None if place is None else places[place] for place in written.places])


def _preset_written_out(study: Mapping[str, Any]) -> Written:
    space, objective = study["space"], study.get("objective")
    train = OBJECTIVES["train"]
    if isinstance(objective, Mapping) and objective.get("type") == "train" and isinstance(train, TrainObjective):
        return train.written_out(objective, space)
    raise InvalidInput.at(("space", "preset"), "only families have presets: the objective must be of type train")


def check(study: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the study's objective, and with its space and metrics as far as the objective cares.

    `study` is the study object of the wire; the paths of the problems start at its root. Empty when all is well.
    """
    objective = study.get("objective")
    if not isinstance(objective, Mapping):
        return [Problem(("objective",), f"an object with a type is needed; types: {', '.join(OBJECTIVES)}")]
    if "type" not in objective:
        return [Problem(("objective", "type"), f"missing; known: {', '.join(OBJECTIVES)}")]
    name = objective["type"]
    if not isinstance(name, str) or name not in OBJECTIVES:
        return [Problem(("objective", "type"), unknown("objective", name, OBJECTIVES))]
    return [*OBJECTIVES[name].check(objective, study), *_trained_elsewhere(name, study)]


def _trained_elsewhere(name: str, study: Mapping[str, Any]) -> Iterator[Problem]:
    """Only where networks are trained here can one hold others, or trials begin with the weights of others."""
    algorithm, space = study.get("algorithm"), study.get("space")
    row = ALGORITHMS.get(str(algorithm.get("name"))) if isinstance(algorithm, Mapping) else None
    if row is not None and row.one_shot and name != "train":
        message = f"{row.name} trains a network of its own before any trial, so the objective must be of type train"
        yield Problem(("objective", "type"), message)
    if row is None or not isinstance(algorithm, Mapping) or not row.inheriting(algorithm):
        return
    path = ("algorithm", "inherit" if "inherit" in algorithm else "name")
    fidelity = space.get("fidelity") if isinstance(space, Mapping) else None
    if name != "train":
        yield Problem(
            path, f"children begin with the weights of their parents, which an objective {name} keeps to itself"
        )
    elif isinstance(fidelity, Mapping) and fidelity.get("name") == "folds":
        message = "children would begin with weights that have seen their validation examples: use another fidelity"
        yield Problem(path, message)
