"""How many configs a space has, counted along its conditions and not by listing them.

Two ideas. *Fold*: a parameter that looks at one parent only, and at which nobody looks, is a factor on each state of
that parent (inactive, or a class of values that no condition tells apart); folding from the youngest up takes trees of
conditions in linear time. *Branch*: what is left is decided one parameter at a time, each class of values followed once
with its weight; after each decision the rest falls apart into components that share no condition, which multiply, and
a component that is met again is not counted again. Only conditions that entangle many parameters with each other stay
costly (counting is #P-hard in general): beyond `MAX_WORK`, the space is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from spaces import conditions
from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not, Relation
from spaces.domain import Discrete
from spaces.errors import InvalidInput
from spaces.parameters import Parameter

MAX_WORK = 100_000  # undecided parameters looked at, over all branches: about a second

Residual = Condition | bool  # what is left of a condition once some parents are decided
Component = tuple[tuple[int, Residual], ...]  # undecided parameters (by index) that hang together, parents first
Branch = tuple[int, list[Component]]  # how many ways lead here, and what is still to be decided then


@dataclass
class _State:
    """A parameter being inactive, or having one of the values for which just the `true` leaves on it hold.

    `weight` counts its values times the configs of what was folded into it; None is infinite.
    """

    weight: int | None
    true: frozenset[Leaf]


@dataclass
class _Node:
    inactive: _State
    active: list[_State]

    @property
    def states(self) -> list[_State]:
        return [self.inactive, *self.active]


def size(parameters: Sequence[Parameter], order: Sequence[int]) -> int | None:
    """The exact number of configs; None when it is infinite: when a float without a step can be active.

    `order` lists the indices of the parameters, parents first. Raises InvalidInput when the conditions are too
    entangled to be counted.
    """
    if any(parameter.when is None and parameter.domain.count is None for parameter in parameters):
        return None
    nodes = _nodes(parameters)
    undecided: list[tuple[int, Residual]] = [
        (index, True if (when := parameters[index].when) is None else when) for index in _fold(parameters, order, nodes)
    ]
    branching = _Branching(parameters, nodes)
    whole = branching.components(undecided)

    # Depth first with a stack of its own: conditions may be as deep as there are parameters.
    known: dict[Component, int] = {}
    stack = list(whole)
    while stack:
        component = stack[-1]
        branches = branching.of(component)
        if branches is None:
            return None
        missing = [part for _, parts in branches for part in parts if part not in known]
        if missing:
            stack += missing
        else:
            known[stack.pop()] = sum(weight * math.prod(known[part] for part in parts) for weight, parts in branches)
    return math.prod(known[component] for component in whole)


def _nodes(parameters: Sequence[Parameter]) -> list[_Node]:
    leaves: dict[str, dict[Leaf, None]] = {parameter.name: {} for parameter in parameters}
    for parameter in parameters:
        if parameter.when is not None:
            for leaf in conditions.leaves(parameter.when):
                leaves[leaf.parameter][leaf] = None
    nothing: frozenset[Leaf] = frozenset()  # every leaf on an inactive parameter is false
    return [
        _Node(
            inactive=_State(1, nothing),
            active=list(_classes(parameter.domain, leaves[parameter.name]))
            if isinstance(parameter.domain, Discrete)
            else [_State(None, nothing)],
        )
        for parameter in parameters
    ]


def _classes(domain: Discrete[Any], leaves: Mapping[Leaf, None]) -> Iterator[_State]:
    """The classes of values that no leaf tells apart."""
    turning: dict[int, set[Leaf]] = {0: set(), domain.count: set()}  # cell -> the leaves whose truth changes there
    for leaf in leaves:
        for cells in conditions.cells(leaf, domain):
            turning.setdefault(cells.start, set()).symmetric_difference_update((leaf,))
            turning.setdefault(cells.stop, set()).symmetric_difference_update((leaf,))
    weights: Counter[frozenset[Leaf]] = Counter()
    true: frozenset[Leaf] = frozenset()
    for start, stop in pairwise(sorted(turning)):
        true ^= turning[start]
        weights[true] += stop - start
    for true, weight in weights.items():
        yield _State(weight, true)


def _fold(parameters: Sequence[Parameter], order: Sequence[int], nodes: Sequence[_Node]) -> list[int]:
    """Multiplies into their parents all that can be; answers the indices of the rest, parents first."""
    index_of = {parameter.name: index for index, parameter in enumerate(parameters)}
    watchers = Counter(name for p in parameters if p.when is not None for name in p.when.mentions)
    rest: list[int] = []
    for index in reversed(order):
        parameter, node = parameters[index], nodes[index]
        if watchers[parameter.name] or parameter.when is None or len(parameter.when.mentions) > 1:
            rest.append(index)
            continue
        (parent,) = parameter.when.mentions
        total = _sum(state.weight for state in node.active)
        for state in nodes[index_of[parent]].states:
            holds = _assign(parameter.when, parent, state.true)
            state.weight = _product(state.weight, total if holds else node.inactive.weight)
        watchers[parent] -= 1
    return rest[::-1]


def _sum(weights: Iterator[int | None]) -> int | None:
    total = 0
    for weight in weights:
        if weight is None:
            return None
        total += weight
    return total


def _product(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


class _Branching:
    """What deciding one parameter of a component leads to, for each of its states."""

    def __init__(self, parameters: Sequence[Parameter], nodes: Sequence[_Node]) -> None:
        self._names = [parameter.name for parameter in parameters]
        self._index_of = {name: index for index, name in enumerate(self._names)}
        self._nodes = nodes
        self._known: dict[Component, list[Branch] | None] = {}
        self._work = 0

    def of(self, component: Component) -> list[Branch] | None:
        """None when there are infinitely many ways through this component."""
        if component not in self._known:
            self._known[component] = self._decide(component)
        return self._known[component]

    def _decide(self, component: Component) -> list[Branch] | None:
        # Of those whose own activity is settled, one that most others look at, and of these the middle one: it lets the
        # rest fall apart soonest, a long chain into halves.
        watchers = Counter(name for _, residual in component for name in _mentions(residual))
        settled = [(index, residual) for index, residual in component if isinstance(residual, bool)]
        most = max(watchers[self._names[index]] for index, _ in settled)
        candidates = [item for item in settled if watchers[self._names[item[0]]] == most]
        chosen, active = candidates[len(candidates) // 2]
        states = self._nodes[chosen].active if active else [self._nodes[chosen].inactive]
        self._work += len(component) * len(states)
        if self._work > MAX_WORK:
            advice = "the conditions entangle too many parameters with each other: let each look at fewer"
            raise InvalidInput.at(("parameters",), advice)
        branches: list[Branch] = []
        for state in states:
            if state.weight is None:
                return None
            rest = [
                (index, _assign(residual, self._names[chosen], state.true))
                for index, residual in component
                if index != chosen
            ]
            branches.append((state.weight, self.components(rest)))
        return branches

    def components(self, undecided: Sequence[tuple[int, Residual]]) -> list[Component]:
        """Splits parameters into those that hang together by what is left of their conditions."""
        leader = {index: index for index, _ in undecided}

        def find(index: int) -> int:
            while leader[index] != index:
                leader[index] = leader[leader[index]]
                index = leader[index]
            return index

        for index, residual in undecided:
            for name in _mentions(residual):
                leader[find(index)] = find(self._index_of[name])
        groups: dict[int, list[tuple[int, Residual]]] = {}
        for index, residual in undecided:
            groups.setdefault(find(index), []).append((index, residual))
        return [tuple(group) for group in groups.values()]


def _mentions(residual: Residual) -> frozenset[str]:
    return frozenset() if isinstance(residual, bool) else residual.mentions


def _assign(residual: Residual, name: str, true: frozenset[Leaf]) -> Residual:
    """What is left of a condition when, of the leaves on the parameter of this name, exactly these are true."""
    if isinstance(residual, bool) or name not in residual.mentions:
        return residual
    match residual:
        case Leaf():
            return residual in true
        case Relation():
            raise AssertionError("no parameter is active by a relation")
        case Not(part):
            rest = _assign(part, name, true)
            return (not rest) if isinstance(rest, bool) else Not(rest)
        case AllOf(parts) | AnyOf(parts):
            settling = isinstance(residual, AnyOf)  # a part with this truth settles the join
            rests = [_assign(part, name, true) for part in parts]
            unsettled = tuple(rest for rest in rests if not isinstance(rest, bool))
            if any(rest is settling for rest in rests):
                return settling
            if len(unsettled) > 1:
                return type(residual)(unsettled)
            return unsettled[0] if unsettled else not settling
