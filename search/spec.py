"""What a study asks of the search: space, algorithm, metrics, budget, seed; read from JSON and checked as a whole.

All problems are reported at once, each with the path of the culprit, and an algorithm that cannot serve the study is
refused here, not at the first suggestion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search.algorithms import ALGORITHMS, Algorithm
from search.options import Option, read_options, unknown_fields
from spaces import InvalidInput, Problem, Space
from spaces.checks import unknown
from spaces.errors import Path
from spaces.values import listing, show

METRIC = (
    Option("name", "text", "The key under which the objective reports it.", required=True),
    Option("direction", "text", "What is better.", required=True, choices=("minimize", "maximize")),
)

BUDGET = (
    Option("max_runs", "int", "No more runs than this are started.", at_least=1),
    Option("max_trials", "int", "No more trials than this; those in progress may be promoted on.", at_least=1),
    Option("max_fidelity", "float", "Total fidelity of all runs; a promoted run costs the difference.", above=0),
    Option("max_seconds", "float", "Wall time of the study.", above=0),
    Option("target", "float", "Ends the study once the first metric is at least as good, at the highest fidelity."),
)

SCALARS = (
    Option("parallelism", "int", "How many runs are open at once, at most.", default=1, at_least=1),
    Option("seed", "int", "All randomness of the study derives from it.", default=0, at_least=0),
)

FIELDS = ("space", "algorithm", "metrics", "budget", "parallelism", "seed")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that the objective reports. `loss = sign * value`, and the first metric ranks the trials."""

    name: str
    direction: Literal["minimize", "maximize"]

    @property
    def sign(self) -> int:
        return 1 if self.direction == "minimize" else -1


@dataclass(frozen=True, slots=True)
class Budget:
    """When a study ends; None is no limit, and a study ends at the first limit that it reaches.

    `max_fidelity` counts what runs were started for, in units of the fidelity (1 per run without a fidelity axis).
    `target` is in the units and the direction of the first metric; with a fidelity axis only results at its maximum
    count. `max_seconds` is wall time: the owner of the clock (the dispatcher) enforces it, `ask` does not.
    """

    max_runs: int | None = None
    max_trials: int | None = None
    max_fidelity: float | None = None
    max_seconds: float | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class AlgorithmSpec:
    """A name of `ALGORITHMS` with all its options, defaults filled in."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StudySpec:
    """A checked study. Build it with `from_json`."""

    space: Space
    algorithm: AlgorithmSpec
    metrics: tuple[Metric, ...]
    budget: Budget
    parallelism: int = 1
    seed: int = 0

    @classmethod
    def from_json(cls, obj: object) -> StudySpec:
        """Reads `{space, algorithm, metrics, budget?, parallelism?, seed?}`; raises InvalidInput with all problems."""
        if not isinstance(obj, Mapping):
            raise InvalidInput.at((), f"expected an object with {', '.join(FIELDS)}, got {show(obj)}")
        problems = unknown_fields(obj, FIELDS, ())
        space = _space(obj.get("space"), problems)
        algorithm = _algorithm(obj.get("algorithm"), problems)
        metrics = _metrics(obj.get("metrics"), problems)
        budget = _budget(obj.get("budget"), problems)
        scalars = read_options({option.name: obj.get(option.name) for option in SCALARS}, SCALARS, (), problems)
        if space and algorithm:
            problems += refusals(ALGORITHMS[algorithm.name], space, len(metrics), scalars["parallelism"])
        if problems:
            raise InvalidInput(problems)
        assert space is not None
        assert algorithm is not None
        return cls(space, algorithm, tuple(metrics), budget, **scalars)

    @property
    def advice(self) -> tuple[Problem, ...]:
        """What is legal but hardly meant, for instance a fidelity range too short for any early stopping."""
        return tuple(ALGORITHMS[self.algorithm.name].advise(self.space, self.algorithm.options))


def _space(obj: object, problems: list[Problem]) -> Space | None:
    if obj is None:
        problems.append(Problem(("space",), "is required: an object with parameters and, if any, a fidelity"))
        return None
    try:
        return Space.from_json(obj)
    except InvalidInput as invalid:
        problems += invalid.under("space").problems
        return None


def _algorithm(obj: object, problems: list[Problem]) -> AlgorithmSpec | None:
    known = listing(ALGORITHMS)
    if not isinstance(obj, Mapping):
        what = "is required" if obj is None else f"got {show(obj)}"
        problems.append(Problem(("algorithm",), f'{what}: an object such as {{"name": "random"}} (known: {known})'))
        return None
    name = obj.get("name")
    if not isinstance(name, str) or name not in ALGORITHMS:
        message = unknown("algorithm", name, ALGORITHMS) if "name" in obj else f"is required (known: {known})"
        problems.append(Problem(("algorithm", "name"), message))
        return None
    given = {key: value for key, value in obj.items() if key != "name"}
    return AlgorithmSpec(name, read_options(given, ALGORITHMS[name].options, ("algorithm",), problems))


def _metrics(obj: object, problems: list[Problem]) -> list[Metric]:
    if not isinstance(obj, list | tuple) or not obj:
        example = '[{"name": "loss", "direction": "minimize"}]'
        problems.append(Problem(("metrics",), f"expected a list such as {example}, got {show(obj)}"))
        return []
    metrics: list[Metric] = []
    seen: set[str] = set()
    for index, item in enumerate(obj):
        path = ("metrics", index)
        if not isinstance(item, Mapping):
            problems.append(Problem(path, f"expected an object with name and direction, got {show(item)}"))
            continue
        values = read_options(item, METRIC, path, problems)
        if values["name"] in seen:
            problems.append(Problem((*path, "name"), f"a second metric is named {show(values['name'])}"))
        if values["name"] is not None:
            seen.add(values["name"])
        metrics.append(Metric(**values))
    return metrics


def _budget(obj: object, problems: list[Problem]) -> Budget:
    if obj is None:
        return Budget()
    if not isinstance(obj, Mapping):
        problems.append(Problem(("budget",), f'expected an object such as {{"max_runs": 60}}, got {show(obj)}'))
        return Budget()
    return Budget(**read_options(obj, BUDGET, ("budget",), problems))


def refusals(algorithm: Algorithm, space: Space, metrics: int, parallelism: int) -> list[Problem]:
    """Why an algorithm cannot serve such a study, with the names of those that can."""
    problems = []

    def refuse(path: Path, message: str, can: Callable[[Algorithm], bool]) -> None:
        others = listing(name for name, other in ALGORITHMS.items() if can(other))
        problems.append(Problem(path, f"{algorithm.name} {message} (algorithms that do without: {others})"))

    if algorithm.needs_fidelity and space.fidelity is None:
        example = '{"name": "epochs", "low": 1, "high": 27}'
        refuse(("space", "fidelity"), f"needs a fidelity, such as {example}", lambda other: not other.needs_fidelity)
    for index, parameter in enumerate(space.parameters):
        if parameter.when is not None and not algorithm.conditions:
            path = ("space", "parameters", index, "when")
            refuse(path, "needs parameters without conditions", lambda other: other.conditions)
    if metrics > 1 and not algorithm.several_metrics:
        refuse(("metrics",), f"needs a single metric, got {metrics}", lambda other: other.several_metrics)
    if parallelism > 1 and not algorithm.pending:
        refuse(("parallelism",), f"needs one run at a time, got {parallelism}", lambda other: other.pending)
    return problems
