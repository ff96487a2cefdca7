"""The path of hyperparameters that descend while one network is trained: as its reports tell it, epoch by epoch, and
the places on it that were trained alone.

Bounded: at most EPOCHS reports are read, however long it is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search import ALGORITHMS
from service import schemas
from service.dashboard.trends import Scale, Step, Trend, known, points, trend, x
from service.models import Run
from service.repositories.dashboard import DashboardReads
from service.repositories.runs import Runs
from spaces import Space
from spaces.domain import Interval

EPOCHS = 120
MOST_PLACES = 50
HYPER = "hyper."
"""Before the name of a hyperparameter in the metrics of a report."""
LOSSES = {"held_loss": "held", "val_loss": "validation", "train_loss": "training"}
DECADES = 1.5  # losses that are further apart are drawn on a log scale


@dataclass(frozen=True)
class Line:
    name: str
    kind: str
    points: str
    last: float


@dataclass(frozen=True)
class Chart:
    """`dots` are the places that were trained alone, with what they reached."""

    name: str
    scale: Scale
    lines: Sequence[Line]
    dots: Sequence[tuple[float, float, str]] = ()


@dataclass(frozen=True)
class Path:
    """Of one hyperparameter, drawn over its whole range. `end` says at which end of it it lies now, if at one."""

    chart: Chart
    first: float
    last: float
    end: str | None


@dataclass(frozen=True)
class Place:
    """A place of the path: `value` is that of its own training, once there is one."""

    epoch: int | None
    config: Mapping[str, float]
    trial: int | None
    state: str | None
    value: float | None


@dataclass(frozen=True)
class Descent:
    """`warm` is the x from which on hyperparameters move: before, weights alone are trained."""

    run: int
    state: str
    epochs: int
    horizon: int
    warm: float
    paths: Sequence[Path]
    losses: Chart | None
    trends: Sequence[Trend]
    names: Sequence[str]
    places: Sequence[Place]
    halvings: int


def descends(study: schemas.Study) -> bool:
    """Whether its first run tunes hyperparameters, rather than train architectures."""
    row = ALGORITHMS.get(study.algorithm["name"])
    return row is not None and row.one_shot and not row.needs_architecture


def descent(reads: DashboardReads, study: schemas.Study) -> Descent | None:
    """None while none was begun, and for other studies."""
    run = reads.supernet() if descends(study) else None
    if run is None:
        return None
    horizon, details = study.algorithm["epochs"], run.details or {}
    tuned = {each.name: each.domain for each in Space.from_json(study.space) if isinstance(each.domain, Interval)}
    start = Runs(reads.session).get(reads.study_id, run.number).trial.config
    steps = reads.progress(run, EPOCHS)
    from_start: Sequence[Step] = [(0.0, {f"{HYPER}{name}": start.get(name) for name in tuned}), *steps]
    places = list(_places(reads, details, list(tuned)))
    paths = [_path(name, tuned[name], from_start, places, horizon) for name in tuned]
    names = dict.fromkeys((study.metrics[0]["name"], "hypergradient_norm"))
    told = details.get("hypergradient")
    halvings = told.get("halvings") if isinstance(told, dict) else None  # of an imported study it may be anything
    return Descent(
        run=run.number,
        state=run.state,
        epochs=int(steps[-1][0]) if steps else 0,
        horizon=horizon,
        warm=x(int(study.algorithm["warmup"] * horizon), 0, horizon),
        paths=[path for path in paths if path is not None],
        losses=_losses(steps, horizon),
        trends=[found for name in names if name not in LOSSES and (found := trend(name, steps))],
        names=list(tuned),
        places=places,
        halvings=halvings if isinstance(halvings, int) else 0,
    )


def _path(name: str, domain: Interval, steps: Sequence[Step], places: Sequence[Place], horizon: int) -> Path | None:
    found = list(known(f"{HYPER}{name}", steps))
    if not found:
        return None
    scale, (at, values) = Scale(domain.low, domain.high, domain.log), zip(*found, strict=True)
    dots = [
        (x(place.epoch, 0, horizon), scale.y(place.config[name]), _told(place))
        for place in places
        if place.epoch is not None and place.trial is not None and name in place.config
    ]
    line = Line(name, "path", points(at, values, scale, (0, horizon)), values[-1])
    end = {domain.low: "lower", domain.high: "upper"}.get(values[-1])
    return Path(Chart(name, scale, [line], dots), values[0], values[-1], end)


def _losses(steps: Sequence[Step], horizon: int) -> Chart | None:
    """All on one scale: that of the weights' half, of the other half that the hyperparameters descend on, and of the
    validation split, which nothing descends on."""
    told = {name: found for name in LOSSES if (found := list(known(name, steps)))}
    if not told:
        return None
    scale = Scale.around([value for found in told.values() for _, value in found], DECADES)
    lines = []
    for name, found in told.items():
        at, values = zip(*found, strict=True)
        lines.append(Line(name, LOSSES[name], points(at, values, scale, (0, horizon)), values[-1]))
    return Chart("loss", scale, lines)


def _places(reads: DashboardReads, details: Mapping[str, Any], tuned: Sequence[str]) -> Iterator[Place]:
    """As ranked: the end of the path first."""
    trained = reads.ranked()
    ranking = sorted(details.get("ranking", ()), key=lambda entry: -entry["score"])
    for rank, entry in enumerate(ranking[:MOST_PLACES], 1):
        run: Run | None = trained.get(rank)
        epoch = entry.get("epoch")
        yield Place(
            epoch if isinstance(epoch, int) else None,
            {name: entry["config"][name] for name in tuned if name in entry["config"]},
            run.trial if run else None,
            run.state if run else None,
            run.value if run else None,
        )


def _told(place: Place) -> str:
    reached = "" if place.value is None else f", reached {place.value:.4g}"
    return f"trial {place.trial}: epoch {place.epoch}{reached}"
