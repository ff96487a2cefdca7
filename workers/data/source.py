"""What the `load` of a dataset answers: all its examples, before any split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Source:
    """`inputs` [examples, *shape] float32, images with pixels from 0 to 1; `labels` [examples] int64."""

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
