"""Small steps from a config to others: replacing values, one-gene mutation, and the one-exchange neighbourhood.

Whenever a value changes, children that lose their parent leave, and those that become active are drawn from the prior
(uniformly where there is none). What constraints forbid is never returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.domain import Choices, Discrete, Domain
from spaces.values import Config, Value

if TYPE_CHECKING:
    from spaces.space import Space

MAX_TRIES = 200
MAX_REPAIRS = 8


def replaced(space: Space, config: Config, values: Config, rng: np.random.Generator) -> dict[str, Value]:
    """The config with these values, which must lie in their domains; takes one number per parameter from `rng`."""
    point = rng.random(len(space.parameters))
    if space.has_prior:
        point = space.prior.quantile(point[None])[0]
    return space.complete({**config, **values}, point)


def mutated(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """One active parameter with more than one value, chosen uniformly, takes a uniformly drawn other value.

    Tries again while constraints forbid the result. Where they tie parameters so that none can change alone (an
    equation), others follow along with the last attempt (see `Space.repair`); a uniform draw is the last resort. A
    config without such a parameter is returned as it is.
    """
    genes = [each.name for each in space.parameters if each.name in config and each.domain.count != 1]
    if not genes:
        return dict(config)
    key = space.key(config)
    candidate = dict(config)
    for _ in range(MAX_TRIES):
        gene = genes[int(rng.integers(len(genes)))]
        candidate = replaced(space, config, {gene: _other_value(space[gene].domain, config[gene], rng)}, rng)
        if space.allows(candidate) and space.key(candidate) != key:
            return candidate
    candidate = space.repair(candidate, rng)
    return candidate if space.key(candidate) != key else space.sample(rng)


def neighbours(
    space: Space, config: Config, rng: np.random.Generator, *, sd: float, draws: int, adjacent: bool
) -> list[dict[str, Value]]:
    """The one-exchange neighbourhood (Hutter et al. 2011), each neighbour once, parameter by parameter in declared
    order. Where constraints allow none of them, the nearest allowed configs to a few of them."""
    seen = {space.key(config)}
    found: list[dict[str, Value]] = []
    ruled_out: list[dict[str, Value]] = []
    for parameter in space.parameters:
        if parameter.name not in config:
            continue
        for other in _near_values(parameter.domain, config[parameter.name], rng, sd, draws, adjacent):
            candidate = replaced(space, config, {parameter.name: other}, rng)
            if not space.allows(candidate):
                ruled_out.append(candidate)
            elif (key := space.key(candidate)) not in seen:
                seen.add(key)
                found.append(candidate)
    if not found and ruled_out:
        order = rng.permutation(len(ruled_out))[:MAX_REPAIRS]
        for candidate in (space.repair(ruled_out[int(index)], rng) for index in order):
            if (key := space.key(candidate)) not in seen:
                seen.add(key)
                found.append(candidate)
    return found


def _other_value(domain: Domain, value: Any, rng: np.random.Generator) -> Value:
    """Uniform on the domain's scale among the values that differ."""
    if not isinstance(domain, Discrete):
        while (other := domain.from_unit(rng.random())) == value:
            pass
        return other
    # by the widths of the cells, without the present one: no retries, however few the values
    cell = domain.cell(value)
    low = domain.cells.lower(cell)
    width = domain.cells.width(cell)
    u = rng.random() * (1 - width)
    other_cell = domain.cells.from_unit(u if u < low else u + width)
    if other_cell == cell:  # rounding at the edge
        other_cell += 1 if cell + 1 < domain.count else -1
    return domain.value(other_cell)


def _near_values(
    domain: Domain, value: Any, rng: np.random.Generator, sd: float, draws: int, adjacent: bool
) -> Iterator[Value]:
    if not isinstance(domain, Discrete):
        for _ in range(draws):
            yield domain.from_unit(_normal_step(domain.to_unit(value), sd, rng))
        return
    cell = domain.cell(value)
    if isinstance(domain, Choices) and not domain.ordered:
        cells = [other for other in range(domain.count) if other != cell]
    elif adjacent or isinstance(domain, Choices):
        cells = [other for other in (cell - 1, cell + 1) if 0 <= other < domain.count]
    elif domain.count <= draws + 1:
        cells = [other for other in range(domain.count) if other != cell]
    else:
        cells = _near_cells(domain, cell, rng, sd, draws)
    for other in cells:
        yield domain.value(other)


def _near_cells(
    domain: Discrete[int] | Discrete[float], cell: int, rng: np.random.Generator, sd: float, draws: int
) -> list[int]:
    """Other cells at normal steps from the centre of this one; the next ones when steps are too small to leave it."""
    centre = domain.cells.to_unit(cell)
    cells: dict[int, None] = {}
    for _ in range(draws):
        for _ in range(10):
            other = domain.cells.from_unit(_normal_step(centre, sd, rng))
            if other != cell:
                break
        else:
            other = cell + (1 if rng.random() < 0.5 else -1)
            other = other if 0 <= other < domain.count else 2 * cell - other
        cells[other] = None
    return list(cells)


def _normal_step(u: float, sd: float, rng: np.random.Generator) -> float:
    """A normal step within [0, 1]; drawn again until it lies there, as u does."""
    while not 0.0 <= (stepped := float(rng.normal(u, sd))) <= 1.0:
        pass
    return stepped
