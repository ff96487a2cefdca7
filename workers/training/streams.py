"""Random streams by key. All randomness of an epoch follows from (seed, epoch, purpose), so that a training that is
continued needs no stored generator state, and threads that train at the same time do not disturb each other.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch

Purpose = Literal[
    "initialization",
    "inheritance",
    "order",
    "augmentation",
    "dropout",
    "weight_noise",
    "adversarial",
    "clip",
    "loss",
    "evaluation",
    "test",
    # of a supernet: what is trained on what, what is drawn of the architecture, and what is looked at
    "halves",
    "alphas",
    "architecture",
    "validation_order",
    "perturbation",
    "controller",
    "curvature",
    "ranking",
    # of hyperparameters that descend: the keys of the looks
    "hypergradient",
]


def stream(seed: int, purpose: Purpose, epoch: int = 0, device: torch.device | None = None) -> torch.Generator:
    """A new generator on the device (the CPU unless given)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    return torch.Generator(device or "cpu").manual_seed(int.from_bytes(digest))
