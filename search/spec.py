"""What a study asks of the search, from its space to its seed; read from JSON and checked as a whole.

All problems are reported at once, each with the path of the culprit, and an algorithm that cannot serve the study is
refused here, not at the first suggestion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search import auto
from search.actions import Evaluate, Sample
from search.algorithms import ALGORITHMS, Algorithm
from search.history import History
from search.ledger import ROUND_OFF, cost
from search.metrics import METRIC as METRIC
from search.metrics import Metric as Metric
from search.metrics import read_metrics
from search.options import Option, read_options, unknown_fields
from search.replicates import Replicates, read_replicates
from search.sources import Source, read_sources
from search.stopping.table import STOPPING_RULES, StoppingRule
from search.streams import Streams
from search.warm_start import informed
from spaces import InvalidInput, Problem, Space, lint
from spaces.architectures import OneShot, of_space
from spaces.architectures.searched import searched
from spaces.checks import unknown
from spaces.errors import Path
from spaces.values import listing, show

MOST = 10**9
"""Runs, trials or seconds: more than any study comes to."""

BUDGET = (
    Option("max_runs", "int", "No more runs than this are started.", at_least=1, at_most=MOST),
    Option(
        "max_trials",
        "int",
        "No more trials than this; those in progress may be promoted on.",
        at_least=1,
        at_most=MOST,
    ),
    Option(
        "max_fidelity",
        "float",
        "Total fidelity of all runs; a promoted run costs the difference.",
        above=0,
        at_most=10**15,
    ),
    Option("max_seconds", "float", "Wall time of the study.", above=0, at_most=MOST),
    Option("target", "float", "Ends the study once the first metric is at least as good, at the highest fidelity."),
)

PARALLELISM = Option(
    "parallelism", "int", "How many runs are open at once, at most.", default=1, at_least=1, at_most=10_000
)
SEED = Option(
    "seed",
    "int",
    "All randomness of the study derives from it.",
    default=0,
    at_least=0,
    at_most=2**53 - 1,  # beyond, whoever reads JSON numbers as doubles would see another seed
)
SCALARS = (PARALLELISM, SEED)

FIELDS = ("space", "algorithm", "metrics", "budget", "replicates", "warm_start", "parallelism", "seed")


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

    def full_runs(self, space: Space) -> float | None:
        """How many trials at the highest fidelity it pays for; None without a limit (time is none, here)."""
        highest = space.fidelity.high if space.fidelity else 1
        most = None if self.max_fidelity is None else self.max_fidelity / highest
        return min((limit for limit in (self.count, most) if limit is not None), default=None)

    @property
    def count(self) -> int | None:
        """How many runs or trials it allows, however short they are; None without a limit."""
        return min((limit for limit in (self.max_runs, self.max_trials) if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class StopSpec:
    """A name of `STOPPING_RULES` with all its options, defaults filled in."""

    rule: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlgorithmSpec:
    """A name of `ALGORITHMS` with all its options, defaults filled in, and the rule that stops runs, if any.

    `chosen_because` says why `auto` chose it. Store `to_json()`, not what was given: a later version of the code may
    fill in or choose differently.
    """

    name: str
    options: Mapping[str, Any]
    stop: StopSpec | None = None
    chosen_because: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is read by `StudySpec.from_json`, with everything that was left out or chosen."""
        written: dict[str, Any] = {"name": self.name, **self.options}
        if self.stop is not None:
            written["stop"] = {"rule": self.stop.rule, **self.stop.options}
        if self.chosen_because is not None:
            written["chosen_because"] = self.chosen_because
        return written


