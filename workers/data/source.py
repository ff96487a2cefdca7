"""What the `load` of a dataset answers: all its examples, before any split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.data.splits import Split

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """`inputs` [examples, *shape]: float32, images with pixels from 0 to 1, or int64 where they are names (characters,
    nodes, users and items). What is missing is NaN; a sequence that is shorter than others begins with NaN.

    `targets` [examples, ...]: int64 classes, from 0, of an example or of its pixels; float32 [examples, outputs].
    None where the examples are their own targets.
    `context` is what all examples share, such as the edges of their graph.
    `split` is given where the source draws its own (`Dataset.splitting` is drawn). `known` are the examples for
    training where only few are known (`Dataset.splitting` is few) and it matters which.
    """

    inputs: Array
    targets: Array | None = None
    context: Mapping[str, Array] = field(default_factory=dict)
    split: Split | None = None
    known: npt.NDArray[np.int64] | None = None

    def digest(self) -> str:
        """The SHA-256 of the bytes of all arrays: inputs, targets, then the context by name."""
        arrays = [self.inputs, *([] if self.targets is None else [self.targets])]
        arrays += [self.context[name] for name in sorted(self.context)]
        return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
