"""When a parameter is active: an expression over the values of other parameters.

    {parameter, equals | in | gt | ge | lt | le}      a leaf: compares the value of one parent
    {parameter, equals | gt | ...: {parameter: b}}    a relation of two parameters, in constraints only
    {all: [...]}   {any: [...]}   {not: ...}          joins

A leaf on an inactive parent is false, whatever it compares; joins are plain logic over their leaves. So
`{not: {parameter: momentum, gt: 0.5}}` holds while `momentum` is inactive: it says "not above one half", not "at most
one half" (`le: 0.5` says that).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

from spaces.domain import Choices, Discrete, Domain
from spaces.errors import Path, Problem
from spaces.values import ByJson, Config, is_number, listing, scalar_objection, show, token

Operator = Literal["equals", "in", "gt", "ge", "lt", "le"]
Predicate = Callable[[Config], bool]  # over the values of the active parameters

OPERATORS: tuple[Operator, ...] = get_args(Operator)
_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_SIGNS: dict[Operator, str] = {"equals": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, eq=False)
class Leaf(ByJson):
    """Compares the value of the parameter of this name. `operand` is a tuple of values for `in`, else one value."""

    parameter: str
    operator: Operator
    operand: Any

    def to_json(self) -> dict[str, Any]:
        operand = list(self.operand) if self.operator == "in" else self.operand
        return {"parameter": self.parameter, self.operator: operand}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return frozenset((self.parameter,))

    @property
    def operands(self) -> list[tuple[Path, Any]]:
        """The values compared with, each with its path in the leaf."""
        if self.operator == "in":
            return [(("in", index), value) for index, value in enumerate(self.operand)]
        return [((self.operator,), self.operand)]


@dataclass(frozen=True, eq=False)
class Relation(ByJson):
    """Compares the values of two parameters: numbers, or ordinals that have the same choices; `equals` any choices."""

    parameter: str
    operator: Operator
    other: str

    def to_json(self) -> dict[str, Any]:
        return {"parameter": self.parameter, self.operator: {"parameter": self.other}}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return frozenset((self.parameter, self.other))


@dataclass(frozen=True, eq=False)
class _Join(ByJson):
    conditions: tuple[Condition, ...]

    word: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        return {self.word: [condition.to_json() for condition in self.conditions]}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return frozenset().union(*(condition.mentions for condition in self.conditions))


class AllOf(_Join):
    """Every one of the conditions holds."""

    word = "all"


class AnyOf(_Join):
    """At least one of the conditions holds."""

    word = "any"


@dataclass(frozen=True, eq=False)
class Not(ByJson):
    condition: Condition

    def to_json(self) -> dict[str, Any]:
        return {"not": self.condition.to_json()}

    @cached_property
    def mentions(self) -> frozenset[str]:
        return self.condition.mentions


Condition = Leaf | Relation | AllOf | AnyOf | Not


def comparisons(condition: Condition, path: Path = ()) -> Iterator[tuple[Path, Leaf | Relation]]:
    """The comparisons of a condition, each with its path, in the order in which they are written."""
    match condition:
        case Leaf() | Relation():
            yield path, condition
        case AllOf(conditions) | AnyOf(conditions):
            for index, part in enumerate(conditions):
                yield from comparisons(part, (*path, condition.word, index))
        case Not(part):
            yield from comparisons(part, (*path, "not"))


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The leaves of a condition, in the order in which they are written."""
    for _, comparison in comparisons(condition):
        if isinstance(comparison, Leaf):
            yield comparison


def described(condition: Condition) -> str:
    """The condition in words, for a message: `optimizer = "sgd" and depth > 3`."""
    match condition:
        case Leaf(name, "in", values):
            return f"{name} in [{listing(values)}]"
        case Leaf(name, sign, value):
            return f"{name} {_SIGNS[sign]} {show(value)}"
        case Relation(name, sign, other):
            return f"{name} {_SIGNS[sign]} {other}"
        case AllOf(conditions):
            return " and ".join(_within(part) for part in conditions)
        case AnyOf(conditions):
            return " or ".join(_within(part) for part in conditions)
        case Not(part):
            return f"not ({described(part)})"


def _within(part: Condition) -> str:
    return f"({described(part)})" if isinstance(part, AllOf | AnyOf) else described(part)


def problems(leaf: Leaf, domain: Domain) -> list[Problem]:
    """What the leaf asks of its parent that the parent can never fulfil; paths start at the leaf."""
    if leaf.operator in ("equals", "in"):
        found = [
            Problem(path, f"{show(leaf.parameter)} can never take this value: it {objection}")
            for path, value in leaf.operands
            if (objection := domain.objection(value)) is not None
        ]
        if not found and len({token(value) for _, value in leaf.operands}) < len(leaf.operands):
            found.append(Problem((leaf.operator,), "names a value twice"))
        if not leaf.operands:
            found.append(Problem((leaf.operator,), "needs at least one value"))
        return found
    return [Problem((leaf.operator,), text) for text in _order_objections(leaf, domain)]


