"""What an optimizer remembers, as tensors by name, and back: checkpoints hold nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

SCRATCH = ("al",)  # of L-BFGS: written before it is read


def packed(memory: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors under their names, a number as "name#", the tensors of a list as "name#0", "name#1" and so on, beside its
    length as "name#n".

    Some optimizers keep a None where a feature is off; it is left out.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in memory.items():
        match value:
            case Tensor():
                tensors[name] = value
            case int() | float():
                tensors[f"{name}#"] = torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.double)
            case list() if name not in SCRATCH:
                tensors |= {f"{name}#n": torch.tensor(len(value))}
                tensors |= {f"{name}#{index}": each for index, each in enumerate(value)}
    return tensors


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Copies: what lies in a file may begin at any byte, and sums over such memory are rounded otherwise."""
    memory: dict[str, Any] = {}
    for name, tensor in tensors.items():
        stem, mark, index = name.partition("#")
        if not mark:
            memory[stem] = tensor.clone()
        elif not index:
            memory[stem] = tensor.item()
        elif index == "n":
            memory[stem] = [tensors[f"{stem}#{i}"].clone() for i in range(int(tensor))]
    return memory
