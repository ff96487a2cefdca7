"""Single parameters as hyperparameters of ConfigSpace, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spaces.conditions import Condition
from spaces.convert import Findings
from spaces.errors import InvalidInput, Path
from spaces.parameters import Bool, Categorical, Constant, Float, Integer, Ordinal, Parameter
from spaces.priors import SIGMAS, WEIGHTS, Prior
from spaces.values import Value, listing, show

_DECIMALS = 13  # to which ConfigSpace rounds floats


def hyperparameter(library: Any, parameter: Parameter, position: int, findings: Findings) -> Any | None:
    """The hyperparameter; None, with a finding, when there is no such one."""
    path: Path = ("parameters", position)
    meta: dict[str, Any] = {"position": position}
    if getattr(parameter, "default", None) is None:
        meta["default"] = "implied"
    if not parameter.mutable:
        meta["mutable"] = False
    name, default = parameter.name, parameter.default_value
    prior = None if findings.accepts("prior") else parameter.prior
    match parameter:
        case Float() | Integer():
            return _number(library, parameter, prior, path, meta, findings)
        case Categorical() | Bool():
            choices = parameter.domain.values
            if not _distinct(choices, path, findings):
                return None
            weights = None
            if prior is not None:
                weights = prior.weights or _mode_weights(choices, prior)
            return library.CategoricalHyperparameter(name, list(choices), default, meta=meta, weights=weights)
        case Ordinal(choices=choices):
            if prior is not None:
                findings.lost("prior", (*path, "prior"), "ConfigSpace has no priors of ordinals")
            if not _distinct(choices, path, findings):
                return None
            return library.OrdinalHyperparameter(name, list(choices), default, meta=meta)
        case Constant(value=value):
            return library.Constant(name, value, meta=meta)
    raise AssertionError(f"a new type of parameter: {parameter.type}")


def parameter_of(library: Any, given: Any, when: Condition | None) -> Parameter:
    """The parameter; raises InvalidInput for what has no counterpart."""
    parameter = _parameter_of(library, given, when)
    return replace(parameter, mutable=(given.meta or {}).get("mutable", True))


def _parameter_of(library: Any, given: Any, when: Condition | None) -> Parameter:
    implied = (given.meta or {}).get("default") == "implied"
    default = None if implied else plain(given.default_value)
    name = given.name
    match given:
        case library.UniformFloatHyperparameter():
            return Float(name, given.lower, given.upper, bool(given.log), None, default, when=when)
        case library.UniformIntegerHyperparameter():
            return Integer(name, int(given.lower), int(given.upper), bool(given.log), None, default, when=when)
        case library.NormalFloatHyperparameter():
            uniform = Float(name, given.lower, given.upper, bool(given.log), None, default, when=when)
            prior = _normal_prior(float(given.mu), float(given.sigma), uniform)
            return Float(name, given.lower, given.upper, bool(given.log), None, default, when=when, prior=prior)
        case library.NormalIntegerHyperparameter():
            low, high, log = int(given.lower), int(given.upper), bool(given.log)
            if given.mu != round(given.mu):
                raise InvalidInput.at(("mu",), f"must be one of the values, which are integers, got {given.mu}")
            prior = _normal_prior(round(given.mu), float(given.sigma), Integer(name, low, high, log))
            return Integer(name, low, high, log, None, default, when=when, prior=prior)
        case library.CategoricalHyperparameter():
            return _choices_of(given, default, when)
        case library.OrdinalHyperparameter():
            return Ordinal(name, tuple(plain(value) for value in given.sequence), default, when=when)
        case library.Constant():
            return Constant(name, plain(given.value), when=when)
    raise InvalidInput.at((), f"has no counterpart here: {type(given).__name__}")


def _number(
    library: Any, parameter: Float | Integer, prior: Prior | None, path: Path, meta: dict[str, Any], findings: Findings
) -> Any | None:
    name, low, high, log = parameter.name, parameter.low, parameter.high, parameter.log
    if parameter.step is not None and not (isinstance(parameter, Integer) and parameter.step == 1):
        findings.wrong((*path, "step"), "ConfigSpace has no steps: an ordinal can list the values")
        return None
    if isinstance(parameter, Float):
        for field in ("low", "high"):
            value = getattr(parameter, field)
            if round(value, _DECIMALS) != value:
                findings.wrong((*path, field), f"ConfigSpace rounds to {_DECIMALS} decimals, got {value}")
                return None
    default = parameter.default_value
    kind = "Float" if isinstance(parameter, Float) else "Integer"
    if prior is None:
        make = getattr(library, f"Uniform{kind}Hyperparameter")
        return make(name, low, high, default_value=default, log=log, meta=meta)
    sigma = _sigma_out(prior, parameter)
    mode = prior.mode
    rounded = isinstance(parameter, Float) and isinstance(mode, float) and round(mode, _DECIMALS) != mode
    if sigma is None or rounded:
        findings.lost("prior", (*path, "prior"), "ConfigSpace cannot state this width on a log scale, or this mode")
        make = getattr(library, f"Uniform{kind}Hyperparameter")
        return make(name, low, high, default_value=default, log=log, meta=meta)
    make = getattr(library, f"Normal{kind}Hyperparameter")
    return make(name, mu=mode, sigma=sigma, lower=low, upper=high, default_value=default, log=log, meta=meta)


def _sigma_out(prior: Prior, parameter: Float | Integer) -> float | None:
    """The width in ConfigSpace's terms: in units of the value, and on a log scale such that ln(low + sigma) is the
    width in logarithms (which is how it reads one)."""
    sigma = prior.sigma if prior.confidence is None else SIGMAS[prior.confidence]
    assert sigma is not None
    low, high = parameter.low, parameter.high
    if not parameter.log:
        return sigma * (high - low)
    wide = math.exp(min(sigma * math.log(high / low), 700.0)) - low
    if wide <= 0 or round(wide, _DECIMALS) <= 0:
        return None
    return wide if abs(_sigma_in(round(wide, _DECIMALS), parameter) - sigma) <= 1e-9 * sigma else None


def _sigma_in(sigma: float, parameter: Float | Integer) -> float:
    low, high = parameter.low, parameter.high
    if parameter.log:
        return abs(math.log(low + sigma)) / math.log(high / low)
    return sigma / (high - low)


def _normal_prior(mode: Value, sigma: float, parameter: Float | Integer) -> Prior:
    wide = _sigma_in(sigma, parameter)
    for confidence, known in SIGMAS.items():
        if math.isclose(wide, known, rel_tol=1e-9):
            return Prior(mode, confidence)
    return Prior(mode, sigma=wide)


def _choices_of(given: Any, default: Value | None, when: Condition | None) -> Parameter:
    choices = tuple(plain(choice) for choice in given.choices)
    prior = None
    if given.weights is not None:
        weights = [float(weight) for weight in given.weights]
        prior = _weights_prior(choices, weights)
    if [show(choice) for choice in choices] == ["false", "true"]:
        return Bool(given.name, None if default is None else bool(default), when=when, prior=prior)
    return Categorical(given.name, choices, default, when=when, prior=prior)


def _mode_weights(choices: Sequence[Value], prior: Prior) -> tuple[float, ...]:
    assert prior.confidence is not None
    return tuple(WEIGHTS[prior.confidence] if show(choice) == show(prior.mode) else 1.0 for choice in choices)


def _weights_prior(choices: Sequence[Value], weights: Sequence[float]) -> Prior | None:
    """Weights that a confidence says are read as one; equal ones say nothing."""
    if len(set(weights)) == 1:
        return None
    heavy = [index for index, weight in enumerate(weights) if weight != 1.0]
    for confidence, weight in WEIGHTS.items():
        if len(heavy) == 1 and weights[heavy[0]] == weight:
            return Prior(choices[heavy[0]], confidence)
    return Prior(weights=tuple(weights))


def _distinct(choices: Sequence[Value], path: Path, findings: Findings) -> bool:
    if len(set(choices)) == len(choices):
        return True
    findings.wrong((*path, "choices"), f"ConfigSpace takes true for 1 and false for 0: {listing(choices)}")
    return False


def plain(value: Any) -> Any:
    """A plain Python value: numpy's scalars come out of ConfigSpace's arrays."""
    return value.item() if hasattr(value, "item") else value
