"""What a one-shot search of a space may come to.

A supernet weighs the operations of every edge by themselves, with the parameters beside the architecture as they are by
default. So a choice that no config has then, by the constraints of the space, is one that the space does not have; what
ties several choices together stays with the architecture, for its results to keep.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from spaces.architectures.base import Architecture
from spaces.architectures.expansion import of_space
from spaces.architectures.one_shot import OneShot
from spaces.architectures.ties import Ties
from spaces.checks import Fields
from spaces.space import Space


@lru_cache(maxsize=64)
def searched(space: Space) -> Architecture | None:
    """The architecture of the space, as `of_space` finds it. One with a supernet has only the choices that constraints
    leave it where the other parameters have their defaults, and knows the constraints."""
    architecture = of_space(space)
    if not isinstance(architecture, OneShot):
        return architecture
    ties = Ties(space, frozenset(parameter["name"] for parameter in architecture.parameters()))
    if not ties.mentioned:
        return architecture
    left = {
        gene.rest: [value for value in gene.choices if ties.possible(f"{architecture.name}.{gene.rest}", value)]
        for gene in architecture.genes
    }
    return replace(architecture.restricted(left, Fields({})), ties=ties)
