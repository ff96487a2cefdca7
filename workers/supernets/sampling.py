"""Architectures drawn at random."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from spaces import Space
from spaces.values import Config
from workers.supernets.mixture import Mixes
from workers.supernets.relaxation import Relaxation, of_config


def numpy_stream(rng: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))


class Uniform(Relaxation):
    """Nothing is learnt of the architecture: every pass is that of one drawn at random (L. Li and A. Talwalkar, Random
    search and reproducibility for neural architecture search, 2019)."""

    single = True

    @cached_property
    def space(self) -> Space:
        return Space.from_json({"parameters": self.architecture.parameters()})

    def draw(self, rng: np.random.Generator) -> Config:
        return self.space.sample(rng)

    def mixes(self, rng: torch.Generator) -> Mixes:
        return of_config(self.architecture, self.draw(numpy_stream(rng)), torch.device("cpu"))

    def means(self) -> dict[str, torch.Tensor]:
        return {
            kind: torch.full((len(cell.edges), len(cell.ops)), 1 / len(cell.ops)) for kind, cell in self.cells.items()
        }