@dataclass(frozen=True, slots=True)
class StudySpec:
    """A checked study. Build it with `from_json`."""

    space: Space
    algorithm: AlgorithmSpec
    metrics: tuple[Metric, ...]
    budget: Budget
    parallelism: int = 1
    seed: int = 0
    replicates: Replicates | None = None
    warm_start: tuple[Source, ...] = ()

    @classmethod
    def from_json(cls, obj: object, *, stored: bool = False) -> StudySpec:
        """Reads an object with these `FIELDS`, of which space and metrics are required; raises InvalidInput with all
        problems. Without an algorithm, `auto` chooses it.

        `stored`: the study was accepted before. Then it may have a budget that pays for nothing, as those of former
        versions could.
        """
        if not isinstance(obj, Mapping):
            raise InvalidInput.at((), f"expected an object with {', '.join(FIELDS)}, got {show(obj)}")
        problems = unknown_fields(obj, FIELDS, ())
        space = _space(obj.get("space"), problems)
        sources = read_sources(obj.get("warm_start"), space, problems)
        believed = informed(space, sources) if space else None
        metrics = read_metrics(obj.get("metrics"), problems)
        objectives = sum(metric.is_objective for metric in metrics)
        budget = _budget(obj.get("budget"), problems)
        replicates = read_replicates(obj.get("replicates"), problems)
        scalars = read_options({option.name: obj.get(option.name) for option in SCALARS}, SCALARS, (), problems)

        def choose(compares: bool) -> auto.Choice | None:
            if believed is None:
                return None
            runs, workers = budget.full_runs(believed), scalars["parallelism"]
            return auto.choose(believed, objectives, runs, workers, compares, budget.count)

        algorithm = _algorithm(obj.get("algorithm"), choose, problems)
        if believed and algorithm:
            row = ALGORITHMS[algorithm.name]
            problems += refusals(row, believed, objectives, scalars["parallelism"])
            if replicates and row.forks:
                problems.append(_refused_replicates(row))
            if algorithm.stop:
                problems += stop_refusals(algorithm.stop, row, believed, objectives)
            if not problems and not stored:
                problems += untied(row, believed)
                problems += unaffordable(algorithm, believed, budget, scalars["seed"])
        if problems:
            order = {name: place for place, name in enumerate(FIELDS)}
            raise InvalidInput(sorted(problems, key=lambda problem: order.get(str(problem.path[0]), -1)))
        assert space is not None
        assert algorithm is not None
        return cls(space, algorithm, tuple(metrics), budget, replicates=replicates, warm_start=sources, **scalars)

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The metrics that are optimised, in the order of `Outcome.losses`; the first one is the first metric."""
        return tuple(metric for metric in self.metrics if metric.is_objective)

    @property
    def advice(self) -> tuple[Problem, ...]:
        """What is legal but hardly meant: in the space (`spaces.lint`), for the algorithm, or to start from."""
        advice = [problem.under("space") for problem in lint(self.space)]
        advice += ALGORITHMS[self.algorithm.name].advise(self.space, self.algorithm.options)
        for index, source in enumerate(self.warm_start):
            if not source.configs:
                why = f"none of its {source.left_out} configs has a place in this space"
                message = f"{why if source.left_out else 'it has no results'}, so it teaches nothing"
                advice.append(Problem(("warm_start", index), message))
        if not self._ends:
            until = "it is cancelled" if self.budget.target is None else "its target is reached or it is cancelled"
            message = f'no limit: it goes on until {until}; set one, such as {{"max_runs": 60}}'
            advice.append(Problem(("budget",), message))
        return tuple(advice)

    @property
    def _ends(self) -> bool:
        """Whether the study ends whatever its results are."""
        budget, row, size = self.budget, ALGORITHMS[self.algorithm.name], self.space.size()
        finite = size is not None and size <= MOST and not row.forks
        return row.ends or finite or budget.full_runs(self.space) is not None or budget.max_seconds is not None


def _space(obj: object, problems: list[Problem]) -> Space | None:
    if obj is None:
        problems.append(Problem(("space",), "is required: an object with parameters and, if any, a fidelity"))
        return None
    try:
        return Space.from_json(obj)
    except InvalidInput as invalid:
        problems += invalid.under("space").problems
        return None


def _algorithm(
    obj: object, choose: Callable[[bool], auto.Choice | None], problems: list[Problem]
) -> AlgorithmSpec | None:
    names = (auto.NAME, *ALGORITHMS)
    obj = {"name": auto.NAME} if obj is None else obj
    if not isinstance(obj, Mapping):
        message = f'got {show(obj)}: expected an object such as {{"name": "random"}} (known: {listing(names)})'
        problems.append(Problem(("algorithm",), message))
        return None
    name = obj.get("name")
    if not isinstance(name, str) or name not in names:
        message = unknown("algorithm", name, names) if "name" in obj else f"is required (known: {listing(names)})"
        problems.append(Problem(("algorithm", "name"), message))
        return None
    stop, because = _stop(obj.get("stop"), problems), obj.get("chosen_because")
    if because is not None and not isinstance(because, str):
        problems.append(Problem(("algorithm", "chosen_because"), f"must be a text, got {show(because)}"))
    given = {key: value for key, value in obj.items() if key not in ("name", "stop", "chosen_because")}
    if name == auto.NAME:
        problems += unknown_fields(given, (), ("algorithm",))
        choice = choose(stop is not None and STOPPING_RULES[stop.rule].compares)
        if choice is None:
            return None
        name, because, given = choice.name, choice.because, {}
    options = read_options(given, ALGORITHMS[name].options, ("algorithm",), problems)
    return AlgorithmSpec(name, options, stop, because if isinstance(because, str) else None)


def _stop(obj: object, problems: list[Problem]) -> StopSpec | None:
    if obj is None:
        return None
    path, known = ("algorithm", "stop"), listing(STOPPING_RULES)
    if not isinstance(obj, Mapping):
        message = f'expected an object such as {{"rule": "median"}}, got {show(obj)} (known rules: {known})'
        problems.append(Problem(path, message))
        return None
    rule = obj.get("rule")
    if not isinstance(rule, str) or rule not in STOPPING_RULES:
        message = unknown("stopping rule", rule, STOPPING_RULES) if "rule" in obj else f"is required (known: {known})"
        problems.append(Problem((*path, "rule"), message))
        return None
    given = {key: value for key, value in obj.items() if key != "rule"}
    return StopSpec(rule, read_options(given, STOPPING_RULES[rule].options, path, problems))


def _budget(obj: object, problems: list[Problem]) -> Budget:
    if obj is None:
        return Budget()
    if not isinstance(obj, Mapping):
        problems.append(Problem(("budget",), f'expected an object such as {{"max_runs": 60}}, got {show(obj)}'))
        return Budget()
    return Budget(**read_options(obj, BUDGET, ("budget",), problems))


def refusals(algorithm: Algorithm, space: Space, metrics: int, parallelism: int) -> list[Problem]:
    """Why an algorithm cannot serve such a study, with the names of those that can."""
    lacks = list(_lacks(algorithm, space, metrics, parallelism))
    if not lacks:
        return []
    able = (name for name, other in ALGORITHMS.items() if not any(_lacks(other, space, metrics, parallelism)))
    others = listing(able)
    return [Problem(path, f"{algorithm.name} {message} (algorithms that can: {others})") for path, message in lacks]


def _lacks(algorithm: Algorithm, space: Space, metrics: int, parallelism: int) -> Iterator[tuple[Path, str]]:
    """What such a study has that the algorithm does not serve, or lacks that it needs."""
    if algorithm.needs_fidelity and space.fidelity is None:
        yield ("space", "fidelity"), 'needs a fidelity, such as {"name": "epochs", "low": 1, "high": 27}'
    if algorithm.needs_prior and not space.has_prior:
        example = '"prior": {"mode": 0.01, "confidence": "medium"}'
        message = f"needs a prior on at least one parameter, such as {example} with the value that you would try first"
        yield ("space", "parameters"), message
    architecture = of_space(space) if algorithm.needs_architecture else None
    if algorithm.one_shot and algorithm.needs_architecture and not isinstance(architecture, OneShot):
        example = '{"name": "cell", "type": "cell", "preset": "nas-bench-201"}'
        instead = "" if architecture is None else f", not of preset {architecture.preset}"
        yield ("space", "parameters"), f"needs an architecture that a supernet can hold, such as {example}{instead}"
    elif algorithm.needs_architecture and architecture is None:
        preset = next(iter(algorithm.presets), "nas-bench-201")
        example = f'{{"name": "cell", "type": "cell", "preset": "{preset}"}}'
        yield ("space", "parameters"), f"needs an architecture, such as {example}"
    elif architecture is not None and algorithm.presets and architecture.preset not in algorithm.presets:
        message = f"needs an architecture of preset {listing(algorithm.presets)}, not {architecture.preset}"
        yield ("space", "parameters"), message
    elif architecture is not None and all(len(gene.choices) == 1 for gene in architecture.genes):
        yield ("space", "parameters"), "needs an architecture of which something is left to choose"
    for index, parameter in enumerate(space.parameters):
        if parameter.when is not None and not algorithm.conditions:
            yield ("space", "parameters", index, "when"), "needs parameters without conditions"
    if algorithm.continuous:
        yield from _not_continuous(space)
    if metrics > 1 and not algorithm.several_metrics:
        yield ("metrics",), f"needs a single metric, got {metrics}"
    if parallelism > 1 and not algorithm.pending:
        yield ("parallelism",), f"needs one run at a time, got {parallelism}"


def _not_continuous(space: Space) -> Iterator[tuple[Path, str]]:
    for index, parameter in enumerate(space.parameters):
        if parameter.domain.count is not None and parameter.domain.count > 1:
            example = f'{{"name": "{parameter.name}", "type": "constant", "value": {show(parameter.default_value)}}}'
            message = f"varies floats without a step alone, and {parameter.name} is none; fix it, as by {example}"
            yield ("space", "parameters", index), message
    if all(parameter.domain.count is not None for parameter in space.parameters):
        yield ("space", "parameters"), "needs a float without a step to vary"


def _refused_replicates(algorithm: Algorithm) -> Problem:
    others = listing(name for name, other in ALGORITHMS.items() if not other.forks)
    why = "a replicate trains one config from scratch, but the results here come of several, one after the other"
    return Problem(("replicates",), f"{algorithm.name} has none: {why} (algorithms that have: {others})")


def unaffordable(algorithm: AlgorithmSpec, space: Space, budget: Budget, seed: int) -> list[Problem]:
    """Whether the budget does not even cover the algorithm's first run: it starts nothing else before."""
    limit, nothing = budget.max_fidelity, History()
    if limit is None:
        return []
    scheduler = ALGORITHMS[algorithm.name].scheduler_within(space, algorithm.options, limit * ROUND_OFF)
    first = scheduler.next(nothing, new_trials=True, streams=Streams(seed, 0))
    needed = cost(nothing, first.slot.fidelity) if isinstance(first, Sample | Evaluate) else 0
    if needed <= limit * ROUND_OFF:
        return []
    message = f"must be at least {needed:g}, which is what the first run of {algorithm.name} costs, got {limit:g}"
    return [Problem(("budget", "max_fidelity"), message)]


