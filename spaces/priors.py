"""What a user expects of a parameter: where its best value lies, and how sure that is.

    {mode: 1e-3, confidence: low | medium | high}    around a value
    {mode: 1e-3, sigma: 0.1}                         the same, with a width of one's own
    {weights: [3, 1, 1]}                             choices: how likely each of them is, relative to the others

Around a value, where the values have an order: a normal law on the unit interval (so on the parameter's own scale),
truncated to it, with mean u(mode) and standard deviation sigma, 0.5 / 0.25 / 0.125 by confidence; a value of a discrete
parameter has the mass of its cell. Where they have none, the mode weighs 2 / 4 / 6 and every other choice 1. These are
the laws of PriorBand (Mallik et al. 2023) as first released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from spaces.checks import Fields, unknown
from spaces.domain import Choices, Domain
from spaces.values import ByJson, Value, kind

Confidence = Literal["low", "medium", "high"]
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)

SIGMAS: dict[Confidence, float] = {"low": 0.5, "medium": 0.25, "high": 0.125}
WEIGHTS: dict[Confidence, float] = {"low": 2.0, "medium": 4.0, "high": 6.0}
MIN_SIGMA, MAX_SIGMA = 1e-3, 100.0  # narrower is a constant, wider is no prior
MIN_WEIGHT, MAX_WEIGHT = 1e-9, 1e9


@dataclass(frozen=True)
class Normal:
    """A normal law truncated to [0, 1], with its mean inside."""

    mean: float
    sigma: float


@dataclass(frozen=True)
class Weights:
    """The probabilities of equally wide cells."""

    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, weights: Sequence[float]) -> Weights:
        total = math.fsum(weights)
        return cls(tuple(weight / total for weight in weights))


Marginal = Normal | Weights  # of one axis of the unit cube


@dataclass(frozen=True, eq=False)
class Prior(ByJson):
    """Either a `mode` with a `confidence` (medium if nothing is said) or a `sigma`; or `weights`, one per choice.

    A parameter checks its prior against its values and keeps it in one form: see `normalised`.
    """

    mode: Value | None = None
    confidence: Confidence | None = None
    sigma: float | None = None
    weights: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        written = {declared.name: getattr(self, declared.name) for declared in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in written.items()
            if value is not None
        }

    def best(self, domain: Domain) -> Value:
        """The value with the greatest density; of several, the first."""
        if self.weights is None:
            assert self.mode is not None
            return self.mode
        assert isinstance(domain, Choices)
        return domain.value(self.weights.index(max(self.weights)))

    def marginal(self, domain: Domain) -> Marginal:
        """The law on the unit interval."""
        if self.weights is not None:
            return Weights.of(self.weights)
        if isinstance(domain, Choices) and not domain.ordered:
            assert self.confidence is not None
            mode = domain.cell(self.mode)
            return Weights.of([WEIGHTS[self.confidence] if cell == mode else 1.0 for cell in range(domain.count)])
        sigma = SIGMAS[self.confidence] if self.sigma is None and self.confidence is not None else self.sigma
        assert sigma is not None
        return Normal(domain.to_unit(self.mode), sigma)

    def around(self, value: Value, domain: Domain) -> Prior:
        """A prior of the same form and width with its mode at another value; weights swap places with the heaviest."""
        if self.weights is None:
            return Prior(value, self.confidence, self.sigma)
        assert isinstance(domain, Choices)
        weights = list(self.weights)
        best, there = weights.index(max(weights)), domain.cell(value)
        weights[best], weights[there] = weights[there], weights[best]
        return Prior(weights=tuple(weights))


def check(read: Fields, domain: Domain) -> None:
    """Notes what is wrong with the field `prior` of a parameter that has these values."""
    raw = read.raw("prior")
    if raw is None:
        return
    prior = _fields(raw)
    if prior is None:
        read.wrong("prior", f'must be an object such as {{"mode": ..., "confidence": "medium"}}, got {kind(raw)}')
        return
    within = Fields(prior)
    within.only([declared.name for declared in fields(Prior)])
    _check_form(within, domain)
    for problem in within.problems:
        read.problems.append(problem.under("prior"))


def normalised(raw: Prior | Mapping[str, Any] | None, domain: Domain) -> Prior | None:
    """A prior that was checked, in the one form in which it is kept."""
    if raw is None:
        return None
    read = _fields(raw)
    assert read is not None
    mode, confidence, sigma, weights = (read.get(name) for name in ("mode", "confidence", "sigma", "weights"))
    if weights is not None:
        return Prior(weights=tuple(float(weight) for weight in weights))
    if sigma is None and confidence is None:
        confidence = "medium"
    return Prior(domain.canonical(mode), confidence, None if sigma is None else float(sigma))


def _fields(raw: object) -> Mapping[str, Any] | None:
    if isinstance(raw, Prior):
        return vars(raw)
    return raw if isinstance(raw, Mapping) else None


def _check_form(read: Fields, domain: Domain) -> None:
    ordered = domain.ordered if isinstance(domain, Choices) else True
    given = [name for name in ("mode", "confidence", "sigma", "weights") if read.raw(name) is not None]
    if "weights" in given:
        if len(given) > 1:
            read.wrong("weights", f"stand alone, got {given[0]} beside them")
        _check_weights(read, domain)
        return
    if read.absent("mode", optional=True):
        read.wrong("mode", "is required: the value that is expected to be best")
    elif (objection := domain.objection(read.raw("mode"))) is not None:
        read.wrong("mode", objection)
    confidence = read.raw("confidence")
    if confidence is not None and confidence not in CONFIDENCES:
        read.wrong("confidence", unknown("confidence", confidence, CONFIDENCES))
    sigma = read.number("sigma", optional=True)
    if sigma is None:
        return
    if not ordered:
        read.wrong("sigma", "needs values with an order: use confidence or weights")
    elif not MIN_SIGMA <= sigma <= MAX_SIGMA:
        read.wrong("sigma", f"must be between {MIN_SIGMA} and {MAX_SIGMA}, in units of the whole range, got {sigma}")
    elif confidence is not None:
        read.wrong("sigma", "says the same as confidence: give one of them")


def _check_weights(read: Fields, domain: Domain) -> None:
    weights = read.raw("weights")
    if not isinstance(domain, Choices):
        read.wrong("weights", "are for choices: use mode with a confidence or a sigma")
    elif not isinstance(weights, list | tuple):
        read.wrong("weights", f"must be a list of numbers, got {kind(weights)}")
    elif len(weights) != domain.count:
        read.wrong("weights", f"must be {domain.count}, one per choice, got {len(weights)}")
    else:
        for index, weight in enumerate(weights):
            one = Fields({"weight": weight})
            value = one.number("weight")
            for problem in one.problems:
                read.wrong("weights", problem.message, index)
            if value is not None and not MIN_WEIGHT <= value <= MAX_WEIGHT:
                bounds = f"between {MIN_WEIGHT:g} and {MAX_WEIGHT:g}"
                read.wrong("weights", f"must be {bounds} (leave a choice out, or forbid it, to exclude it)", index)
