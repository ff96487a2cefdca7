"""Whether probabilities mean what they say (C. Guo et al., On calibration of modern neural networks, 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BINS = 15


def temperature_of(probabilities: Tensor, targets: Tensor) -> float:
    """The temperature by which the log-probabilities [n, classes] are divided for the least negative log-likelihood.

    One-dimensional and convex in its inverse: found by golden-section search in its logarithm.
    """
    logits = probabilities.double().clamp_min(1e-12).log()

    def nll(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / torch.tensor(log_temperature).exp(), targets))

    low, high, ratio = -3.0, 3.0, (5**0.5 - 1) / 2
    while high - low > 1e-4:
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if nll(a) < nll(b) else (a, high)
    return float(torch.tensor((low + high) / 2).exp())


def calibration(probabilities: Tensor, targets: Tensor, temperature: float) -> dict[str, Any]:
    """{nll, ece, temperature, scaled: {nll, ece}, bins: [{confidence, accuracy, share}], coverage: [{coverage,
    accuracy}]}: before and after division by the temperature; the bins are of the confidence before it; `coverage` is
    the accuracy on the most confident part of the examples."""
    scaled = (probabilities.double().clamp_min(1e-12).log() / temperature).softmax(dim=1)
    return {
        **_scores(probabilities.double(), targets),
        "temperature": temperature,
        "scaled": _scores(scaled, targets),
        "bins": reliability(probabilities.double(), targets),
        "coverage": _coverage(probabilities.double(), targets),
    }


def reliability(probabilities: Tensor, targets: Tensor) -> list[dict[str, float]]:
    """Per bin of equal width that is not empty: mean confidence, accuracy, share of the examples."""
    confidence, answer = probabilities.max(dim=1)
    right = (answer == targets).double()
    index = (confidence * BINS).long().clamp_max(BINS - 1)
    return [
        {
            "confidence": float(confidence[index == number].mean()),
            "accuracy": float(right[index == number].mean()),
            "share": float((index == number).double().mean()),
        }
        for number in torch.unique(index).tolist()
    ]


def _scores(probabilities: Tensor, targets: Tensor) -> dict[str, float]:
    """`nll` in nats; `ece`: the expected difference between confidence and accuracy."""
    nll = nn.functional.nll_loss(probabilities.clamp_min(1e-12).log(), targets)
    bins = reliability(probabilities, targets)
    return {"nll": float(nll), "ece": sum(one["share"] * abs(one["confidence"] - one["accuracy"]) for one in bins)}


def _coverage(probabilities: Tensor, targets: Tensor) -> list[dict[str, float]]:
    confidence, answer = probabilities.max(dim=1)
    order = confidence.argsort(descending=True)
    right = (answer == targets)[order].double()
    parts = [max(1, round(len(right) * tenth / 10)) for tenth in range(5, 11)]
    return [{"coverage": count / len(right), "accuracy": float(right[:count].mean())} for count in parts]
