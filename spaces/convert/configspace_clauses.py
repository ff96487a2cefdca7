"""Conditions and forbidden clauses in ConfigSpace's words, and back.

The libraries agree on comparisons and on `and` and `or` of them. They part where something is inactive: there, a child
is inactive in ConfigSpace, while `not` of a comparison holds here; and a clause is not violated here as soon as one of
its parameters is inactive, while ConfigSpace looks at each comparison by itself. So `not`, and `or` in a clause, pass
only where every parameter involved is always active.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spaces import conditions
from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not, Relation
from spaces.constraints import Constraint, Forbid, Linear
from spaces.convert import Findings
from spaces.convert.configspace_parameters import plain
from spaces.domain import Choices, Discrete
from spaces.errors import Inexpressible, InvalidInput, Path
from spaces.parameters import Parameter
from spaces.space import Space

MAX_LISTED = 1_000  # values of one comparison


class Clauses:
    """Writes the conditions and constraints of a space; `made` are its hyperparameters by name."""

    def __init__(self, library: Any, space: Space, made: Mapping[str, Any], findings: Findings) -> None:
        self._library = library
        self._space = space
        self._made = made
        self._findings = findings

    def add_condition(self, target: Any, parameter: Parameter, path: Path) -> None:
        assert parameter.when is not None
        try:
            target.add(self._condition(self._made[parameter.name], parameter.when, holds=True))
        except InvalidInput as error:
            for problem in error.problems:
                self._findings.lost("conditions", path, problem.message)
        except (ValueError, self._library.exceptions.AmbiguousConditionError) as error:
            self._findings.lost("conditions", path, f"ConfigSpace refuses it: {error}")

    def add_constraint(self, target: Any, constraint: Constraint, path: Path) -> None:
        if self._findings.accepts("constraints"):
            return
        if isinstance(constraint, Linear):
            self._findings.lost("constraints", path, "ConfigSpace has no sums of parameters")
            return
        try:
            for clause in self._clauses(constraint.condition):
                target.add(clause)
        except InvalidInput as error:
            for problem in error.problems:
                self._findings.lost("constraints", path, problem.message)
        except (ValueError, TypeError) as error:
            self._findings.lost("constraints", path, f"ConfigSpace refuses it: {error}")

    # conditions

    def _condition(self, child: Any, condition: Condition, *, holds: bool) -> Any:
        """What makes the child active: that the condition holds, or that it does not."""
        match condition:
            case Not(part):
                return self._condition(child, part, holds=not holds)
            case AllOf(parts) | AnyOf(parts):
                together = isinstance(condition, AllOf) is holds
                written = [self._condition(child, part, holds=holds) for part in parts]
                if len(written) == 1:
                    return written[0]
                join = self._library.AndConjunction if together else self._library.OrConjunction
                return join(*written)
            case Leaf():
                if not holds:
                    self._require_active(condition.mentions, "not")
                return self._leaf(child, condition, holds=holds)
            case Relation():
                raise AssertionError("no parameter is active by a relation")

    def _leaf(self, child: Any, leaf: Leaf, *, holds: bool) -> Any:
        library, parent, domain = self._library, self._made[leaf.parameter], self._space[leaf.parameter].domain
        if not isinstance(domain, Discrete):
            if leaf.operator == "equals":
                kind = library.EqualsCondition if holds else library.NotEqualsCondition
                return kind(child, parent, leaf.operand)
            strict = {("gt", True): "gt", ("le", False): "gt", ("lt", True): "lt", ("ge", False): "lt"}
            operator = strict.get((leaf.operator, holds))
            if operator is None:
                raise Inexpressible.at((), "ConfigSpace compares floats with < and > only, without the bound itself")
            kind = library.GreaterThanCondition if operator == "gt" else library.LessThanCondition
            return kind(child, parent, leaf.operand)
        runs = _runs(leaf, domain, holds=holds)
        if not runs:
            raise Inexpressible.at((), f"never holds: {conditions.described(leaf)}")
        first, last = runs[0].start, runs[-1].stop - 1
        if len(runs) == 1 and first < last and (domain.ordered if isinstance(domain, Choices) else True):
            if first > 0 and last == domain.count - 1:
                return library.GreaterThanCondition(child, parent, domain.value(first - 1))
            if first == 0 and last < domain.count - 1:
                return library.LessThanCondition(child, parent, domain.value(last + 1))
        values = _listed(runs, domain)
        if len(values) == 1:
            return library.EqualsCondition(child, parent, values[0])
        return library.InCondition(child, parent, values)

    # clauses

    def _clauses(self, condition: Condition) -> list[Any]:
        """One forbidden clause for each way to fulfil the condition."""
        ways = self._ways(condition, holds=True)
        if len(ways) > 1:
            self._require_active(condition.mentions, "any")
        return [way[0] if len(way) == 1 else self._library.ForbiddenAndConjunction(*way) for way in ways]

    def _ways(self, condition: Condition, *, holds: bool) -> list[list[Any]]:
        """The disjunctive normal form: any of these lists of clauses, all of it together."""
        match condition:
            case Not(part):
                return self._ways(part, holds=not holds)
            case AllOf(parts) | AnyOf(parts):
                each = [self._ways(part, holds=holds) for part in parts]
                if isinstance(condition, AllOf) is not holds:
                    return [way for ways in each for way in ways]
                ways: list[list[Any]] = [[]]
                for others in each:
                    ways = [[*way, *other] for way in ways for other in others]
                    if len(ways) > MAX_LISTED:
                        raise Inexpressible.at((), f"takes more than {MAX_LISTED} forbidden clauses")
                return ways
            case Leaf():
                if not holds:
                    self._require_active(condition.mentions, "not")
                return [[self._forbidden_leaf(condition, holds=holds)]]
            case Relation():
                if not holds:
                    self._require_active(condition.mentions, "not")
                return [[self._forbidden_relation(condition, holds=holds)]]

    def _forbidden_leaf(self, leaf: Leaf, *, holds: bool) -> Any:
        library, parameter, domain = self._library, self._made[leaf.parameter], self._space[leaf.parameter].domain
        if isinstance(domain, Discrete):
            values = _listed(_runs(leaf, domain, holds=holds), domain)
            if len(values) == 1:
                return library.ForbiddenEqualsClause(parameter, values[0])
            return library.ForbiddenInClause(parameter, values)
        if leaf.operator == "equals" and holds:
            return library.ForbiddenEqualsClause(parameter, leaf.operand)
        strict = {("gt", True): "Greater", ("le", False): "Greater", ("lt", True): "Less", ("ge", False): "Less"}
        side = strict.get((leaf.operator, holds))
        kind = None if side is None else getattr(library, f"Forbidden{side}ThanClause", None)
        if kind is None:
            raise Inexpressible.at((), "ConfigSpace forbids floats with < and > only, without the bound itself")
        return kind(parameter, leaf.operand)

    def _forbidden_relation(self, relation: Relation, *, holds: bool) -> Any:
        opposite: dict[str, str] = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}
        operator: str | None = relation.operator if holds else opposite.get(relation.operator)
        names = {
            "equals": "ForbiddenEqualsRelation",
            "gt": "ForbiddenGreaterThanRelation",
            "lt": "ForbiddenLessThanRelation",
            "ge": "ForbiddenGreaterThanEqualsRelation",
            "le": "ForbiddenLessThanEqualsRelation",
        }
        kind = None if operator is None else getattr(self._library, names[operator], None)
        if kind is None:
            raise Inexpressible.at((), f"ConfigSpace has no relation that says {conditions.described(relation)}")
        if isinstance(self._space[relation.parameter].domain, Choices) and relation.operator != "equals":
            raise Inexpressible.at((), "ConfigSpace compares ordinals by their values, not by their order")
        return kind(self._made[relation.parameter], self._made[relation.other])

    def _require_active(self, names: frozenset[str], what: str) -> None:
        for name in sorted(names):
            if self._space[name].when is not None:
                raise Inexpressible.at((), f"{what!r} means something else in ConfigSpace while {name} is inactive")


def read_condition(library: Any, given: Any) -> Condition:
    """A condition of ConfigSpace; raises InvalidInput for what has no counterpart."""
    match given:
        case library.AndConjunction():
            return AllOf(tuple(read_condition(library, part) for part in given.components))
        case library.OrConjunction():
            return AnyOf(tuple(read_condition(library, part) for part in given.components))
        case library.InCondition():
            values = tuple(plain(value) for value in given.values)
            return Leaf(given.parent.name, "in", values) if len(values) > 1 else _equals(given.parent, values[0])
        case library.EqualsCondition():
            return _equals(given.parent, given.value)
        case library.NotEqualsCondition():
            return _differs(given.parent, plain(given.value))
        case library.GreaterThanCondition():
            return Leaf(given.parent.name, "gt", plain(given.value))
        case library.LessThanCondition():
            return Leaf(given.parent.name, "lt", plain(given.value))
    raise InvalidInput.at(("condition",), f"has no counterpart here: {type(given).__name__}")


def read_clause(library: Any, given: Any) -> list[Forbid]:
    """A forbidden clause of ConfigSpace: a constraint for each way to violate it."""
    return [Forbid(way[0] if len(way) == 1 else AllOf(tuple(way))) for way in _ways_of(library, given)]


def _ways_of(library: Any, given: Any) -> list[list[Condition]]:
    joined = type(given).__name__
    if joined == "ForbiddenAndConjunction":
        ways: list[list[Condition]] = [[]]
        for part in given.components:
            ways = [[*way, *other] for way in ways for other in _ways_of(library, part)]
        return ways
    if joined == "ForbiddenOrConjunction":
        return [way for part in given.components for way in _ways_of(library, part)]
    relations: dict[str, conditions.Operator] = {
        "ForbiddenEqualsRelation": "equals",
        "ForbiddenGreaterThanRelation": "gt",
        "ForbiddenLessThanRelation": "lt",
        "ForbiddenGreaterThanEqualsRelation": "ge",
        "ForbiddenLessThanEqualsRelation": "le",
    }
    leaves: dict[str, conditions.Operator] = {
        "ForbiddenEqualsClause": "equals",
        "ForbiddenGreaterThanClause": "gt",
        "ForbiddenLessThanClause": "lt",
        "ForbiddenGreaterThanEqualsClause": "ge",
        "ForbiddenLessThanEqualsClause": "le",
    }
    if joined in relations:
        return [[Relation(given.left.name, relations[joined], given.right.name)]]
    if joined in leaves:
        return [[Leaf(given.hyperparameter.name, leaves[joined], plain(given.value))]]
    if joined == "ForbiddenInClause":
        return [[Leaf(given.hyperparameter.name, "in", tuple(plain(value) for value in given.values))]]
    raise InvalidInput.at((), f"has no counterpart here: {joined}")


def _equals(parent: Any, value: Any) -> Leaf:
    return Leaf(parent.name, "equals", plain(value))


def _differs(parent: Any, value: Any) -> Condition:
    """Not equal, and active: `not` alone would hold for an inactive parent too."""
    values = getattr(parent, "choices", None) or getattr(parent, "sequence", None)
    if values is None:
        return AnyOf((Leaf(parent.name, "lt", value), Leaf(parent.name, "gt", value)))
    others = tuple(plain(other) for other in values if other != value)
    return Leaf(parent.name, "in", others) if len(others) > 1 else Leaf(parent.name, "equals", others[0])


def _runs(leaf: Leaf, domain: Discrete[Any], *, holds: bool) -> list[range]:
    """The cells for which the leaf holds, or does not: in order, neighbours together."""
    edges = [0, domain.count] if not holds else []
    for cells in conditions.cells(leaf, domain):
        edges += [cells.start, cells.stop]
    # an edge that is met twice is none; between the others, every second stretch
    turning = sorted(edge for edge in set(edges) if edges.count(edge) % 2)
    return [range(start, stop) for start, stop in zip(turning[::2], turning[1::2], strict=True)]


def _listed(runs: Sequence[range], domain: Discrete[Any]) -> list[Any]:
    if sum(len(cells) for cells in runs) > MAX_LISTED:
        raise Inexpressible.at((), f"takes a list of more than {MAX_LISTED} values")
    return [domain.value(cell) for cells in runs for cell in cells]
