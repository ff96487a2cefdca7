"""Changing a space while a study runs, and keeping the trials that are still right in it.

    changes = [AddChoice("optimizer", "lion"), Widen("lr", high=1.0), Freeze("width", 64), Drop("dropout", 0.0)]
    revised = revise(space, changes)
    config = carry(old_config, changes, revised)     # None: not a config of the revised space

A revision is data: a list of changes, on the wire too (`spaces.changes`). `revise` answers a new space, checked like
any other; `carry` translates an old config, or says that it has no place. Nothing that was tried is reinterpreted: a
config is carried only when the objective would do the same with it as it did before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from spaces import conditions
from spaces.changes import Add, AddChoice, Change, Drop, Freeze, Narrow, Widen
from spaces.checks import unknown
from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not, Relation
from spaces.constraints import Constraint, Forbid, Linear
from spaces.errors import InvalidInput
from spaces.parameters import Categorical, Constant, Float, Integer, Ordinal, Parameter
from spaces.priors import Prior
from spaces.space import Space
from spaces.values import Config, Value, show, token


def revise(space: Space, changes: Sequence[Change]) -> Space:
    """The space after these changes, one after the other. Raises InvalidInput with the index of the change first in
    the path when one cannot be made, and as `Space` does when what comes out is not right."""
    for index, change in enumerate(changes):
        try:
            space = _changed(space, change)
        except InvalidInput as error:
            raise error.under(index) from error
    return space


def carry(config: Config, changes: Sequence[Change], revised: Space) -> dict[str, Value] | None:
    """The old config as one of the revised space; None when the old trial has no place there."""
    carried = dict(config)
    for change in changes:
        match change:
            case Freeze(name, value):
                if name in carried and token(carried[name]) != token(value):
                    return None
            case Drop(name, value):
                if name in carried and token(carried.pop(name)) != token(value):
                    return None
            case Add(added, backfill):
                if backfill is not None:
                    carried[added.name] = backfill
            case AddChoice() | Widen() | Narrow():
                pass  # the revised space says who is left
    active = revised.active(carried)
    backfilled = {change.parameter for change in changes if isinstance(change, Add)}
    carried = {name: value for name, value in carried.items() if name in active or name not in backfilled}
    try:
        revised.validate(carried)
    except InvalidInput:
        return None
    return {parameter.name: carried[parameter.name] for parameter in revised if parameter.name in carried}


def _changed(space: Space, change: Change) -> Space:
    if isinstance(change, Add):
        after = Space((*space.parameters, change.added), space.fidelity, space.constraints)
        if change.backfill is not None and (objection := change.added.domain.objection(change.backfill)) is not None:
            raise InvalidInput.at(("backfill",), objection)
        return after
    name = change.parameter
    if name not in space:
        raise InvalidInput.at((change.word,), unknown("parameter", name, [p.name for p in space.parameters]))
    parameter = space[name]
    match change:
        case AddChoice(_, choice, at):
            if not isinstance(parameter, Categorical | Ordinal):
                raise InvalidInput.at((change.word,), f"{show(name)} is {parameter.type}: it has no choices")
            place = len(parameter.choices) if at is None else at
            choices = (*parameter.choices[:place], choice, *parameter.choices[place:])
            weights = None if parameter.prior is None else parameter.prior.weights
            prior = parameter.prior
            if weights is not None:  # as likely as the middle one of the others
                middle = sorted(weights)[len(weights) // 2]
                prior = Prior(weights=(*weights[:place], middle, *weights[place:]))
            return _with(space, replace(parameter, choices=choices, prior=prior))
        case Widen(_, low, high):
            if not isinstance(parameter, Float | Integer):
                raise InvalidInput.at((change.word,), f"{show(name)} is {parameter.type}: it has no range")
            return _with(space, _widened(parameter, low, high))
        case Narrow(_, low, high):
            if not isinstance(parameter, Float | Integer):
                raise InvalidInput.at((change.word,), f"{show(name)} is {parameter.type}: it has no range")
            return _with(space, _narrowed(parameter, low, high))
        case Freeze(_, value):
            _require_value(parameter, value)
            canonical = parameter.domain.canonical(value)
            frozen = Constant(name, canonical, when=parameter.when, mutable=parameter.mutable)
            return _known(space, parameter, canonical, frozen)
        case Drop(_, value):
            _require_value(parameter, value)
            looked_at = [p.name for p in space.parameters if p.when is not None and name in p.when.mentions]
            bound = [str(index) for index, c in enumerate(space.constraints) if name in c.mentions]
            if parameter.when is not None and (looked_at or bound):
                advice = "other conditions or constraints look at it, and it is not always active: freeze it instead"
                raise InvalidInput.at((change.word,), advice)
            return _known(space, parameter, parameter.domain.canonical(value), None)


def _with(space: Space, parameter: Parameter) -> Space:
    return Space(
        tuple(parameter if p.name == parameter.name else p for p in space.parameters), space.fidelity, space.constraints
    )


def _require_value(parameter: Parameter, value: Value) -> None:
    if (objection := parameter.domain.objection(value)) is not None:
        raise InvalidInput.at(("value",), objection)


def _widened(parameter: Float | Integer, low: float | None, high: float | None) -> Parameter:
    if low is not None and low > parameter.low:
        raise InvalidInput.at(("low",), f"must be at most the present low ({parameter.low}), got {show(low)}")
    if high is not None and high < parameter.high:
        raise InvalidInput.at(("high",), f"must be at least the present high ({parameter.high}), got {show(high)}")
    widened: Parameter = replace(parameter, **_bounds(low, high))
    if parameter.step is not None:
        for end in (parameter.low, parameter.high):
            if widened.domain.objection(end) is not None:
                raise InvalidInput.at(("low",), f"must lead to the present low ({parameter.low}) in whole steps")
    return widened


def _narrowed(parameter: Float | Integer, low: float | None, high: float | None) -> Parameter:
    if low is not None and low < parameter.low:
        raise InvalidInput.at(("low",), f"must be at least the present low ({parameter.low}), got {show(low)}")
    if high is not None and high > parameter.high:
        raise InvalidInput.at(("high",), f"must be at most the present high ({parameter.high}), got {show(high)}")
    bounds = _bounds(low, high)
    whole = replace(parameter, **bounds, default=None, prior=None)  # the range is right before anything is moved
    if parameter.step is not None and whole.domain.objection(whole.low) is None:
        for name, end in bounds.items():
            if parameter.domain.objection(end) is not None:
                raise InvalidInput.at((name,), f"must be one of the present values, got {show(end)}")
    kept, prior = parameter.default, parameter.prior
    moved = None if kept is None else _nearest(kept, whole)
    believed = None if prior is None else prior.around(_nearest(prior.mode, whole), whole.domain)
    narrowed: Parameter = replace(parameter, **bounds, default=moved, prior=believed)
    return narrowed


def _nearest(value: Any, within: Float | Integer) -> Any:
    return min(max(value, within.low), within.high)


def _bounds(low: float | None, high: float | None) -> dict[str, Any]:
    return {name: value for name, value in (("low", low), ("high", high)) if value is not None}


def _known(space: Space, parameter: Parameter, value: Value, instead: Parameter | None) -> Space:
    """The space in which this parameter can only have this value, or is no more (then it was always active).

    What could never be active any more leaves too.
    """
    name = parameter.name
    gone: set[str] = set()

    def settle(comparison: Leaf | Relation) -> Condition | bool:
        if not gone.isdisjoint(comparison.mentions):
            return False
        if name not in comparison.mentions:
            return comparison
        if isinstance(comparison, Relation):
            return _settled_relation(space, comparison, name, value)
        return conditions.compiled(comparison, {name: parameter.domain})({name: value})

    def settle_activity(comparison: Leaf | Relation) -> Condition | bool:
        holds = settle(comparison)
        return Leaf(name, "equals", value) if holds is True and parameter.when is not None else holds

    before = -1
    while before != len(gone):
        before = len(gone)
        whens = {p.name: True if p.when is None else _simplified(p.when, settle_activity) for p in space.parameters}
        gone |= {one for one, when in whens.items() if when is False}
    parameters = []
    for present in space.parameters:
        remaining = whens[present.name]
        kept = instead if present.name == name else present
        if kept is not None and present.name not in gone:
            parameters.append(replace(kept, when=None if isinstance(remaining, bool) else remaining))
    settled = [
        _settled(constraint, parameter, value, instead, settle)
        for constraint in space.constraints
        if gone.isdisjoint(constraint.mentions)
    ]
    return Space(
        tuple(parameters), space.fidelity, tuple(constraint for constraint in settled if constraint is not None)
    )


def _settled(
    constraint: Constraint,
    parameter: Parameter,
    value: Value,
    instead: Parameter | None,
    settle: Callable[[Leaf | Relation], Condition | bool],
) -> Constraint | None:
    """The constraint once the value is known; None when it is kept by itself."""
    name = parameter.name
    if name not in constraint.mentions or (isinstance(constraint, Linear) and instead is not None):
        return constraint  # sums take constants
    if isinstance(constraint, Linear):
        assert isinstance(value, int | float)
        rest = {term: weight for term, weight in constraint.coefficients.items() if term != name}
        if rest:
            return Linear(rest, constraint.operator, constraint.bound - constraint.coefficients[name] * value)
        violated = not constraint.compiled({name: parameter.domain})({name: value})
        remaining: Condition | bool = violated
    else:
        remaining = _simplified(constraint.condition, settle)
    if remaining is False:
        return None
    if parameter.when is not None:  # the clause goes on to apply only while the parameter is active
        here = Leaf(name, "equals", value)
        return Forbid(here if remaining is True else AllOf((here, remaining)))
    if remaining is True:
        raise InvalidInput.at(("value",), f"breaks a constraint by itself: {constraint.described}")
    return Forbid(remaining)


def _settled_relation(space: Space, relation: Relation, name: str, value: Value) -> Condition | bool:
    """A relation with one side known: the other side compared with the value."""
    flipped: dict[str, Any] = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "equals": "equals"}
    mine = relation.parameter == name
    other = relation.other if mine else relation.parameter
    leaf = Leaf(other, flipped[relation.operator] if mine else relation.operator, value)
    return False if conditions.problems(leaf, space[other].domain) else leaf  # it can never hold, or it is one


def _simplified(condition: Condition, settle: Callable[[Leaf | Relation], Condition | bool]) -> Condition | bool:
    match condition:
        case Leaf() | Relation():
            return settle(condition)
        case Not(part):
            rest = _simplified(part, settle)
            return (not rest) if isinstance(rest, bool) else Not(rest)
        case AllOf(parts) | AnyOf(parts):
            settling = isinstance(condition, AnyOf)  # a part with this truth settles the join
            rests = [_simplified(part, settle) for part in parts]
            if any(rest is settling for rest in rests):
                return settling
            unsettled = tuple(rest for rest in rests if not isinstance(rest, bool))
            if len(unsettled) > 1:
                return type(condition)(unsettled)
            return unsettled[0] if unsettled else not settling
