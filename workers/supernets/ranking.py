"""Which architectures do well with a supernet's weights: a list, the best first.

All are judged on the same examples, so that differences are those of the architectures; norms use the statistics of
these examples, found anew for each (Z. Guo et al., Single path one-shot neural architecture search, 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from spaces.architectures import OneShot
from spaces.values import Config
from workers.data.loading import Examples
from workers.supernets.relaxation import Relaxation, of_config
from workers.supernets.sampling import numpy_stream
from workers.supernets.supernet import Supernet

GLANCE = 256  # examples by which all are judged
FINALISTS = 10  # so many of them are judged by all examples
TRIES = 50  # draws per architecture that is wanted: small spaces have fewer
IN_VAIN = 20  # draws per architecture that was found, without another one: constraints seem to leave no more


def ranking(
    model: Supernet,
    relaxation: Relaxation,
    validation: Examples,
    many: int,
    rng: torch.Generator,
    own: Config | None = None,
) -> list[dict[str, Any]]:
    """[{"config": the architecture's parameters, "score": accuracy, "examples": by how many it was judged}, ...] of at
    most `many` different architectures: the one that the search has come to (`own`, by default what its weights speak
    for now; marked "own": true, and judged by all examples), half of them drawn as the search weighs operations, and
    others drawn evenly."""
    own = relaxation.discretized() if own is None else own
    architecture = relaxation.architecture
    device = model.standardize.mean.device
    order = torch.randperm(len(validation), generator=rng)[:GLANCE]
    glance = validation[order.to(validation.inputs.device)]

    def judged(config: Config, examples: Examples) -> dict[str, Any]:
        scores = model.scores(examples, of_config(architecture, config, device))
        return {"config": dict(config), "score": scores["accuracy"], "examples": len(examples), "loss": scores["loss"]}

    first = [judged(config, glance) for config in candidates(relaxation, many, rng, own)]
    for entry in first:
        if entry["config"] == own:
            entry["own"] = True
    first.sort(key=lambda entry: ("own" not in entry, *_best_first(entry)))
    marks = [{"own": True} if "own" in entry else {} for entry in first[:FINALISTS]]
    finalists = [
        judged(entry["config"], validation) | mark for entry, mark in zip(first[:FINALISTS], marks, strict=True)
    ]
    finalists.sort(key=_best_first)
    found = [*finalists, *first[FINALISTS:]]
    _keep_order(found, len(finalists))
    return [{key: value for key, value in entry.items() if key != "loss"} for entry in found]


def _best_first(entry: dict[str, Any]) -> tuple[float, float]:
    return -entry["score"], entry["loss"]


def _keep_order(found: list[dict[str, Any]], finalists: int) -> None:
    """Whoever sorts the list by its scores shall find the same order: one that was judged by a few examples alone is no
    better than the last of those judged by all."""
    for entry in found[finalists:]:
        entry["score"] = min(entry["score"], found[finalists - 1]["score"])


def candidates(relaxation: Relaxation, many: int, rng: torch.Generator, own: Config) -> list[Config]:
    """Different architectures that can be trained, at most so many, all of the space; the search's own first, if it
    can. Where constraints tie choices together, of which draws are slow, fewer draws in vain are made for one more."""
    architecture, seen, found = relaxation.architecture, set[str](), list[Config]()

    def take(config: Config) -> None:
        if architecture.objection(config) is None and (form := architecture.canonical(config)) not in seen:
            seen.add(form)
            found.append(config)

    take(own)
    draws = numpy_stream(rng)
    for source, wanted in ((weighed(relaxation, draws), (many + 1) // 2), (even(architecture, draws), many)):
        newest = 0  # the draw, from 1, that has brought the newest one
        for draw in range(1, TRIES * many + 1):
            before = len(found)
            if before >= wanted or (architecture.ties and draw - newest > IN_VAIN * (before + 1)):
                break
            take(next(source))
            if len(found) > before:
                newest = draw
    return found[:many]


def weighed(relaxation: Relaxation, rng: np.random.Generator) -> Iterator[Config]:
    """Drawn by the weights of the operations: the best where every weight is disturbed by Gumbel noise, which per edge
    is a draw by the weights."""
    architecture = relaxation.architecture
    edges = relaxation.edge_means() or {}
    logs = {kind: np.log(mean.detach().cpu().double().numpy() + 1e-30) for kind, mean in relaxation.means().items()}
    for kind, mean in edges.items():
        logs[kind] = logs[kind] + np.log(mean.detach().cpu().double().numpy() + 1e-30)[:, None]
    while True:
        disturbed = {kind: log + rng.gumbel(size=log.shape) for kind, log in logs.items()}
        yield architecture.discretized({kind: _softmax(log) for kind, log in disturbed.items()})


def _softmax(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    raised = np.exp(logits - logits.max())  # over all edges: what is larger stays larger, between edges too
    shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = raised / raised.sum()
    return shares


def even(architecture: OneShot, rng: np.random.Generator) -> Iterator[Config]:
    while True:
        yield architecture.sample(rng)
