"""How the parameters of a space hang together: names, parents, and an order in which parents come first.

Works on declarations, so that a parameter with a field that is wrong still counts as somebody's parent, and one reading
finds what is wrong everywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spaces import conditions
from spaces.checks import unknown
from spaces.conditions import Condition, Relation
from spaces.constraints import Constraint, Forbid
from spaces.domain import Domain
from spaces.errors import Path, Problem
from spaces.values import show

MAX_PARAMETERS = 1_000
MAX_LEAVES = 1_000  # per condition
MAX_CONSTRAINTS = 1_000


@dataclass(frozen=True)
class Declaration:
    """What is known of a parameter; None for what could not be read."""

    name: str | None
    domain: Domain | None
    when: Condition | None


def problems(
    declared: Sequence[Declaration],
    fidelity: str | None,
    constraints: Sequence[Constraint | None],
    places: Sequence[int] | None = None,
) -> list[Problem]:
    """What is wrong between the parameters; paths are relative to the space. Messages name a parameter by its place in
    what the user wrote, if `places` has it: the index, unless something was written out."""
    if not declared:
        return [Problem(("parameters",), "needs at least one parameter")]
    if len(declared) > MAX_PARAMETERS:
        return [Problem(("parameters",), too_many(len(declared)))]
    if len(constraints) > MAX_CONSTRAINTS:
        return [Problem(("constraints",), too_many_constraints(len(constraints)))]
    first = _first_of_each_name(declared)
    return [
        *_name_problems(declared, first, fidelity, places or range(len(declared))),
        *_activity_problems(declared, first, fidelity),
        *_cycle_problems(declared, first),
        *_constraint_problems(declared, first, fidelity, constraints),
    ]


def too_many(count: int) -> str:
    return f"must have at most {MAX_PARAMETERS} parameters, got {count}"


def too_many_constraints(count: int) -> str:
    return f"must have at most {MAX_CONSTRAINTS} constraints, got {count}"


def topological_order(declared: Sequence[Declaration]) -> list[int]:
    """The indices of the parameters, each after its parents, and otherwise as declared; those on a cycle, and those
    that hang on one, are left out. Parents that nobody declares are ignored."""
    index_of = _first_of_each_name(declared)
    parents = [_parents(declaration, index_of) for declaration in declared]
    children: list[list[int]] = [[] for _ in declared]
    for child, its_parents in enumerate(parents):
        for parent in its_parents:
            children[parent].append(child)
    waiting_for = [len(its_parents) for its_parents in parents]
    ready = [index for index, number in enumerate(waiting_for) if not number]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for child in children[index]:
            waiting_for[child] -= 1
            if not waiting_for[child]:
                heapq.heappush(ready, child)
    return order


def _first_of_each_name(declared: Sequence[Declaration]) -> dict[str, int]:
    first: dict[str, int] = {}
    for index, declaration in enumerate(declared):
        if declaration.name is not None:
            first.setdefault(declaration.name, index)
    return first


def _parents(declaration: Declaration, index_of: Mapping[str, int]) -> list[int]:
    if declaration.when is None:
        return []
    return sorted({index_of[name] for name in declaration.when.mentions if name in index_of})


def _name_problems(
    declared: Sequence[Declaration], first: Mapping[str, int], fidelity: str | None, places: Sequence[int]
) -> Iterator[Problem]:
    for index, declaration in enumerate(declared):
        name, path = declaration.name, ("parameters", index, "name")
        if name is None:
            continue
        if first[name] != index:
            yield Problem(path, f"repeats the name of parameters[{places[first[name]]}], {show(name)}")
        if name == fidelity:
            yield Problem(path, f"is the name of the fidelity, {show(name)}: the algorithm sets it, not the config")


def _activity_problems(
    declared: Sequence[Declaration], first: Mapping[str, int], fidelity: str | None
) -> Iterator[Problem]:
    for index, declaration in enumerate(declared):
        if declaration.when is not None:
            path = ("parameters", index, "when")
            for place, comparison in conditions.comparisons(declaration.when, path):
                if isinstance(comparison, Relation):
                    yield Problem((*place, comparison.operator), "must be a value: only constraints compare parameters")
            yield from _comparison_problems(declaration.when, path, declared, first, fidelity)


def _constraint_problems(
    declared: Sequence[Declaration],
    first: Mapping[str, int],
    fidelity: str | None,
    constraints: Sequence[Constraint | None],
) -> Iterator[Problem]:
    for index, constraint in enumerate(constraints):
        path: Path = ("constraints", index)
        match constraint:
            case None:
                continue
            case Forbid(condition):
                yield from _comparison_problems(condition, (*path, "forbid"), declared, first, fidelity)
            case _:
                for name in constraint.coefficients:
                    place = (*path, "linear", name)
                    if name not in first:
                        yield Problem(place, _unknown_parent(name, first, fidelity))
                    elif (domain := declared[first[name]].domain) is not None:
                        yield from (problem.under(*place) for problem in constraint.problems(name, domain))


def _comparison_problems(
    condition: Condition,
    path: Path,
    declared: Sequence[Declaration],
    first: Mapping[str, int],
    fidelity: str | None,
) -> Iterator[Problem]:
    found = list(conditions.comparisons(condition, path))
    if len(found) > MAX_LEAVES:
        yield Problem(path, f"must compare at most {MAX_LEAVES} times, got {len(found)}")
        return
    for place, comparison in found:
        names = [((*place, "parameter"), comparison.parameter)]
        if isinstance(comparison, Relation):
            names.append(((*place, comparison.operator, "parameter"), comparison.other))
        unknown_names = [(at, name) for at, name in names if name not in first]
        for at, name in unknown_names:
            yield Problem(at, _unknown_parent(name, first, fidelity))
        domains = [declared[first[name]].domain for _, name in names if name in first]
        if unknown_names or None in domains:
            continue
        known = [domain for domain in domains if domain is not None]
        if isinstance(comparison, Relation):
            yield from (p.under(*place) for p in conditions.relation_problems(comparison, *known))
        else:
            yield from (p.under(*place) for p in conditions.problems(comparison, *known))


def _unknown_parent(name: str, first: Mapping[str, int], fidelity: str | None) -> str:
    if name == fidelity:
        return f"{show(name)} is the fidelity: a condition can only look at parameters"
    return unknown("parameter", name, first.keys())


def _cycle_problems(declared: Sequence[Declaration], first: Mapping[str, int]) -> Iterator[Problem]:
    """One problem per cycle. Whoever has no place in the topological order has a parent without one: follow them."""
    unordered = set(range(len(declared))) - set(topological_order(declared))
    parent = {
        index: next(up for up in _parents(declared[index], first) if up in unordered) for index in sorted(unordered)
    }
    seen: set[int] = set()
    for start in parent:
        walk: list[int] = []
        index = start
        while index not in seen:
            seen.add(index)
            walk.append(index)
            index = parent[index]
        if index in walk:
            cycle = walk[walk.index(index) :]
            names = " -> ".join(show(declared[step].name) for step in (*cycle, cycle[0]))
            yield Problem(("parameters", cycle[0], "when"), f"is part of a cycle, each looks at the next: {names}")
