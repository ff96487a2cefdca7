"""How good the network families are, and how quick: against the cheap standard model, and against bare loops.

    python -m benchmarks.training [--seeds 2] [--only lenet,rnn] [--speed]

For each family one config on one dataset, over several seeds (of the split, the weights and the order), five unless it
is dear: the mean of the test score and its deviation between seeds, the mean of the validation score, what the baseline
of the task has on the same splits, and the bar. Configs were chosen by validation scores alone. Then the time of an
epoch beside a loop over the same network that does nothing else, and how soon a second training begins.
Prints tables and writes benchmarks/results/training.json. One process, one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.report import table
from workers.catalogue import DATASETS
from workers.data.loading import training_data
from workers.jobs import carry_out
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Job, Result, to_the_end
from workers.training.health import multiply_adds
from workers.training.learner import Learner
from workers.training.loop import build
from workers.training.plan import Plan

CPU = torch.device("cpu")
QUALITY = ("family", "dataset", "score", "seeds", "test", "validation", "baseline", "bar", "reached", "beats it", "s")
SPEED = ("family", "ms per epoch", "bare loop", "ratio", "begins after ms")
RESULTS = Path(__file__).parent / "results" / "training.json"


@dataclass(frozen=True)
class Row:
    """`bar` is what the score must reach, on the test split: the mean over `seeds`."""

    family: str
    dataset: str
    score: str
    bar: float
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    seeds: int = 5

    @property
    def maximize(self) -> bool:
        return self.score in ("accuracy", "r2", "iou", "return", "modes", "on_mode")

    def objective(self, seed: int) -> dict[str, Any]:
        objective = {"type": "train", "family": self.family, "dataset": self.dataset, "split_seed": seed}
        return objective if self.epochs is None else objective | {"epochs": self.epochs}

    def assignment(self, seed: int) -> Assignment:
        return Assignment(key="1", objective=self.objective(seed), config=self.config, seed=seed)


ONE_PIXEL = {"augmentation": "manual", "shift": 0.125, "rotate": 0.0, "scale": 0.0}  # of eight

# `mlp` is the best of 14 configs, `mdn` of 22, `linear` on breast_cancer of 6, by the validation scores of its splits;
# `recommender` and `resnet` are by those of the first split, of which each had a few; `lenet` is as others found it.
ROWS = (
    Row("linear", "breast_cancer", "accuracy", 0.97, {"lam": 0.03}),
    Row("linear", "diabetes", "r2", 0.42),
    Row("mlp", "digits", "accuracy", 0.98, {"width": 256, "augmentation": "manual", "shift": 0.1}, 60),
    Row("mdn", "diabetes", "nll", 1.20, {"depth": 1, "dropout": 0.3}, 100),
    Row("lenet", "digits", "accuracy", 0.985, {"width": 64, "dropout": 0.4, **ONE_PIXEL}, 60),
    Row("chain_cnn", "mnist5k", "accuracy", 0.97, epochs=6, seeds=1),
    Row("resnet", "mnist5k", "accuracy", 0.97, {"augmentation": "manual", "shift": 0.07}, 10, seeds=2),
    Row("mobilenet", "mnist5k", "accuracy", 0.95, epochs=6, seeds=1),
    Row("unet", "digit_scenes", "iou", 0.85, epochs=10, seeds=1),
    Row("rnn", "digits", "accuracy", 0.97),
    Row("esn", "sunspots", "nrmse", 0.40),
    Row("esn", "sunspots", "nrmse", 0.40, {"input_scale": 1.0, "leak": 1.0, "ridge": 0.2}),
    Row("transformer_enc", "digits", "accuracy", 0.96, seeds=2),
    Row("char_lm", "pydoc_text", "bpc", 1.85, {"core": "ngram", "order": 7, "smoothing": 20.0}, 1, seeds=1),
    Row("char_lm", "pydoc_text", "bpc", 1.85, seeds=1),
    Row("gnn", "karate", "accuracy", 0.90),
    Row("gnn", "block_model", "accuracy", 0.60),
    Row("autoencoder", "digits", "mse", 0.0116),
    Row("vae", "digits", "nats", 18.7),
    Row("made_nade", "digits", "nats", 17.68),
    Row("gan", "ring", "modes", 8, seeds=2),
    Row("recommender", "movielens_small", "rmse", 0.875, {"batch_size": 1024, "lr": 0.01}),
    Row("policy_gradient", "cartpole", "return", 475, seeds=2),
)


@dataclass(frozen=True)
class Trained:
    result: Result
    test: Mapping[str, float]
    seconds: float


def train(assignment: Assignment) -> Trained:
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        work = replace(assignment, checkpoint=Path(folder) / "c")
        _, result = to_the_end(TrainObjective().train(work))
        seconds = time.perf_counter() - started
        tested = replace(work, task="test", resume_from=work.checkpoint, checkpoint=None)
        return Trained(result, TrainObjective().test(tested), seconds)


def baseline(row: Row, seed: int) -> tuple[str, float]:
    result = carry_out(replace(row.assignment(seed), task="job", job=Job("baseline")))
    return str(result.details["name"]), float(result.metrics[f"val_{row.score}"])


def quality(rows: list[Row], most_seeds: int) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        seeds = min(row.seeds, most_seeds)
        trained = [train(row.assignment(seed)) for seed in range(seeds)]
        beside = [baseline(row, seed) for seed in range(seeds)]
        tests = [one.test[f"test_{row.score}"] for one in trained]
        test = statistics.mean(tests)
        validation = statistics.mean(one.result.metrics[f"val_{row.score}"] for one in trained)
        reference = statistics.mean(value for _, value in beside)
        sign = 1 if row.maximize else -1
        found.append(
            {
                "family": row.family,
                "dataset": row.dataset,
                "config": dict(row.config),
                "epochs": row.epochs,
                "score": row.score,
                "seeds": seeds,
                "test": test,
                "test_deviation": statistics.stdev(tests) if seeds > 1 else None,
                "validation": validation,
                "baseline": reference,
                "baseline_name": beside[0][0],
                "bar": row.bar,
                "reached": sign * test >= sign * row.bar,
                "beats_baseline": sign * validation > sign * reference,
                "seconds": statistics.mean(one.seconds for one in trained),
            }
        )
        print(f"{row.family} on {row.dataset}: {test:.4g}, the mean of {seeds} seeds", flush=True)
    return found


def bare_epoch(learner: Learner, plan: Plan) -> Callable[[], None]:
    """A loop over the same network and data that does nothing but shuffle, descend and step."""
    data = training_data(plan.dataset, plan.part, CPU).train
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3, fused=True)
    size = int(plan.settings["batch_size"])

    def epoch() -> None:
        learner.train()
        for batch in torch.randperm(len(data)).split(size):  # type: ignore[no-untyped-call]
            loss = learner.loss(data[batch], torch.Generator())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch


def speed(family: str, dataset: str) -> dict[str, Any]:
    """Seconds per epoch of a training (without its evaluation) and of the bare loop, in turns; and until it begins."""
    plain = {"dropout": 0.0}
    epochs = 6
    ours, bare = [], []
    for _ in range(3):
        work = Assignment(
            key="1",
            objective={"type": "train", "family": family, "dataset": dataset, "epochs": epochs},
            config=plain,
            seed=0,
        )
        plan = Plan.of(work)
        learner = build(plan, 0)
        learner.prepare(training_data(plan.dataset, plan.part, CPU))
        ours.append(_epochs_of_ours(plan, learner, epochs))
        epoch = bare_epoch(learner, plan)
        started = time.perf_counter()
        for _ in range(epochs):
            epoch()
        bare.append((time.perf_counter() - started) / epochs)
    return {
        "family": family,
        "dataset": dataset,
        "ms": 1000 * min(ours),
        "bare_ms": 1000 * min(bare),
        "ratio": min(ours) / min(bare),
        "begins_ms": 1000 * _until_it_begins(family, dataset),
    }


def _epochs_of_ours(plan: Plan, learner: Learner, epochs: int) -> float:
    from workers.training.loop import epoch_of

    data, optimizers = training_data(plan.dataset, plan.part, CPU), learner.optimizers()
    started = time.perf_counter()
    for number in range(epochs):
        learner.train_epoch(epoch_of(plan, data.train, optimizers, 0, number, CPU))
    return (time.perf_counter() - started) / epochs


def _until_it_begins(family: str, dataset: str) -> float:
    """Of a second training on a warm worker: from the assignment to its first step."""
    plan_of = Assignment(
        key="1", objective={"type": "train", "family": family, "dataset": dataset, "epochs": 1}, config={}, seed=0
    )
    times = []
    for _ in range(5):
        started = time.perf_counter()
        plan = Plan.of(plan_of)
        learner = build(plan, 0)
        learner.prepare(training_data(plan.dataset, plan.part, CPU))
        multiply_adds(learner, training_data(plan.dataset, plan.part, CPU).validation)
        learner.optimizers()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="Of the split, the weights and the order; at most.")
    parser.add_argument("--only", default="", help="Families, with commas between them.")
    parser.add_argument("--speed", action="store_true", help="Only the time of an epoch.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = set(filter(None, options.only.split(",")))
    rows = [row for row in ROWS if not wanted or row.family in wanted]
    assert all(row.dataset in DATASETS for row in rows)
    found = [] if options.speed else quality(rows, options.seeds)
    if found:
        print(table(QUALITY, [_shown(one) for one in found]))
    pairs = (("mlp", "digits"), ("lenet", "digits"), ("rnn", "digits"), ("transformer_enc", "digits"))
    times = [speed(*pair) for pair in pairs if not wanted or pair[0] in wanted]
    print(table(SPEED, [_timed(one) for one in times]))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"quality": found, "speed": times}, indent=1))


def _shown(one: Mapping[str, Any]) -> list[str]:
    config = [f"{name} {value}" for name, value in one["config"].items()]
    config += [f"{one['epochs']} epochs"] if one["epochs"] else []
    family = f"{one['family']} ({', '.join(config)})" if config else one["family"]
    between = "" if one["test_deviation"] is None else f" ± {one['test_deviation']:.2g}"
    numbers = [str(one["seeds"]), f"{one['test']:.4g}{between}", f"{one['validation']:.4g}"]
    beside = f"{one['baseline']:.4g} ({one['baseline_name']})"
    verdicts = ["yes" if one[name] else "no" for name in ("reached", "beats_baseline")]
    seconds = f"{one['seconds']:.0f}"
    return [family, one["dataset"], one["score"], *numbers, beside, f"{one['bar']:g}", *verdicts, seconds]


def _timed(one: Mapping[str, Any]) -> list[str]:
    return [one["family"], *(f"{one[name]:.1f}" for name in ("ms", "bare_ms", "ratio", "begins_ms"))]


if __name__ == "__main__":
    main()
