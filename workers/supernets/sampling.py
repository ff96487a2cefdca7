"""Architectures drawn at random."""

from __future__ import annotations

import numpy as np
import torch

from workers.supernets.mixture import Mixes
from workers.supernets.relaxation import Relaxation, of_config


def numpy_stream(rng: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))


class Uniform(Relaxation):
    """Nothing is learnt of the architecture: every pass is that of one drawn at random (L. Li and A. Talwalkar, Random
    search and reproducibility for neural architecture search, 2019)."""

    single = True

    def mixes(self, rng: torch.Generator) -> Mixes:
        return of_config(self.architecture, self.architecture.sample(numpy_stream(rng)), torch.device("cpu"))

    def means(self) -> dict[str, torch.Tensor]:
        return {kind: mask / mask.sum(dim=1, keepdim=True) for kind, mask in self.masks.items()}
