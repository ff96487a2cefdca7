"""To and from a ConfigurationSpace of ConfigSpace (1.2).

Both know conditions, forbidden clauses and priors, so most spaces pass both ways. What ConfigSpace has no words for:
steps (it removed them), sums, `not` and order comparisons where the two libraries differ on inactive parameters and on
the bounds of continuous ones, more than 13 decimals, and a fidelity. Integers on a log scale and priors of integers
keep their values but follow ConfigSpace's own law there.

The declared order, whether a default was declared, and what is not mutable, travel in the hyperparameters' `meta`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from spaces.convert import Findings, Loss, library
from spaces.convert.configspace_clauses import Clauses, read_clause, read_condition
from spaces.convert.configspace_parameters import hyperparameter, parameter_of
from spaces.errors import InvalidInput
from spaces.parameters import Parameter
from spaces.space import Space


def to_configspace(space: Space, lossy: Collection[Loss] = ()) -> Any:
    """The ConfigurationSpace. Raises Inexpressible for what would be lost, unless its kind is accepted as a loss."""
    library_ = library("ConfigSpace", "ConfigSpace")
    findings = Findings(lossy)
    if space.fidelity is not None:
        findings.lost("fidelity", ("fidelity",), "ConfigSpace has no fidelity")
    converted = library_.ConfigurationSpace()
    made: dict[str, Any] = {}
    for index, parameter in enumerate(space.parameters):
        one = hyperparameter(library_, parameter, index, findings)
        if one is not None:
            made[parameter.name] = one
            converted.add(one)
    clauses = Clauses(library_, space, made, findings)
    if len(made) == len(space.parameters):
        for index, parameter in enumerate(space.parameters):
            if parameter.when is not None and not findings.accepts("conditions"):
                clauses.add_condition(converted, parameter, ("parameters", index, "when"))
        for index, constraint in enumerate(space.constraints):
            clauses.add_constraint(converted, constraint, ("constraints", index))
    findings.require()
    return converted


def from_configspace(given: Any) -> Space:
    """The space of a ConfigurationSpace; raises Inexpressible, by name, for what is none of ours."""
    library_ = library("ConfigSpace", "ConfigSpace")
    findings = Findings()
    conditions: dict[str, Any] = {}
    for condition in given.conditions:
        conditions[condition.child.name] = condition
    hyperparameters = list(dict(given).values())
    hyperparameters.sort(key=lambda one: (one.meta or {}).get("position", len(hyperparameters)))
    parameters: list[Parameter] = []
    for one in hyperparameters:
        try:
            when = None if one.name not in conditions else read_condition(library_, conditions[one.name])
            parameters.append(parameter_of(library_, one, when))
        except InvalidInput as error:
            for problem in error.problems:
                findings.wrong((one.name, *problem.path), problem.message)
    constraints = []
    for index, clause in enumerate(given.forbidden_clauses):
        try:
            constraints += read_clause(library_, clause)
        except InvalidInput as error:
            for problem in error.problems:
                findings.wrong(("forbidden_clauses", index, *problem.path), problem.message)
    findings.require()
    return Space(tuple(parameters), None, tuple(constraints))
