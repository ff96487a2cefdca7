"""What supernets find: their architectures trained alone, beside random ones that are trained just so.

A pool of random architectures (no two that compute the same, none that connects nothing) is trained alone with three
seeds each: the mean of all is what a method must beat. A method's architecture is trained with the same seeds and
epochs. Each supernet also scores the whole pool by its weights, and Kendall's tau says how that agrees with the
trainings. The test split decides; the supernet's scores are of the validation split.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.nas.supernets import CPU, ROWS, Row, architecture_of, opened, space_of
from benchmarks.nas.tabular import difference
from benchmarks.report import table
from benchmarks.training import train
from search.trust import RESAMPLES
from spaces import Space
from spaces.architectures import OneShot
from spaces.values import Config
from workers.protocol import Assignment
from workers.supernets.ranking import ranking
from workers.supernets.relaxation import of_config
from workers.supernets.report import skips_of
from workers.supernets.search import Search
from workers.training.streams import stream

TRAININGS = (0, 1, 2)  # seeds of each architecture that is trained alone
# A search of so few steps needs larger ones: the papers' alphas make tens of thousands of steps of 3e-4.
QUICK = {
    "channels": 8,
    "layers": 1,
    "batch_size": 32,
    "alpha_lr": 0.03,
    "alpha_every": 1,
    "controller_lr": 0.01,
    "controller_steps": 10,
    "controller_samples": 5,
    "ascent": 3,
    "every": 2,
    "window": 3,
    "patience": 2,
    "start": 2,
}
SIZE = ("channels", "layers")  # of a supernet, and of an architecture alone
RANKED = 50  # of methods that answer by a ranking


@dataclass(frozen=True)
class Setting:
    """`epochs` of a supernet, `pool` random architectures, and `retrained` epochs of an architecture alone.

    `resolution` is the share of the pictures' sides that is seen; `ops` are those of the cell, all if not given;
    `options` are the methods', of those that have them.
    """

    dataset: str = "digits"
    epochs: int = 12
    pool: int = 12
    retrained: int = 8
    resolution: float = 1.0
    ops: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: QUICK)

    @property
    def fidelity(self) -> tuple[str, float, float] | None:
        return None if self.resolution == 1 else ("resolution", self.resolution, 1.0)


class Alone:
    """Architectures trained by themselves, each once: their test accuracies [trainings], by genotype in `known`."""

    def __init__(self, architecture: OneShot, setting: Setting, known: dict[str, list[float]]) -> None:
        self.architecture, self.setting, self.known = architecture, setting, known

    def accuracies(self, config: Config) -> list[float]:
        genotype = self.architecture.genotype(config)
        if genotype not in self.known:
            setting = self.setting
            objective = {"type": "train", "family": "cell", "dataset": setting.dataset, "epochs": setting.retrained}
            whole = {**{name: setting.options[name] for name in SIZE}, **config}
            work = Assignment(key="1", objective=objective, config=whole, seed=0, fidelity=setting.fidelity)
            trained = [train(replace(work, seed=seed)) for seed in TRAININGS]
            self.known[genotype] = [one.test["test_accuracy"] for one in trained]
        return self.known[genotype]


def measure(
    setting: Setting,
    searches: int,
    only: Sequence[str] | None,
    stored: Mapping[str, Any] | None,
    done: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Of what is stored of the same setting nothing is measured again. `done` is told all that is known after the pool
    and after each search, so that a run that is cut off leaves what it has."""
    space = space_of("nas-bench-201", 4, setting.ops)
    architecture = architecture_of(space)
    pool = drawn(architecture, setting.pool)
    told = {**asdict(setting), "ops": list(setting.ops)}  # as JSON gives it back
    measured: dict[str, Any] = {"setting": told, "alone": {}, "pool": [], "methods": {}}
    if stored is not None and stored["setting"] == told:
        measured |= stored
    alone = Alone(architecture, setting, measured["alone"])
    random = [alone.accuracies(config) for config in pool]
    measured["pool"] = [{"genotype": architecture.genotype(c), "test": a} for c, a in zip(pool, random, strict=True)]
    done(measured)
    truth = [statistics.mean(each) for each in random]
    rows = [row for row in ROWS if only is None or row.label in only]
    for seed in range(searches):  # all methods once, before any has a second search
        for row in rows:
            entry = measured["methods"].setdefault(row.label, {"method": row.label, "searches": []})
            if any(search["seed"] == seed for search in entry["searches"]):
                continue
            entry["searches"].append(searched(row, space, setting, seed, pool, alone))
            entry["tau"] = agreement([one["pool_scores"] for one in entry["searches"]], truth)
            done(measured)
            print(" | ".join(_row(entry, truth)), flush=True)
    return measured


def drawn(architecture: OneShot, many: int) -> list[Config]:
    """Random architectures: evenly drawn, those that are no network or the same as an earlier one put back."""
    space, rng = Space.from_json({"parameters": architecture.parameters()}), np.random.default_rng(0)
    found: dict[str, Config] = {}
    while len(found) < many:
        config = space.sample(rng)
        if architecture.objection(config) is None:
            found.setdefault(architecture.canonical(config), config)
    return list(found.values())


