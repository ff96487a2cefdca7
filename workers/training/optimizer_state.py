"""What an optimizer remembers, as tensors by name, and back: checkpoints hold nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def memories(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, dict[str, Tensor]]:
    """Of all optimizers, as checkpoints have them: by the number of the optimizer and the index of the parameter."""
    return {
        f"{number}.{index}": packed(entry)
        for number, optimizer in enumerate(optimizers)
        for index, entry in optimizer.state_dict()["state"].items()
    }


def remember(optimizers: Sequence[torch.optim.Optimizer], stored: Mapping[str, Mapping[str, Tensor]]) -> None:
    """What the optimizers remember comes from a checkpoint; their settings stay."""
    for number, optimizer in enumerate(optimizers):
        mine = (key.split(".") for key in stored)
        state = {int(index): unpacked(stored[f"{n}.{index}"]) for n, index in mine if int(n) == number}
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
