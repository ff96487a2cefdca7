"""Weights that a training begins with, from that of another config: what architectures have in common goes over.

Real et al. 2017, Large-scale evolution of image classifiers: a child keeps all weights of its parent that still fit.
A tensor goes over where both networks have one of that name. Where shapes differ, what comes first in every dimension
goes over, and the rest keeps the value with which it was drawn. The optimizer begins anew, and so does the schedule.

A family whose networks grow by rules that keep what they compute says so in `Learner.inherit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workers.checkpoints import Checkpoint, CheckpointError
from workers.protocol import Failure, FailureClass

SAME = ("family", "dataset", "split_seed")
"""What of its identity a training shares with one whose weights it takes over."""


def inherited(path: Path, identity: Mapping[str, Any], device: torch.device) -> Checkpoint:
    """The training whose weights another one, of this identity, begins with.

    Raises Failure ERROR when it cannot be had: a training that begins with nothing is not what was decided.
    """
    try:
        return Checkpoint.load(path, {key: identity[key] for key in SAME}, device)
    except CheckpointError as error:
        raise Failure(FailureClass.ERROR, f"the weights to begin with cannot be had: {error}") from error


@torch.no_grad()
def copy_common(target: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copies into the tensors of `target` what those of the same name and number of dimensions have in common."""
    for name, tensor in target.items():
        given = source.get(name)
        if given is None or given.ndim != tensor.ndim:
            continue
        common = tuple(slice(min(a, b)) for a, b in zip(tensor.shape, given.shape, strict=True))
        tensor[common].copy_(given[common])