def searched(
    row: Row,
    space: Mapping[str, Any],
    setting: Setting,
    seed: int,
    pool: Sequence[Config],
    alone: Alone,
) -> dict[str, Any]:
    started = time.process_time()
    settings = {**setting.options, "epochs": setting.epochs}
    search = opened(row, space, setting.dataset, seed, settings, setting.fidelity)
    entropies = []
    while not search.over:
        entropies.append(search.epoch()["alpha_entropy"])
    seconds = time.process_time() - started
    config, architecture = answer(row, search), search.architecture
    scores = [shared_score(search, each) for each in pool]
    objection = architecture.objection(config)
    return {
        "seed": seed,
        "seconds": seconds,
        "genotype": architecture.genotype(config),
        "skips": [skips(architecture, architecture.config_of(each)) for each in search.course.genotypes],
        "answer_skips": skips(architecture, config),
        "entropy": entropies,
        "stopped_at": search.course.genotype_of,
        "raised_decay": search.course.rises,
        "pool_scores": scores,
        "test": None if objection else alone.accuracies(config),
        "objection": objection,
    }


def answer(row: Row, search: Search) -> Config:
    if not row.sampling:
        return search.architecture.config_of(search.genotype)
    rng = stream(search.seed, "ranking")
    best: Config = ranking(search.model, search.relaxation, search.data.validation, RANKED, rng)[0]["config"]
    return best


def shared_score(search: Search, config: Config) -> float:
    with torch.no_grad():
        scores = search.model.scores(search.data.validation, of_config(search.architecture, config, CPU))
    return scores["accuracy"]


def skips(architecture: OneShot, config: Config) -> int:
    return sum(skips_of(architecture, config)[0].values())


def agreement(scores: Sequence[Sequence[float]], truth: Sequence[float]) -> dict[str, float] | None:
    """Kendall's tau of the scores [searches, pool] with the trainings [pool], the mean over the searches, and its 95 %
    interval by resampling the pool. None where all scores of a search are equal."""

    def mean_tau(some: Any, others: Any) -> float:
        return float(np.mean([stats.kendalltau(column, others).statistic for column in some.T]))

    columns, results = np.array(scores).T, np.array(truth)
    if np.isnan(value := mean_tau(columns, results)):
        return None
    draws = np.random.default_rng(0).integers(len(results), size=(RESAMPLES, len(results)))
    low, high = np.nanpercentile([mean_tau(columns[draw], results[draw]) for draw in draws], [2.5, 97.5])
    return {"value": value, "low": float(low), "high": float(high)}


def shown(measured: Mapping[str, Any]) -> str:
    setting = measured["setting"]
    pool = [statistics.mean(one["test"]) for one in measured["pool"]]
    head = (
        "method",
        "searches",
        "test %",
        "less random (95 %)",
        "better than",
        "skips of 6",
        "CPU s per search",
        "Kendall's tau",
    )
    rows = [_row(one, pool) for one in measured["methods"].values()]
    random = (
        f"{_percent(pool)} over {len(pool)} architectures, {len(TRAININGS)} trainings each; best {100 * max(pool):.2f}"
    )
    return (
        f"{setting['dataset']}: searches of {setting['epochs']} epochs, "
        f"architectures trained for {setting['retrained']}\nrandom: {random}\n{table(head, rows)}"
    )


def _row(one: Mapping[str, Any], pool: Sequence[float]) -> list[str]:
    """Of a method: the accuracies are means of an architecture's trainings, their deviation is that of searches."""
    searches = one["searches"]
    tested = [statistics.mean(each["test"]) for each in searches if each["test"] is not None]
    missing = len(searches) - len(tested)
    better = [sum(mean > other for other in pool) for mean in tested]
    tau = one["tau"]
    return [
        one["method"],
        str(len(searches)),
        (_percent(tested) if tested else "") + (f" ({missing} connect nothing)" if missing else ""),
        _beyond(tested, pool),
        f"{100 * statistics.mean(better) / len(pool):.0f} % of them" if tested else "",
        ", ".join(str(each["answer_skips"]) for each in searches),
        f"{statistics.mean(each['seconds'] for each in searches):.0f}",
        f"{tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})" if tau else "undefined",
    ]


def _beyond(tested: Sequence[float], pool: Sequence[float]) -> str:
    """Of the means, in points; with its interval where there are several searches."""
    if len(tested) < 2:
        return f"{100 * (tested[0] - statistics.mean(pool)):+.2f}" if tested else ""
    mean, low, high = (100 * number for number in difference(tested, pool).values())
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def _percent(accuracies: Sequence[float]) -> str:
    return f"{100 * statistics.mean(accuracies):.2f} +- {100 * statistics.pstdev(accuracies):.2f}"
