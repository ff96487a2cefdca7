"""Search by growing trained networks: a front of small and large ones (LEMONADE, Elsken et al. 2019).

A child is a network of the front that has grown by a few morphisms, and begins with its weights: it computes what its
parent does, so a short training is enough to tell what the growth is worth. Where the front is thin, parents are drawn
more often, and so are children that would fall there: what a network costs is known before it is trained.

    founders, from the smallest network on -> children of the front, until all that can grow has grown
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.actions import Action, Evaluate, Sample
from search.history import INHERITS, Config, Ended, Event, History, RunState, Slot
from search.pareto import Fronts
from search.points import Points, points
from search.samplers.variation import mutated
from search.streams import Streams
from spaces import Space
from spaces.architectures import of_space
from spaces.architectures.chain import Chain

Floats = NDArray[np.float64]

FOUNDER: Final = "founder"
MORPHISM: Final = "morphism"
"""The rules in the origins of networks that begin with nothing, and with the weights of another."""

LEAST_WIDTH = 0.1
"""Of the kernels of the density, in units of the log of a cost."""


@dataclass(frozen=True, slots=True)
class Morphism:
    """`founders` begin: the smallest network, and others that are up to `spread` morphisms larger. A child has grown by
    1 to `steps` morphisms. Of `children` that are drawn one is trained. With a recipe in the space a child changes one
    of its parameters with probability `recipe`."""

    space: Space
    founders: int = 4
    spread: int = 4
    steps: int = 3
    children: int = 32
    recipe: float = 0.5

    def next(self, history: History, new_trials: bool, streams: Streams) -> Action | None:
        if not new_trials:
            return None
        slot = Slot(fidelity=self.space.fidelity.high if self.space.fidelity else None)
        free = points(self.space, history)
        if history.waiting:
            return Sample(slot)
        archive = history.view("morphism", Archive)
        parents = archive.front(history)
        if archive.succeeded + history.open_count < self.founders or not parents:
            config = self._founder(free, streams)
            chances = {"rule": FOUNDER, "probabilities": {FOUNDER: 1.0}}
            return Sample(slot) if config is None else Evaluate(slot, config, origin=chances)
        return self._child(history, parents, free, slot, streams) or Sample(slot)

    @property
    def chain(self) -> Chain:
        architecture = of_space(self.space)
        assert isinstance(architecture, Chain), "refused before"
        return architecture

    def _founder(self, free: Points, streams: Streams) -> Config | None:
        """The smallest network that is not taken, or one that is a few steps larger; None where all of these are."""
        rng = streams("founder")
        for _ in range(self.children):
            config: Config = self.space.replace(self.space.sample(rng), self.chain.smallest(), rng)
            for _ in range(int(rng.integers(self.spread + 1)) if streams.trial else 0):
                config = self._grown(config, rng)[0]
            if not free.taken(config) and self.space.allows(config):
                return config
        return None

    def _child(
        self, history: History, parents: Sequence[int], free: Points, slot: Slot, streams: Streams
    ) -> Evaluate | None:
        """None where nothing new grows from the front."""
        rng, chain = streams("child"), self.chain
        configs = [history.runs[run].config for run in parents]
        costs = np.log([chain.costs(config) for config in configs])
        chances = _inverse(density(costs, costs))
        config: Config
        drawn: list[tuple[int, Config, list[str]]] = []
        seen: set[str] = set()
        for place in rng.choice(len(parents), self.children, p=chances).tolist():
            names: list[str] = []
            config = configs[place]
            for _ in range(1 + int(rng.integers(self.steps))):
                config, grown = self._grown(config, rng)
                names += grown
            config = self._with_recipe(config, rng)
            key = self.space.key(config)
            if names and key not in seen and not free.taken(config) and self.space.allows(config):
                seen.add(key)
                drawn.append((place, config, names))
        if not drawn:
            return None
        thin = _inverse(density(np.log([chain.costs(config) for _, config, _ in drawn]), costs))
        place, config, names = drawn[int(rng.choice(len(drawn), p=thin))]
        run = history.runs[parents[place]]
        origin: dict[str, Any] = {
            "rule": MORPHISM,
            "probabilities": {MORPHISM: 1.0},
            "parents": [run.trial],
            INHERITS: run.number,
            "morphisms": names,
            "front": len(parents),
        }
        return Evaluate(slot, config, origin=origin)

    def _grown(self, config: Config, rng: np.random.Generator) -> tuple[Config, list[str]]:
        """The config one morphism larger, with its name: each kind that is possible as likely as the others, then each
        place. The config itself when it cannot grow."""
        kinds: dict[str, list[tuple[str, Config]]] = {}
        for step in self.chain.growths(config):
            kinds.setdefault(step[0].split()[0], []).append(step)
        if not kinds:
            return config, []
        places = list(kinds.values())[int(rng.integers(len(kinds)))]
        name, edit = places[int(rng.integers(len(places)))]
        return self.space.replace(config, edit, rng), [name]

    def _with_recipe(self, config: Config, rng: np.random.Generator) -> Config:
        """With one parameter of the recipe changed, or none; the architecture stays."""
        own = {each["name"] for each in self.chain.parameters()}
        if rng.random() >= self.recipe or not any(p.name not in own and p.domain.count != 1 for p in self.space):
            return config
        for _ in range(self.children):
            changed = mutated(self.space, config, rng)
            if all(changed.get(name) == config.get(name) for name in own):
                return changed
        return config

    def possible_parents(self, history: History) -> Sequence[int]:
        """The runs whose weights children may yet begin with."""
        return history.view("morphism", Archive).front(history)


class Archive:
    """The view of the results that no other one dominates."""

    def __init__(self) -> None:
        self.succeeded = 0
        self._fronts = Fronts()
        self._runs: list[int] = []

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if outcome.state is RunState.SUCCEEDED and not history.runs[number].partial:
                self.succeeded += 1
                self._fronts.add(outcome.ranking)
                self._runs.append(number)

    def front(self, history: History) -> list[int]:
        """Their runs, ascending; without those that were carried out elsewhere, of which there are no weights."""
        if not self._runs:
            return []
        found = sorted(self._runs[int(index)] for index in self._fronts.front(0))
        return [run for run in found if not history.runs[run].told]


def density(at: Floats, of: Floats) -> Floats:
    """A kernel estimate with normal kernels, by Scott's rule: at points, shape [n, d], of points, shape [m, d]. Up to a
    factor; shape [n]."""
    width = np.maximum(of.std(axis=0) * len(of) ** (-1 / (of.shape[1] + 4)), LEAST_WIDTH)
    squares = np.square((at[:, None] - of) / width).sum(axis=2)
    return np.asarray(np.exp(-0.5 * squares).mean(axis=1), dtype=np.float64)


def _inverse(densities: Floats) -> Floats:
    """Probabilities in inverse proportion; what lies far from all is not all that counts."""
    weights = 1 / np.maximum(densities, 1e-3 * densities.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)
