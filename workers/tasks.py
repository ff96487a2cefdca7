"""What trainings are for, and what they are judged by: one explicit table of plain data. Torch-free.

A dataset serves some tasks and a family does some. A study that trains a family on a dataset does the first of the
family's tasks that the dataset serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`help` says what it measures, with its unit."""

    name: str
    direction: Direction
    help: str


@dataclass(frozen=True)
class Task:
    """`scores` are measured on the validation split, as val_<name>, and for the best run on the test split, as
    test_<name>. The first one is the usual choice. `baseline` names the function that makes the cheap one."""

    name: str
    title: str
    scores: tuple[Metric, ...]
    baseline: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What every report of a training has; the default comes first."""
        validation = tuple(Metric(f"val_{each.name}", each.direction, each.help) for each in self.scores)
        return validation + COMMON

    @property
    def choices(self) -> tuple[Metric, ...]:
        """What a study may choose by."""
        return self.metrics + MEASURED

    @property
    def default(self) -> Metric:
        return self.metrics[0]


COMMON: tuple[Metric, ...] = (
    Metric("train_loss", "minimize", "what training minimizes, mean over the epoch"),
    Metric("parameters", "minimize", "numbers that training fits"),
    Metric("multiply_adds", "minimize", "multiplications with an addition, to answer for one example"),
)

# Costs time and differs from time to time: reported only where the study names it.
MEASURED: tuple[Metric, ...] = (
    Metric("latency_ms", "minimize", "milliseconds to answer for one example, on its worker: the median of 30 answers"),
)

# How a training feels, once per epoch: for people to look at, not to choose by.
HEALTH: Mapping[str, str] = {
    "lr": "the learning rate of the epoch's last step",
    "grad_norm": "norm of the whole gradient in the middle of the epoch, before clipping",
    "update_ratio": "norm of a step in the middle of the epoch over the norm of the weights; about 0.001 is healthy",
    "dead_units": "share of the hidden units that answer the same to all of 256 validation examples",
}

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "classification",
            "which class an example belongs to",
            (
                Metric("accuracy", "maximize", "share of the examples whose class is right"),
                Metric("loss", "minimize", "mean cross-entropy, nats"),
            ),
            "workers.baselines.supervised:classification",
        ),
        Task(
            "regression",
            "a number or several",
            (
                Metric("r2", "maximize", "share of the targets' variance that is explained"),
                Metric("rmse", "minimize", "root mean squared error, in units of the target"),
                Metric("loss", "minimize", "mean squared error of standardized targets"),
            ),
            "workers.baselines.supervised:regression",
        ),
        Task(
            "uncertainty",
            "the distribution of a number",
            (
                Metric("nll", "minimize", "mean negative log density of standardized targets, nats"),
                Metric("crps", "minimize", "mean continuous ranked probability score of standardized targets"),
                Metric("coverage_error", "minimize", "distance from 0.9 of the share within the central 90 % interval"),
                Metric("rmse", "minimize", "root mean squared error of the mean, in units of the target"),
            ),
            "workers.baselines.supervised:uncertainty",
        ),
        Task(
            "forecasting",
            "the next value of a series",
            (
                Metric("nrmse", "minimize", "root mean squared error over the deviation of the same targets"),
                Metric("rmse", "minimize", "root mean squared error, in units of the series"),
                Metric("loss", "minimize", "mean squared error of standardized targets"),
            ),
            "workers.baselines.supervised:forecasting",
        ),
        Task(
            "segmentation",
            "the class of every pixel",
            (
                Metric("iou", "maximize", "intersection over union, mean over the classes"),
                Metric("loss", "minimize", "mean cross-entropy per pixel, nats"),
            ),
            "workers.baselines.dense:segmentation",
        ),
        Task(
            "reconstruction",
            "an example again, through a code",
            (
                Metric("mse", "minimize", "mean squared error per input, in units of the inputs"),
                Metric("probe_accuracy", "maximize", "accuracy of a linear classifier that reads the code"),
            ),
            "workers.baselines.dense:reconstruction",
        ),
        Task(
            "density",
            "how probable an example is",
            (Metric("nats", "minimize", "mean negative log-likelihood of an example, or its bound"),),
            "workers.baselines.dense:density",
        ),
        Task(
            "generation",
            "new examples like the given ones",
            (
                Metric("energy_distance", "minimize", "distance between the distributions of samples and examples"),
                Metric(
                    "modes", "maximize", "modes with at least a tenth of their share of the samples; 0 without modes"
                ),
                Metric("on_mode", "maximize", "share of the samples within 5 deviations of a mode; 0 without modes"),
            ),
            "workers.baselines.dense:generation",
        ),
        Task(
            "language",
            "the next character",
            (Metric("bpc", "minimize", "bits per character"),),
            "workers.baselines.sequences:language",
        ),
        Task(
            "rating",
            "how much a user likes an item",
            (
                Metric("rmse", "minimize", "root mean squared error, in stars"),
                Metric("mae", "minimize", "mean absolute error, in stars"),
            ),
            "workers.baselines.sequences:rating",
        ),
        Task(
            "control",
            "what to do next in an environment",
            (Metric("return", "maximize", "mean return of an episode, over 20"),),
            "workers.baselines.sequences:control",
        ),
    )
}