def relation_problems(relation: Relation, domain: Domain, other: Domain) -> list[Problem]:
    """Why the values of the two parameters cannot be compared so; paths start at the relation."""
    place: Path = (relation.operator, "parameter")
    if relation.parameter == relation.other:
        return [Problem(place, f"compares {show(relation.parameter)} with itself")]
    if domain.numeric and other.numeric:
        return []
    if domain.numeric or other.numeric:
        return [Problem(place, "compares numbers with choices: both must be float or int, or both choices")]
    assert isinstance(domain, Choices)
    assert isinstance(other, Choices)
    if relation.operator == "equals":
        if {token(value) for value in domain.values}.isdisjoint(token(value) for value in other.values):
            return [Problem(place, "compares two parameters that have no value in common")]
        return []
    if not (domain.ordered and domain == other):
        return [Problem(place, "needs numbers, or two ordinals that have the same choices, to tell which is greater")]
    return []


def _order_objections(leaf: Leaf, domain: Domain) -> Iterator[str]:
    name, operand = show(leaf.parameter), leaf.operand
    if not domain.ordered:
        yield f"the values of {name} have no order: use equals or in"
    elif (objection := _operand_objection(operand, domain)) is not None:
        yield objection
    elif not _can_hold(leaf, domain):
        yield f"no value of {name} is {_SIGNS[leaf.operator]} {show(operand)}"


def _operand_objection(operand: object, domain: Domain) -> str | None:
    if domain.numeric:
        return scalar_objection(operand) if is_number(operand) else f"must be a number, got {show(operand)}"
    return domain.objection(operand)


def _can_hold(leaf: Leaf, domain: Domain) -> bool:
    if isinstance(domain, Discrete):
        return any(cells(leaf, domain))
    end = domain.high if leaf.operator in ("gt", "ge") else domain.low
    return _COMPARE[leaf.operator](end, leaf.operand)


def cells(leaf: Leaf, domain: Discrete[Any]) -> list[range]:
    """The cells of the parent for which the leaf is true, as disjoint ranges."""
    count = domain.count
    match leaf.operator:
        case "equals" | "in":
            chosen = [domain.cell(value) for _, value in leaf.operands]
            return [range(cell, cell + 1) for cell in chosen]
        case "gt" | "ge":
            return [range(domain.below(leaf.operand, inclusive=leaf.operator == "gt"), count)]
        case "lt" | "le":
            return [range(domain.below(leaf.operand, inclusive=leaf.operator == "le"))]


def compiled(condition: Condition, domains: Mapping[str, Domain]) -> Predicate:
    """The condition as a function of the active values, which must be canonical values of their domains."""
    match condition:
        case Leaf():
            return _compiled_leaf(condition, domains[condition.parameter])
        case Relation(name):
            return _compiled_relation(condition, domains[name])
        case AllOf(conditions):
            parts = [compiled(part, domains) for part in conditions]

            def all_hold(config: Config) -> bool:
                # a plain loop takes half the time of all() over a generator
                for holds in parts:  # noqa: SIM110
                    if not holds(config):
                        return False
                return True

            return all_hold
        case AnyOf(conditions):
            parts = [compiled(part, domains) for part in conditions]

            def any_holds(config: Config) -> bool:
                for holds in parts:  # noqa: SIM110  # as above
                    if holds(config):
                        return True
                return False

            return any_holds
        case Not(part):
            holds = compiled(part, domains)
            return lambda config: not holds(config)


def _compiled_leaf(leaf: Leaf, domain: Domain) -> Predicate:
    name, operand = leaf.parameter, leaf.operand
    if domain.numeric and leaf.operator in _COMPARE:
        compare = _COMPARE[leaf.operator]

        def is_beyond(config: Config) -> bool:
            value = config.get(name)
            return value is not None and compare(value, operand)

        return is_beyond

    # An absent value has the token of None, which is among no parameter's values.
    chosen = frozenset(_tokens(leaf, domain))
    return lambda config: token(config.get(name)) in chosen


def _compiled_relation(relation: Relation, domain: Domain) -> Predicate:
    left, right = relation.parameter, relation.other
    compare: Callable[[Any, Any], bool] = _COMPARE.get(relation.operator, operator.eq)
    rank: Callable[[Any], Any] | None = None  # None: the values themselves
    if isinstance(domain, Choices):
        rank = token if relation.operator == "equals" else domain.cell

    def holds(config: Config) -> bool:
        one, two = config.get(left), config.get(right)
        if one is None or two is None:
            return False
        return compare(one, two) if rank is None else compare(rank(one), rank(two))

    return holds


def _tokens(leaf: Leaf, domain: Domain) -> Iterator[tuple[bool, Hashable]]:
    """The tokens of the values for which a leaf that is no numeric comparison is true."""
    if leaf.operator in ("equals", "in"):
        for _, value in leaf.operands:
            yield token(domain.canonical(value))
    else:
        assert isinstance(domain, Discrete)
        for ran in cells(leaf, domain):
            for cell in ran:
                yield token(domain.value(cell))
