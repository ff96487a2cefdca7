"""Why no config keeps the constraints of a space: the few of them, and the bounds, that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from spaces.constraints import Constraint
from spaces.domain import Choices
from spaces.parameters import Parameter
from spaces.program import Model
from spaces.values import show


def contradiction(parameters: Sequence[Parameter], constraints: Sequence[Constraint], margin: float = 0.0) -> list[int]:
    """The constraints (by index) that contradict each other, all of them needed for it; empty when all can hold.

    Without a `margin` it is a proof; with one, they can at most hold on the edges of what they rule out.
    """

    def contradict(chosen: Sequence[int]) -> bool:
        return Model(parameters, [constraints[index] for index in chosen], margin).is_infeasible

    core = list(range(len(constraints)))
    if not contradict(core):
        return []
    for index in list(core):
        without = [other for other in core if other != index]
        if contradict(without):
            core = without
    return core


def explained(
    parameters: Sequence[Parameter], constraints: Sequence[Constraint], core: Sequence[int], margin: float = 0.0
) -> str:
    """A contradiction in words, with the bounds of parameters that it hangs on."""
    chosen = [constraints[index] for index in core]
    mentioned = frozenset().union(*(constraint.mentions for constraint in chosen))
    loosened: frozenset[tuple[str, str]] = frozenset()
    matters: list[str] = []
    for parameter in parameters:
        if parameter.name not in mentioned or isinstance(parameter.domain, Choices):
            continue
        for end, sign in (("low", ">="), ("high", "<=")):
            without = loosened | {(parameter.name, end)}
            if Model(parameters, chosen, margin, without).is_infeasible:
                loosened = without
            else:
                matters.append(f"{parameter.name} {sign} {show(getattr(parameter.domain, end))}")
    said = " and ".join(f"constraints[{index}] ({constraints[index].described})" for index in core)
    because = f" together with {', '.join(matters)}" if matters else ""
    return f"no config can keep {said}{because}: loosen one of these"
