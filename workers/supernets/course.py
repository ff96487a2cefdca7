"""What a search remembers beside tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from workers.checkpoints import packed, unpacked_as


@dataclass
class Course:
    """What a search remembers beside tensors, as JSON. `looks` are (epoch, curvature); `genotype_of` is the epoch whose
    genotype is the result, where a rise of the curvature says that it is not the last one's. `rises`: how often weight
    decay was raised for one. `reported`: the metrics of every epoch."""

    epoch: int
    genotypes: list[str]
    looks: list[tuple[int, float]]
    genotype_of: int | None
    rises: int
    reported: list[dict[str, float]]

    @property
    def metrics(self) -> dict[str, float]:
        """Where it stands."""
        return self.reported[-1] if self.reported else {}

    @property
    def over(self) -> bool:
        return self.genotype_of is not None

    def packed(self) -> Tensor:
        return packed(vars(self))

    @classmethod
    def unpacked(cls, stored: Tensor) -> Course:
        """Raises CheckpointError where another version has stored it."""
        read = unpacked_as(cls, stored)
        read.looks = [(epoch, value) for epoch, value in read.looks]
        return read
