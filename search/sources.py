"""What other studies found, as data: their configs in this study's space, ranked.

Losses of different studies have nothing in common but their order, so only ranks are kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from search import pareto
from search.history import Config, History, RunState
from search.options import unknown_fields
from spaces import Constant, Path, Problem, Space
from spaces.values import is_number, show

MAX_SOURCES = 10
KEPT = 1000
"""Of each source the best so many configs are kept."""
ENOUGH = 10
"""So many results make a fidelity worth passing on."""
TOP = 0.1
"""The share of a source's configs that is taken for good."""


@dataclass(frozen=True, slots=True)
class Source:
    """A finished study: its configs that are legal here, the best first, and their ranks, from 0 (best) to 1; equal
    losses share a rank, and what failed has rank 1. `left_out` counts the configs that have no place in this space."""

    study: str
    configs: tuple[Config, ...]
    ranks: tuple[float, ...]
    left_out: int

    @property
    def good(self) -> Sequence[Config]:
        """The best tenth, at least one; failures never."""
        return self.configs[: math.ceil(TOP * sum(rank < 1 for rank in self.ranks))]

    @property
    def worth_trying(self) -> Sequence[Config]:
        """The better half."""
        return self.configs[: sum(rank < 0.5 for rank in self.ranks)]


def read_sources(obj: object, space: Space | None, problems: list[Problem]) -> tuple[Source, ...]:
    """`[{study, configs: [{config, loss}]}]` from JSON; what is wrong is added to `problems`.

    `loss` is lower is better, in any unit; null is a failure. Parameters that the space does not have are dropped,
    missing ones take their default, numbers out of range the bound; a config that is illegal even so is left out.
    """
    if obj is None:
        return ()
    if not isinstance(obj, list | tuple):
        problems.append(Problem(("warm_start",), f"expected a list of studies, got {show(obj)}"))
        return ()
    if len(obj) > MAX_SOURCES:
        problems.append(Problem(("warm_start",), f"takes at most {MAX_SOURCES} studies, got {len(obj)}"))
        return ()
    sources, named = [], set()
    for index, item in enumerate(obj):
        path = ("warm_start", index)
        if not isinstance(item, Mapping):
            example = '{"study": "name", "configs": [{"config": {...}, "loss": 0.5}]}'
            problems.append(Problem(path, f"expected an object such as {example}, got {show(item)}"))
            continue
        before = len(problems)
        problems += unknown_fields(item, ("study", "configs"), path)
        study, given = item.get("study"), item.get("configs")
        if not (isinstance(study, str) and study):
            problems.append(Problem((*path, "study"), f"must be the name of a study, got {show(study)}"))
        elif study in named:
            problems.append(Problem(path, f"the study {show(study)} is listed already"))
        named.add(str(study))
        if not isinstance(given, list | tuple):
            problems.append(Problem((*path, "configs"), f"must be a list of objects, got {show(given)}"))
            continue
        results = [_result(entry, (*path, "configs", place), problems) for place, entry in enumerate(given)]
        if space is not None and len(problems) == before:
            sources.append(_source(str(study), [result for result in results if result is not None], space))
    return tuple(sources)


def as_source(study: str, history: History) -> dict[str, Any]:
    """What another study can learn from this one, as it is written in `warm_start`.

    Of each trial the result at one fidelity: the highest that has ten, else the one that has the most. Of several
    objectives the number of the front stands for the loss. Forks are left out.
    """
    runs = [
        run for run in history.runs if run.kind == "train" and not run.slot.replicate and not history.forked(run.trial)
    ]
    results = [(run, outcome) for run in runs if (outcome := history.outcome(run.number)) is not None]
    counts = Counter(run.fidelity or 0 for run, outcome in results if outcome.losses)
    if not counts:
        return {"study": study, "configs": []}
    fidelity = max((at for at, count in counts.items() if count >= ENOUGH), default=counts.most_common(1)[0][0])
    chosen = [(run, outcome) for run, outcome in results if outcome.losses and (run.fidelity or 0) == fidelity]
    rankings = np.array([outcome.ranking for _, outcome in chosen])
    losses = rankings[:, 0] if rankings.shape[1] == 1 else pareto.ranks(rankings).astype(np.float64)
    known = {run.trial for run, _ in chosen}
    failed = {run.trial: run for run, outcome in results if outcome.state is RunState.FAILED}
    both = zip((run for run, _ in chosen), losses.tolist(), strict=True)
    configs = sorted(({"config": dict(run.config), "loss": loss} for run, loss in both), key=itemgetter("loss"))
    configs += [{"config": dict(run.config), "loss": None} for run in failed.values() if run.trial not in known]
    return {"study": study, "configs": configs[:KEPT]}


def _result(entry: object, path: Path, problems: list[Problem]) -> tuple[Config, float] | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
        example = '{"config": {...}, "loss": 0.5}'
        problems.append(Problem(path, f"expected an object such as {example}, got {show(entry)}"))
        return None
    problems += unknown_fields(entry, ("config", "loss"), path)
    loss = entry.get("loss")
    if loss is not None and not (is_number(loss) and math.isfinite(loss)):
        problems.append(Problem((*path, "loss"), f"must be a finite number, or null for a failure, got {show(loss)}"))
        return None
    return entry["config"], math.inf if loss is None else float(loss)


def _source(study: str, results: Sequence[tuple[Config, float]], space: Space) -> Source:
    best: dict[str, tuple[Config, float]] = {}
    fitting = [(config, loss) for given, loss in results if (config := projected(space, given)) is not None]
    for config, loss in sorted(fitting, key=lambda pair: pair[1]):
        best.setdefault(space.key(config), (config, loss))
    kept = list(best.values())[:KEPT]
    losses = np.array([loss for _, loss in kept])
    ranks = np.searchsorted(losses, losses) / max(len(losses) - 1, 1)
    ranks[np.isinf(losses)] = 1.0
    return Source(study, tuple(config for config, _ in kept), tuple(ranks.tolist()), len(results) - len(fitting))


def projected(space: Space, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config of another space as one of this; None when a value has no place in it."""
    values: dict[str, Any] = {}
    for parameter in space:
        if parameter.name not in config or isinstance(parameter, Constant):
            continue
        value, domain = config[parameter.name], parameter.domain
        low, high = getattr(domain, "low", None), getattr(domain, "high", None)
        if low is not None and high is not None and is_number(value):
            value = min(max(value, low), high)
        if domain.objection(value) is not None:
            return None
        values[parameter.name] = value
    complete = space.complete(values, np.full(len(space), np.nan))
    return complete if space.allows(complete) else None
