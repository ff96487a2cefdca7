"""How a config changes in the middle of a training (Jaderberg et al. 2017): every parameter takes a step or is drawn.

    numbers                        times 1.2 or 0.8, within the range; whole numbers and grids by one place at least
    ordinals                       the next choice, up or down
    choices without order, flags   drawn
    any of them                    drawn, with the probability `resample`

Factors act on the value, whatever its scale. Draws follow the prior where there is one. A parameter that is not
`mutable` stays as it is: neither its value changes nor whether it is active.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from search.history import Config
from spaces import Space
from spaces.domain import Choices, Domain, Interval
from spaces.values import Value

FACTORS = (0.8, 1.2)
MAX_TRIES = 100


def explored(
    space: Space, config: Config, rng: np.random.Generator, resample: float
) -> tuple[dict[str, Value], dict[str, str]]:
    """A legal config, and how each parameter of the given one that now differs has changed: `x1.2`, `x0.8`, `+1`, `-1`
    or `drawn`.

    Tries again while constraints forbid what comes out, or while that changes what may not change. The last attempt is
    repaired (see `Space.repair`, then the change is `repaired`), and where that does not help either, the config stays.
    """
    fixed = [each.name for each in space.parameters if not each.mutable]

    def keeps(candidate: Config) -> bool:
        return all(candidate.get(name) == config.get(name) for name in fixed)

    for _ in range(MAX_TRIES):
        point = rng.random(len(space))
        if space.has_prior:
            point = space.prior.quantile(point[None])[0]
        values, how = dict(config), dict[str, str]()
        for parameter, u in zip(space.parameters, point.tolist(), strict=True):
            name, domain = parameter.name, parameter.domain
            if not parameter.mutable or name not in config:
                continue
            if rng.random() < resample or not domain.ordered:
                values[name], how[name] = domain.from_unit(u), "drawn"
            else:
                up = bool(rng.random() < 0.5)
                values[name], how[name] = _step(domain, config[name], up)
        candidate = space.complete(values, point)
        if keeps(candidate) and space.allows(candidate):
            return candidate, _changes(config, candidate, how)
    candidate = space.repair(candidate, rng)
    if keeps(candidate):
        return candidate, _changes(config, candidate, dict.fromkeys(config, "repaired"))
    return dict(config), {}


def _step(domain: Domain, value: Any, up: bool) -> tuple[Value, str]:
    """One step of a value in an ordered domain; at the end of the range it stays where it is."""
    if isinstance(domain, Choices):
        cell = domain.cell(value) + (1 if up else -1)
        return domain.value(min(max(cell, 0), domain.count - 1)), f"{1 if up else -1:+d}"
    factor = FACTORS[up]
    moved = min(max(value * factor, domain.low), domain.high)
    if isinstance(domain, Interval):
        return moved, f"x{factor}"
    present, cell = domain.cell(value), round((moved - domain.low) / domain.step)
    if cell == present:
        away = 1 if value * factor > value or (value == 0 and up) else -1
        cell = min(max(present + away, 0), domain.count - 1)
    return domain.value(cell), f"x{factor}"


def _changes(before: Config, after: Config, how: dict[str, str]) -> dict[str, str]:
    return {name: word for name, word in how.items() if name in after and after[name] != before[name]}
