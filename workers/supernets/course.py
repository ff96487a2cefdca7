"""What a search remembers beside tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Course:
    """What a search remembers beside tensors, as JSON. `looks` are (epoch, curvature); `genotype_of` is the epoch whose
    genotype is the result, where a rise of the curvature says that it is not the last one's. `rises`: how often weight
    decay was raised for one."""

    epoch: int
    genotypes: list[str]
    looks: list[tuple[int, float]]
    genotype_of: int | None
    rises: int
    metrics: dict[str, float]

    @property
    def over(self) -> bool:
        return self.genotype_of is not None

    def packed(self) -> Tensor:
        return torch.tensor(list(json.dumps(vars(self)).encode()), dtype=torch.uint8)

    @classmethod
    def unpacked(cls, stored: Tensor) -> Course:
        read = cls(**json.loads(bytes(stored.tolist())))
        read.looks = [(epoch, value) for epoch, value in read.looks]
        return read
