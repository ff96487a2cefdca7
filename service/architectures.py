"""Architectures that other studies have found: `space: {architecture_from: {study: cells, trial: 12}, ...}`.

The trial's architecture becomes a part of the new study's space, as constants: what is left to search is the recipe,
on another dataset for instance. Without a trial it is the best one's.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.models import Json
from service.repositories.errors import NotFound
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.repositories.studies import Studies
from spaces import Space
from spaces.architectures import of_space
from spaces.checks import unknown
from spaces.errors import InvalidInput
from spaces.values import kind, show

FIELD = "architecture_from"
PATH = ("space", FIELD)


def transferred(studies: Studies, space: Json) -> Json:
    """The space with the architecture that it names, if it names one. Raises InvalidInput."""
    if FIELD not in space:
        return space
    given = space[FIELD]
    if not isinstance(given, Mapping):
        raise InvalidInput.at(PATH, f'must be an object such as {{"study": "cells", "trial": 12}}, got {kind(given)}')
    if not isinstance(space.get("parameters") or (), list | tuple):
        raise InvalidInput.at(("space", "parameters"), f"must be a list, got {kind(space['parameters'])}")
    for field in given:
        if field not in ("study", "trial"):
            raise InvalidInput.at((*PATH, str(field)), unknown("field", field, ("study", "trial")))
    config = _config(studies, given)
    constants = [{"name": name, "type": "constant", "value": value} for name, value in config.items()]
    own = [each for each in space.get("parameters") or () if not _named(each, config)]
    if len(own) < len(space.get("parameters") or ()):
        named = next(each["name"] for each in space["parameters"] if _named(each, config))
        raise InvalidInput.at(PATH, f"sets {show(named)}, which the space has too; leave one of them out")
    plain = {key: value for key, value in space.items() if key != FIELD}
    return {**plain, "parameters": [*own, *constants]}


def _named(parameter: object, config: Json) -> bool:
    name = parameter.get("name") if isinstance(parameter, Mapping) else None
    return isinstance(name, str) and name in config


def _config(studies: Studies, given: Mapping[str, object]) -> Json:
    """The values of the architecture's parameters in that trial, and nothing else of its config."""
    name, number = given.get("study"), given.get("trial")
    if not isinstance(name, str):
        raise InvalidInput.at((*PATH, "study"), f"must be the name of a study, got {kind(name)}")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise InvalidInput.at((*PATH, "trial"), f"must be the number of a trial, got {show(number)}")
    try:
        study = studies.get(name)
    except NotFound as error:
        raise InvalidInput.at((*PATH, "study"), str(error)) from error
    architecture = of_space(Space.from_json(study.spec["space"]))
    if architecture is None:
        raise InvalidInput.at((*PATH, "study"), f"the space of {name!r} has no architecture")
    if number is None:
        best = Standings(studies.session).leader(study)
        if best is None:
            raise InvalidInput.at(PATH, f"no trial of {name!r} has succeeded yet; name one with trial")
        config = best.row.trial.config
    else:
        if number >= study.trials:
            raise InvalidInput.at((*PATH, "trial"), f"the study has no trial {number}; {study.trials} were started")
        trial, runs = Runs(studies.session).trial(study.id, number)
        if any(run.kind == "supernet" for run in runs):
            message = f"trial {number} is a supernet, which is no architecture; its best are trials of their own"
            raise InvalidInput.at((*PATH, "trial"), message)
        config = trial.config
    own = {parameter["name"] for parameter in architecture.parameters()}
    return {key: value for key, value in config.items() if key in own}
