"""The configs of a finite space one by one, depth first; and their number where constraints rule some out.

Parameters are decided parents first, and each constraint is looked at as soon as the last of its parameters is decided
(a sum: at every one of them, by what the others can still add), so that a branch without configs is left early.

Constraints are counted by walking, which takes time in proportion to the number of configs; so only the parameters that
hang on a constraint are walked. The others are counted along their conditions, and the parts of a space that share
neither conditions nor constraints multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from spaces import cardinality
from spaces.conditions import Predicate
from spaces.constraints import TOLERANCE, Constraint, Linear, extremes
from spaces.domain import Discrete, Domain
from spaces.parameters import Parameter
from spaces.values import Value

MAX_VISITS = 1_000_000  # values looked at while counting: a few seconds


class Step(NamedTuple):
    """One parameter on the way through a config: parents come before their children."""

    axis: int
    name: str
    domain: Domain
    from_unit: Callable[[float], Value]
    is_active: Predicate | None  # None: always
    default: Value


class TooMany(Exception):
    """The walk visited more values than it may."""


def configs(
    steps: Sequence[Step], constraints: Sequence[Constraint] = (), max_visits: int | None = None
) -> Iterator[dict[str, Value]]:
    """All configs that keep the constraints, each once, in the order of the steps; the last step changes fastest.

    Every domain that can be active must be finite. Raises TooMany after `max_visits` values.
    """
    checks = _checks(steps, constraints)
    cells: list[int | None] = []  # of the first steps; None where inactive
    config: dict[str, Value] = {}
    visits = 0

    def fits(position: int) -> bool:
        for holds in checks[position]:  # noqa: SIM110  # the innermost loop of all: a plain one is faster
            if not holds(config):
                return False
        return True

    def put(cell: int) -> bool:
        """Moves the step after the decided ones to the first cell from this one on that fits."""
        nonlocal visits
        position = len(cells)
        name, domain = steps[position].name, _discrete(steps[position])
        for candidate in range(cell, domain.count):
            visits += 1
            if max_visits is not None and visits > max_visits:
                raise TooMany
            config[name] = domain.value(candidate)
            if fits(position):
                cells.append(candidate)
                return True
        config.pop(name, None)
        return False

    while True:
        alive = True
        while alive and len(cells) < len(steps):
            step = steps[len(cells)]
            if step.is_active is None or step.is_active(config):
                alive = put(0)
            elif alive := fits(len(cells)):
                cells.append(None)
        if alive:
            yield dict(config)
        while cells:  # back to the last parameter that has another value
            cell = cells.pop()
            if cell is not None and put(cell + 1):
                break
        else:
            return


def size(
    parameters: Sequence[Parameter], order: Sequence[int], steps: Sequence[Step], constraints: Sequence[Constraint]
) -> tuple[int | None, bool]:
    """The number of configs, None when it is infinite, and whether it is exact or an upper bound.

    `order` lists the parameters (and `steps` belong to them), parents first. Raises InvalidInput when conditions are
    too entangled to be counted. It is a bound where the constraints tie together more than can be walked; a space is
    infinite when a float without a step can be active, constraints aside.
    """
    if not constraints:
        return cardinality.size(parameters, order), True
    total, exact = 1, True
    for group in _groups(parameters, constraints):
        members = [index for index in order if index in group]
        its_parameters = [parameters[index] for index in members]
        count = cardinality.size(its_parameters, range(len(members)))
        if count is None:
            return None, True
        names = {parameter.name for parameter in its_parameters}
        its_constraints = [constraint for constraint in constraints if not names.isdisjoint(constraint.mentions)]
        if its_constraints:
            its_steps = [step for step in steps if step.name in names]
            try:
                count = sum(1 for _ in configs(its_steps, its_constraints, MAX_VISITS))
            except TooMany:
                exact = False
        total *= count
    return total, exact


def _groups(parameters: Sequence[Parameter], constraints: Sequence[Constraint]) -> list[set[int]]:
    """The parameters (by index) that hang together by conditions and constraints."""
    index_of = {parameter.name: index for index, parameter in enumerate(parameters)}
    groups = [{index} for index in range(len(parameters))]
    ties = [{p.name, *p.when.mentions} for p in parameters if p.when is not None]
    for names in [*ties, *(constraint.mentions for constraint in constraints)]:
        tied = {index_of[name] for name in names}
        apart = [group for group in groups if tied.isdisjoint(group)]
        groups = [*apart, set().union(*(group for group in groups if not tied.isdisjoint(group)))]
    return groups


def _checks(steps: Sequence[Step], constraints: Sequence[Constraint]) -> list[list[Predicate]]:
    """What can be asked after each step."""
    place = {step.name: position for position, step in enumerate(steps)}
    domains = {step.name: step.domain for step in steps}
    checks: list[list[Predicate]] = [[] for _ in steps]
    for constraint in constraints:
        positions = sorted(place[name] for name in constraint.mentions)
        checks[positions[-1]].append(constraint.compiled(domains))
        if isinstance(constraint, Linear) and all(steps[position].is_active is None for position in positions):
            for position, still_possible in _prefixes(constraint, [steps[position] for position in positions]):
                checks[place[position]].append(still_possible)
    return checks


def _prefixes(linear: Linear, steps: Sequence[Step]) -> Iterator[tuple[str, Predicate]]:
    """After each step but the last: whether the others can still bring the sum to where it must be."""
    ranges = []
    for step in steps:
        ends = extremes(step.domain)
        assert ends is not None, "terms are numbers"
        ranges.append(sorted(linear.coefficients[step.name] * end for end in ends))
    sizes = [max(abs(low), abs(high)) for low, high in ranges]
    least = list(accumulate((low for low, _ in ranges[:0:-1]), initial=0.0))[::-1]  # what is to come, at least
    most = list(accumulate((high for _, high in ranges[:0:-1]), initial=0.0))[::-1]
    slack = TOLERANCE * max(sum(sizes), abs(linear.bound))
    for position in range(len(steps) - 1):
        terms = [(step.name, linear.coefficients[step.name]) for step in steps[: position + 1]]

        def still_possible(
            config: Mapping[str, Any], terms: Any = terms, low: float = least[position], high: float = most[position]
        ) -> bool:
            total = sum(coefficient * config[name] for name, coefficient in terms)
            return (linear.operator == "ge" or total + low <= linear.bound + slack) and (
                linear.operator == "le" or total + high >= linear.bound - slack
            )

        yield steps[position].name, still_possible


def _discrete(step: Step) -> Discrete[Any]:
    assert isinstance(step.domain, Discrete), "the space is finite"
    return step.domain
