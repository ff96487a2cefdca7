"""What is wrong with the values of a config, by the name of the parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaces.checks import unknown
from spaces.conditions import described
from spaces.enumeration import Step
from spaces.errors import Problem
from spaces.fidelity import Fidelity
from spaces.parameters import Parameter
from spaces.values import Value


def problems(
    config: Mapping[Any, Any], steps: Sequence[Step], parameters: Mapping[str, Parameter], fidelity: Fidelity | None
) -> list[Problem]:
    """Unknown names, values that are wrong, and those that are missing or not wanted; constraints aside."""
    found = [_unknown(name, parameters, fidelity) for name in config if name not in parameters]
    return [*found, *_value_problems(config, steps, parameters)]


def _unknown(name: object, parameters: Mapping[str, Parameter], fidelity: Fidelity | None) -> Problem:
    if fidelity is not None and name == fidelity.name:
        return Problem((fidelity.name,), "is the fidelity: the algorithm sets it, it is no part of a config")
    return Problem((str(name),), unknown("parameter", name, parameters))


def _value_problems(
    config: Mapping[Any, Any], steps: Sequence[Step], parameters: Mapping[str, Parameter]
) -> Iterator[Problem]:
    seen: dict[str, Value] = {}
    doubtful: set[str] = set()  # whether it is active, or what its value is, cannot be told
    for step in steps:
        name = step.name
        when = parameters[name].when
        objection = step.domain.objection(config[name]) if name in config else None
        if objection is not None:
            yield Problem((name,), objection)
        if when is not None and not doubtful.isdisjoint(when.mentions):
            doubtful.add(name)
        elif when is not None and step.is_active is not None and not step.is_active(seen):
            if name in config:
                yield Problem((name,), f"is not active here, leave it out; it needs {described(when)}")
        elif name not in config:
            yield Problem((name,), "is required: the parameter is active here")
            doubtful.add(name)
        elif objection is not None:
            doubtful.add(name)
        else:
            seen[name] = step.domain.canonical(config[name])
