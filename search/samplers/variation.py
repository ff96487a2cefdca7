"""Variation of configs: the neighbours of one, and the child of two.

A value that is kept stays as it is; a parameter that only the child has is drawn from the prior (uniformly where there
is none). What constraints forbid is made again, and in the end repaired. So is an architecture that cannot be trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from search.history import Config, Value
from spaces import Space
from spaces.architectures import Architecture, of_space
from spaces.domain import Choices, Domain

SPREAD = 0.25
TRIES = 50


def perturbed(space: Space, config: Config, rng: np.random.Generator, rate: float = 0.5) -> Config:
    """A neighbour of a config: each active parameter moves with probability `rate`, and something changes.

    Parameters that are constant or inactive take no numbers from `rng`: they change nothing for the others.
    """
    genes = _genes(space, config)

    def neighbour() -> Config:
        moved = {gene: _moved(space[gene].domain, config[gene], rng) for gene in genes if rng.random() < rate}
        if all(value == config[gene] for gene, value in moved.items()):
            return config
        return space.replace(config, moved, np.random.default_rng(rng.integers(2**63)))

    return _first_legal(space, neighbour, config, rng)


def mutated(space: Space, config: Config, rng: np.random.Generator) -> Config:
    """A child of a config: one of its active parameters, each as likely as the others, takes another value near by.

    Where that is one of an architecture, an edit of the architecture follows instead: one operation or one edge, both
    kinds as likely (Real et al. 2019), then each place where that can be, then each way of doing it.
    """
    genes = _genes(space, config)
    if not genes:
        return dict(config)
    architecture = of_space(space)
    own = frozenset[str]() if architecture is None else frozenset(each["name"] for each in architecture.parameters())

    def child() -> Config:
        gene = genes[rng.integers(len(genes))]
        if architecture is not None and gene in own:
            return space.replace(config, edit(architecture, config, rng), rng)
        value = config[gene]
        for _ in range(TRIES):
            if value != config[gene]:
                break
            value = _moved(space[gene].domain, config[gene], rng)
        return space.replace(config, {gene: value}, rng)

    return _first_legal(space, child, config, rng)


def edit(architecture: Architecture, config: Config, rng: np.random.Generator) -> Config:
    """What one mutation of the architecture replaces. It has a choice that is not made for it."""
    kinds = list(architecture.edits(config).values())
    places = kinds[rng.integers(len(kinds))]
    edits = places[rng.integers(len(places))]
    return edits[rng.integers(len(edits))]


def crossed(space: Space, one: Config, other: Config, rng: np.random.Generator) -> Config:
    """A child of two configs: each value from one of them at random, or from the one that has it."""

    def child() -> Config:
        from_one = dict(zip((p.name for p in space.parameters), rng.random(len(space)) < 0.5, strict=True))
        mixture = {**one, **{name: value for name, value in other.items() if name not in one or not from_one[name]}}
        return space.replace(mixture, {}, rng)

    return _first_legal(space, child, {}, rng)


def _genes(space: Space, config: Config) -> list[str]:
    """The active parameters that have more than one value, in declared order: that of a config's keys says nothing."""
    return [each.name for each in space.parameters if each.name in config and each.domain.count != 1]


def _first_legal(space: Space, make: Callable[[], Config], unlike: Config, rng: np.random.Generator) -> Config:
    """Makes configs until one is allowed, can be trained and is not the given one; repairs the last one."""
    architecture = of_space(space)
    for _ in range(TRIES):
        config = make()
        if config != unlike and space.allows(config) and (architecture is None or not architecture.objection(config)):
            return config
    return space.repair(config, rng)


def _moved(domain: Domain, value: Any, rng: np.random.Generator) -> Value:
    """Another choice, uniformly; where there is an order, what lies at N(u, SPREAD), truncated to [0, 1]; that may be
    in the same cell."""
    if isinstance(domain, Choices) and not domain.ordered:
        step = 1 + int(rng.integers(domain.count - 1)) if domain.count > 1 else 0
        return domain.value((domain.cell(value) + step) % domain.count)
    centre = domain.to_unit(value)
    while not 0.0 <= (u := float(rng.normal(centre, SPREAD))) <= 1.0:
        pass
    return domain.from_unit(u)
