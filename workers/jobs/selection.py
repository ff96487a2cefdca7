"""Which models answer best together: greedy selection with replacement on the validation split (R. Caruana et al.,
Ensemble selection from libraries of models, 2004), and what the chosen ones are worth.

Answers are class probabilities [n, classes], or numbers [n, outputs] in units of the target.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ROUNDS = 50


def greedy(answers: Tensor, targets: Tensor, classes: bool) -> list[int]:
    """Members in the order of their choice, with repetitions: each is the one that makes the mean of all so far best.
    It ends where the best so far is not reached again within ROUNDS. answers [members, n, outputs]."""
    chosen, total, history = list[int](), torch.zeros_like(answers[0]), list[float]()
    for size in range(1, ROUNDS + 1):
        losses = [float(loss_of((total + member) / size, targets, classes)) for member in answers]
        pick = min(range(len(losses)), key=losses.__getitem__)
        chosen.append(pick)
        total = total + answers[pick]
        history.append(losses[pick])
    return chosen[: min(range(len(history)), key=history.__getitem__) + 1]


def weights_of(chosen: Sequence[int], members: int) -> Tensor:
    """[members] from a choice with repetitions; they sum to 1."""
    return torch.bincount(torch.tensor(chosen), minlength=members).double() / len(chosen)


def mixed(weights: Tensor, answers: Tensor) -> Tensor:
    """The weighted mean of answers [members, n, outputs]."""
    return torch.einsum("m,mno->no", weights.to(answers), answers)


def loss_of(answers: Tensor, targets: Tensor, classes: bool) -> Tensor:
    """Mean negative log-likelihood of probabilities [n, classes], or mean squared error."""
    if classes:
        return nn.functional.nll_loss(answers.clamp_min(1e-12).log(), targets)
    return (answers - targets).square().mean()


def scores(name: str, answers: Tensor, targets: Tensor, classes: bool) -> dict[str, float]:
    """{<name>_loss, and of classifiers <name>_accuracy}."""
    out = {f"{name}_loss": float(loss_of(answers, targets, classes))}
    if classes:
        out[f"{name}_accuracy"] = float((answers.argmax(dim=1) == targets).double().mean())
    return out


def error_correlation(answers: Tensor, targets: Tensor, classes: bool) -> float | None:
    """The mean correlation between two members' errors; None with one member, or without errors."""
    if classes:
        errors = 1 - answers.gather(2, targets.expand(len(answers), -1)[..., None])[..., 0]
    else:
        errors = (answers - targets).flatten(1)
    if len(errors) < 2:
        return None
    pairs = torch.corrcoef(errors.double())[tuple(torch.triu_indices(len(errors), len(errors), offset=1))]
    mean = pairs.nanmean()
    return float(mean) if torch.isfinite(mean) else None
