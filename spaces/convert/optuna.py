"""To and from the distributions of Optuna (5.0): a mapping from parameter names, as samplers and trials have it.

Optuna knows numbers and unordered choices. Conditions, constraints, priors, defaults and the order of ordinals have to
be accepted as losses; steps on a log scale it does not have at all. A constant becomes a single choice and a bool the
choices false and true, and back.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any

from spaces.convert import Findings, Loss, library
from spaces.errors import InvalidInput, Path
from spaces.parameters import Bool, Categorical, Constant, Float, Integer, Ordinal, Parameter
from spaces.space import Space
from spaces.values import listing, show

_FALSE_TRUE = (False, True)


def to_optuna(space: Space, lossy: Collection[Loss] = ()) -> dict[str, Any]:
    """The distributions by name, in declared order. Raises Inexpressible for what would be lost otherwise."""
    distributions = library("optuna.distributions", "optuna")
    findings = Findings(lossy)
    if space.fidelity is not None:
        findings.lost("fidelity", ("fidelity",), "Optuna has no fidelity in its spaces")
    if space.constraints:
        findings.lost("constraints", ("constraints",), "Optuna has no constraints on parameters")
    converted: dict[str, Any] = {}
    for index, parameter in enumerate(space.parameters):
        path: Path = ("parameters", index)
        if parameter.when is not None:
            findings.lost("conditions", (*path, "when"), "Optuna has no conditions")
        if parameter.prior is not None:
            findings.lost("prior", (*path, "prior"), "Optuna has no priors")
        if not parameter.mutable:
            findings.lost("mutable", (*path, "mutable"), "Optuna does not tell what may change in a training")
        if getattr(parameter, "default", None) is not None:
            findings.lost("default", (*path, "default"), "Optuna has no defaults")
        converted[parameter.name] = _distribution(distributions, parameter, path, findings)
    findings.require()
    return converted


def from_optuna(given: Mapping[str, Any]) -> Space:
    """The space of these distributions; raises Inexpressible, by name, for what is none of ours."""
    distributions = library("optuna.distributions", "optuna")
    findings = Findings()
    parameters: list[Parameter] = []
    for name, distribution in given.items():
        try:
            parameter = _parameter(distributions, name, distribution)
        except InvalidInput as error:
            for problem in error.problems:
                findings.wrong((name, *problem.path), problem.message)
            continue
        if parameter is None:
            findings.wrong((name,), f"is no distribution that is known here: {type(distribution).__name__}")
        else:
            parameters.append(parameter)
    findings.require()
    return Space(tuple(parameters))


def _distribution(distributions: Any, parameter: Parameter, path: Path, findings: Findings) -> Any:
    match parameter:
        case Float(low=low, high=high, log=log, step=step) | Integer(low=low, high=high, log=log, step=step):
            if log and step is not None and not (isinstance(parameter, Integer) and step == 1):
                findings.wrong((*path, "step"), "Optuna has no steps on a log scale: leave out the step or the log")
                return None
            if isinstance(parameter, Integer):
                return distributions.IntDistribution(low, high, log=log, step=step or 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it moves high is looked at below
                distribution = distributions.FloatDistribution(low, high, log=log, step=step)
            if distribution.high != high:
                findings.wrong(
                    (*path, "step"), f"Optuna's decimals do not lead to high: it would be {distribution.high}"
                )
            return distribution
        case Categorical(choices=choices) | Ordinal(choices=choices):
            if isinstance(parameter, Ordinal):
                findings.lost("order", (*path, "type"), "Optuna's choices have no order")
            if len(set(choices)) < len(choices):
                findings.wrong((*path, "choices"), f"Optuna takes true for 1 and false for 0: {listing(choices)}")
            return distributions.CategoricalDistribution(choices)
        case Bool():
            return distributions.CategoricalDistribution(_FALSE_TRUE)
        case Constant(value=value):
            return distributions.CategoricalDistribution((value,))
    raise AssertionError(f"a new type of parameter: {parameter.type}")


def _parameter(distributions: Any, name: str, given: Any) -> Parameter | None:
    match given:
        case distributions.FloatDistribution():
            if given.low == given.high:
                return Constant(name, given.low)
            return Float(name, given.low, given.high, given.log, given.step)
        case distributions.IntDistribution():
            if given.low == given.high:
                return Constant(name, given.low)
            return Integer(name, given.low, given.high, given.log, None if given.step == 1 else given.step)
        case distributions.CategoricalDistribution():
            if len(given.choices) == 1:
                return Constant(name, given.choices[0])
            if [show(choice) for choice in given.choices] == ["false", "true"]:
                return Bool(name)
            return Categorical(name, tuple(given.choices))
    return None
