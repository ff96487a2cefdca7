"""What is legal in a space but hardly meant: advice, with the path of what it is about.

Everything that can be decided is decided exactly (by the program of `spaces.program`); how much of the space the
constraints leave is measured on uniform draws from a fixed stream, so the advice is the same every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from spaces.conditions import described
from spaces.constraints import Linear, extremes
from spaces.errors import Problem
from spaces.parameters import Categorical, Float, Integer, Parameter
from spaces.space import Space
from spaces.values import is_number

DECADES = 3
FEW_STEPS = 20
FEW_CHOICES = 3
DRAWS = 2_000
RARE = 0.01


def lint(space: Space) -> list[Problem]:
    """Advice on a space, by path; empty when there is none."""
    advice = [
        problem.under("parameters", index)
        for index, parameter in enumerate(space.parameters)
        for problem in _on_parameter(parameter)
    ]
    return [*advice, *_on_conditions(space), *_on_constraints(space)]


def _on_parameter(parameter: Parameter) -> Iterator[Problem]:
    if isinstance(parameter, Float | Integer):
        yield from _on_scale(parameter)
    if isinstance(parameter, Float) and parameter.step is not None:
        count = parameter.domain.count
        if count is not None and count <= FEW_STEPS:
            text = f"makes a grid of {count} values and hides what lies between them: leave it out if any would do"
            yield Problem(("step",), text)
    if isinstance(parameter, Categorical):
        if len(parameter.choices) == 1:
            yield Problem(("choices",), "has a single choice: a constant says so")
        else:
            yield from _on_bins(parameter.choices)


def _on_scale(parameter: Float | Integer) -> Iterator[Problem]:
    low, high = parameter.low, parameter.high
    if not parameter.log and low > 0 and high / low >= 10**DECADES:
        decades = math.log10(high / low)
        share = (low * 10 ** (decades - 1) - low) / (high - low)
        text = (
            f"is linear over {decades:.1f} decades, so {100 * (1 - share):.0f} % of the draws lie in the last of them:"
            " log: true gives each the same share"
        )
        yield Problem(("log",), text)


def _on_bins(choices: Sequence[object]) -> Iterator[Problem]:
    numbers = [choice for choice in choices if is_number(choice)]
    if len(numbers) < max(FEW_CHOICES, len(choices)):
        return
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
        return
    low, high = min(numbers), max(numbers)
    kind = "int" if all(isinstance(number, int) for number in numbers) else "float"
    log = ", log: true" if low > 0 and high / low >= 10 else ""
    text = (
        "are numbers in order, which a categorical does not know of:"
        f" {{type: {kind}, low: {low}, high: {high}{log}}} searches between them, an ordinal keeps just these"
    )
    yield Problem(("choices",), text)


def _on_conditions(space: Space) -> Iterator[Problem]:
    conditional = [(index, p) for index, p in enumerate(space.parameters) if p.when is not None]
    for index, parameter in conditional:
        assert parameter.when is not None
        if not _possible(space, parameter.name, active=True):
            yield Problem(
                ("parameters", index, "when"), f"never holds, so it is never searched: {described(parameter.when)}"
            )
        elif not _possible(space, parameter.name, active=False):
            yield Problem(("parameters", index, "when"), f"always holds, leave it out: {described(parameter.when)}")


def _possible(space: Space, name: str, *, active: bool) -> bool:
    from spaces.program import Model  # scipy takes long to import

    model = Model(space.parameters, space.constraints, extra=(name,))
    model.demand_active(name, active)
    return not model.is_infeasible


def _on_constraints(space: Space) -> Iterator[Problem]:
    if not space.constraints:
        return
    domains = {parameter.name: parameter.domain for parameter in space.parameters}
    for index, constraint in enumerate(space.constraints):
        if isinstance(constraint, Linear) and _never_binds(space, constraint):
            yield Problem(("constraints", index), f"rules nothing out, whatever the values: {constraint.described}")
    thin = {i for i, c in enumerate(space.constraints) if isinstance(c, Linear) and c.is_thin(domains)}
    kept, broken = space.acceptance(np.random.Generator(np.random.Philox(key=1)), DRAWS)
    strict = [index for index in range(len(space.constraints)) if index not in thin]
    if kept >= RARE or (thin and all(1 - broken[index] >= RARE for index in strict)):
        return
    worst = sorted(strict, key=lambda index: (-broken[index], index))[:3]
    said = ", ".join(f"{broken[i]:.1%} constraints[{i}] ({space.constraints[i].described})" for i in worst)
    text = f"leave {kept:.2%} of the space (of {DRAWS} draws {said} break), so drawing is slow and may be approximate"
    yield Problem(("constraints",), f"{text}: narrow the ranges to what they allow")


def _never_binds(space: Space, linear: Linear) -> bool:
    low = high = 0.0
    for name, coefficient in linear.coefficients.items():
        ends = extremes(space[name].domain)
        assert ends is not None, "terms are numbers"
        least, most = sorted(coefficient * end for end in ends)
        low, high = low + least, high + most
    match linear.operator:
        case "le":
            return high <= linear.bound
        case "ge":
            return low >= linear.bound
        case "eq":
            return False