def untied(algorithm: Algorithm, space: Space) -> Iterator[Problem]:
    """What keeps a supernet from weighing architectures by themselves, with the defaults of all other parameters."""
    architecture = searched(space) if algorithm.one_shot and algorithm.needs_architecture else None
    if architecture is None:
        return
    if all(len(gene.choices) == 1 for gene in architecture.genes):
        message = f"leave {algorithm.name} a single architecture, where the other parameters have their defaults"
        yield Problem(("space", "constraints"), f"{message}: loosen them")
    choices = {f"{architecture.name}.{gene.rest}" for gene in architecture.genes}
    for index, parameter in enumerate(space.parameters):
        if parameter.when is not None and parameter.name not in choices and (on := parameter.when.mentions & choices):
            message = f"{algorithm.name} gives {parameter.name} its default whatever the architecture, and it hangs on"
            path = ("space", "parameters", index, "when")
            yield Problem(path, f"{message} {listing(sorted(on))}: leave the condition out")


def stop_refusals(stop: StopSpec, algorithm: Algorithm, space: Space, metrics: int) -> list[Problem]:
    """Why a stopping rule cannot be added to such a study, with what can."""
    rule, path = STOPPING_RULES[stop.rule], ("algorithm", "stop", "rule")
    problems = []

    def refuse(message: str, can: Callable[[StoppingRule], bool]) -> None:
        others = listing(name for name, other in STOPPING_RULES.items() if can(other))
        problems.append(Problem(path, f"{rule.name} {message} (rules that do not: {others})"))

    if rule.compares and algorithm.needs_fidelity:
        refuse(
            f"compares trials with each other, and so does {algorithm.name}, which would take the stopped ones for"
            " failures; use one of the two",
            lambda other: not other.compares,
        )
    if rule.compares and metrics > 1:
        refuse(f"compares trials by a single metric, got {metrics}", lambda other: not other.compares)
    if rule.needs_horizon and space.fidelity is None and stop.options["horizon"] is None:
        problems.append(
            Problem(
                ("algorithm", "stop", "horizon"),
                f"is required by {rule.name} in a space without a fidelity: the step at which training ends",
            )
        )
    return problems
