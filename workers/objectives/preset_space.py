"""`space: {preset: standard, ...}` of an objective `train`, written out: what a study stores names every parameter.

The parameters listed are changes of the preset's. One with a type is in place of the preset's, or beside them; one
without a type has other values for some fields; `{name: x, remove: true}` leaves x out, so that it has its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.checks import unknown
from spaces.errors import InvalidInput, Path, Problem
from spaces.values import kind
from workers.rows import Dataset, Family
from workers.training.hyperparameters import PRESETS, Complement
from workers.training.presets import changed, of_preset, settled

FIELDS = ("preset", "parameters", "constraints", "fidelity")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """`space` is the one without its preset. `places` says of each of its parameters which one of the user's changes it
    is, None of the preset's; the first `constraints` are the user's."""

    space: Json
    places: Sequence[int | None]
    constraints: int

    def origin(self, problem: Problem) -> Problem:
        """The problem of the space, where the user sees it."""
        match problem.path:
            case ("space", "parameters", int(index), *rest) if index < len(self.places):
                place = self.places[index]
                if place is not None:
                    return Problem(("space", "parameters", place, *rest), problem.message)
                name = self.space["parameters"][index]["name"]
                return Problem(("space", "preset"), f"{name}: {problem.message}")
            case ("space", "constraints", int(index), *_) if index >= self.constraints:
                why = "the preset leaves out what cannot be trained, or built for such data"
                return Problem(("space", "preset"), f"{problem.message} ({why}): change what these parameters may be")
            case _:
                return problem


def written_out(space: Json, family: Family, dataset: Dataset | None) -> Written:
    """Raises InvalidInput, with paths from the study's root."""
    if problems := list(_shape_problems(space)):
        raise InvalidInput(problems)
    changes: Sequence[Any] = space.get("parameters") or ()
    inputs = dataset.inputs if dataset else family.inputs[-1]
    hyperparameters = family.hyperparameters(inputs)
    shorts = {each.name: each for each in hyperparameters if isinstance(each, Complement)}
    every = {each["name"]: each for each in of_preset(hyperparameters, "everything")}
    every |= {name: each.to_json() for name, each in shorts.items()}
    parameters = {each["name"]: each for each in of_preset(hyperparameters, space["preset"])}
    if problems := list(_change_problems(changes, parameters, every, family)):
        raise InvalidInput(problems)

    named = {change["name"] for change in changes}
    own = {change["name"] for change in changes if "type" in change or "when" in change}
    for change in changes:
        name = change["name"]
        if name in shorts and shorts[name].of not in named:  # it stands in the other one's place
            parameters.pop(shorts[name].of, None)
        if "remove" in change:
            del parameters[name]
        elif "type" in change:
            parameters[name] = dict(change)
        else:
            parameters[name] = changed(parameters.get(name, every.get(name, {})), change)
    full = settled(list(parameters.values()), {each.name: each.default for each in hyperparameters}, own)
    users = list(space.get("constraints") or ())
    written: dict[str, Any] = family.constrained(inputs, full, dataset.shape if dataset else None)
    written["constraints"] = [*users, *written["constraints"]]
    if space.get("fidelity") is not None:
        written["fidelity"] = space["fidelity"]
    places = {change["name"]: index for index, change in enumerate(changes)}
    return Written(written, [places.get(parameter["name"]) for parameter in full], len(users))


def _shape_problems(space: Json) -> Iterator[Problem]:
    for field in space:
        if field not in FIELDS:
            yield Problem(("space", str(field)), unknown("field", field, FIELDS))
    if space["preset"] not in PRESETS:
        yield Problem(("space", "preset"), unknown("preset", space["preset"], PRESETS))
    for field in ("parameters", "constraints"):
        if not isinstance(space.get(field, []), list | tuple):
            yield Problem(("space", field), f"must be a list, got {kind(space[field])}")


def _change_problems(changes: Sequence[Any], preset: Json, every: Json, family: Family) -> Iterator[Problem]:
    """What keeps the changes from being made. What is wrong with the parameters that they make, others say."""
    seen: dict[str, int] = {}
    for index, change in enumerate(changes):
        path: Path = ("space", "parameters", index)
        if not isinstance(change, Mapping) or not isinstance(change.get("name"), str):
            yield Problem(path, f"must be an object with a name, got {kind(change)}")
            continue
        name = change["name"]
        if name in seen:
            yield Problem((*path, "name"), f"{name} is named twice; the first one is parameters[{seen[name]}]")
        seen.setdefault(name, index)
        if "remove" in change:
            if change["remove"] is not True or len(change) > 2:
                yield Problem((*path, "remove"), "must be true, beside nothing but the name")
            elif name not in preset:
                yield Problem((*path, "name"), unknown("parameter of the preset", name, list(preset)))
        elif "type" not in change and name not in every:
            yield Problem((*path, "name"), unknown(f"hyperparameter of {family.name}", name, list(every)))
