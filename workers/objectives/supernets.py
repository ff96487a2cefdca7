"""Whether a study's one-shot search has anything to search, by all that its run would refuse before any data is loaded.
Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search import ALGORITHMS
from search.options import read_options
from spaces import Space
from spaces.architectures import OneShot
from spaces.architectures.searched import searched
from spaces.errors import InvalidInput, Path, Problem
from workers.protocol import Assignment
from workers.supernets.methods import METHODS
from workers.supernets.objections import objections
from workers.supernets.recipe import settings_of
from workers.training.plan import Plan


def supernet_problems(objective: Mapping[str, Any], study: Mapping[str, Any]) -> Iterator[Problem]:
    """Of a study of which nothing else is known to be wrong. What is wrong with the algorithm or the space by itself is
    for others to tell."""
    given = study.get("algorithm")
    if not isinstance(given, Mapping) or (method := METHODS.get(str(given.get("name")))) is None:
        return
    wrong: list[Problem] = []
    options = read_options(
        {name: value for name, value in given.items() if name not in ("name", "stop", "chosen_because")},
        ALGORITHMS[method.name].options,
        (),
        wrong,
    )
    try:
        space = Space.from_json(study["space"])
    except InvalidInput:
        return
    architecture = searched(space)
    if wrong or not isinstance(architecture, OneShot):
        return
    length = ("epochs", options["epochs"], options["epochs"])
    plan = Plan.of(Assignment(key="", objective=objective, config=space.default(), seed=0, fidelity=length))
    settings = settings_of(plan, method, options)
    for name, reason in objections(architecture, method, settings, options, plan.facts):
        yield Problem(_path(name, given, space), reason)


def _path(name: str, algorithm: Mapping[str, Any], space: Space) -> Path:
    """Where the study says it: what the algorithm's options name is in place of the space's."""
    if name == "dataset":
        return "objective", name
    names = [parameter.name for parameter in space]
    if name in names and algorithm.get(name) is None:
        return "space", "parameters", names.index(name)
    return "algorithm", name
