"""Examples as scikit-learn wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from workers.data.loading import Examples

LEARNT_FROM = 10_000  # examples at most: a baseline is there before the first trial is done

Array = npt.NDArray[Any]


def rows(inputs: Tensor) -> Array:
    """[n, *shape] -> [n, numbers]"""
    flat: Array = inputs.flatten(1).double().cpu().numpy()
    return flat


def answers(examples: Examples) -> Array:
    """The targets [n, ...]."""
    assert examples.targets is not None
    targets: Array = examples.targets.cpu().numpy()
    return targets


def some(examples: Examples) -> Examples:
    """All of them, or LEARNT_FROM, evenly spread."""
    taken = min(len(examples), LEARNT_FROM)
    return examples[torch.arange(taken, device=examples.inputs.device) * len(examples) // taken]


def standardizing(model: Any) -> Pipeline:
    """The model behind inputs of mean 0 and variance 1; what is missing becomes the mean."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def first_of(name: str, examples: Examples) -> str:
    """The model's name, with how much it learnt from if that is not everything."""
    taken = len(some(examples))
    return name if taken == len(examples) else f"{name} from {taken} examples"


def mean_squared(error: Array) -> Array:
    """[n, outputs] -> [outputs]"""
    out: Array = np.square(error).mean(axis=0)
    return out
