"""Optuna's samplers (Akiba et al. 2019), asked as pure functions of the history.

The trials of a history are folded into an in-memory study of Optuna, a view like any other. For each suggestion a
fresh sampler is made, seeded from the stream of the trial, and asked once. What Optuna's samplers write down between
suggestions is caught and either derived from the events again or kept in the trial's origin, so nothing that matters
lives in the sampler, the study or a pickle:

    NSGA-II   the generation of a trial and the parents of a generation: in the origins
    CMA-ES    the generation of a trial: in the origin; mean and covariance: a fold over the generations
    TPE, GP   nothing

What people enqueue or tell joins the generation at hand of NSGA-II; CMA-ES learns from its own suggestions alone. A
generation that has begun stays as large as it is: in both, a success that was invalidated is the worst one of its own.

A parameter lies on the scale of the unit cube, or is the number of its cell; what a sampler leaves open (a parameter
that it cannot model, such as a conditional one outside TPE) is drawn uniformly, and an inactive one is dropped.
"""

from __future__ import annotations

import copy
import datetime
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cmaes
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.actions import Sample
from search.history import ENQUEUED, Added, Config, Ended, Event, History, Run, RunState, Value
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space
from spaces.domain import Discrete, Domain, IntegerGrid, Interval

optuna.logging.set_verbosity(optuna.logging.WARNING)

Name = Literal["tpe", "gp", "cmaes", "nsga2"]

_STATES = {
    RunState.SUCCEEDED: TrialState.COMPLETE,
    RunState.STOPPED: TrialState.PRUNED,
    RunState.FAILED: TrialState.FAIL,
    RunState.CANCELLED: TrialState.FAIL,
}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)  # Optuna wants a start; no sampler looks at it
_GENERATION = "NSGAIISampler:generation"
_PARENTS = "NSGAIISampler:parent:"
_CMA_GENERATION = "cma:generation"
_CONSTRAINT = "constraints:violation"
_WORST = 1e301  # above all rankings of results, infeasible ones too

ATTEMPTS: Mapping[Name, int] = {"tpe": 10, "gp": 1, "cmaes": 10, "nsga2": 10}
"""So often a suggestion that some trial already has is drawn again, before its neighbours are tried. A Gaussian process
suggests the same point each time."""


@dataclass(frozen=True, slots=True)
class OptunaSampler:
    """`name`: which of Optuna's samplers. `startup`: uniform draws until so many trials have succeeded.

    The other fields are options of one sampler each: `candidates` of TPE; `population` of CMA-ES (None: by the number
    of parameters) and NSGA-II; `crossover`, `swap` and `mutation` (None: one parameter on average) of NSGA-II.
    """

    space: Space
    name: Name
    startup: int = 0
    candidates: int = 24
    population: int | None = None
    crossover: float = 0.9
    swap: float = 0.5
    mutation: float | None = None

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        record = history.view(self, lambda: _Record(self))
        draw = _Draw(self, record, streams)
        config, left = points(self.space, history).new(streams("config"), draw)
        rule = draw.rule if left is None else "uniform"
        origin = {"rule": rule, "probabilities": {rule: 1.0}, "succeeded": record.succeeded, **draw.notes}
        return config, origin if left is None else {**origin, "left": left}

    def make(self, seed: int) -> BaseSampler:
        """A fresh sampler of Optuna's. Options whose default differs between its major versions are all given."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the groups of TPE
            match self.name:
                case "tpe":
                    return TPESampler(
                        n_startup_trials=0, n_ei_candidates=self.candidates, seed=seed,
                        multivariate=True, group=True, constant_liar=True,
                    )  # fmt: skip
                case "gp":
                    return GPSampler(n_startup_trials=0, seed=seed)
                case "cmaes":
                    return _CmaEs(n_startup_trials=0, popsize=self.population, seed=seed)
                case "nsga2":
                    assert self.population is not None
                    return NSGAIISampler(
                        population_size=self.population, mutation_prob=self.mutation, crossover_prob=self.crossover,
                        swapping_prob=self.swap, seed=seed,
                    )  # fmt: skip


class _Draw:
    """The configs that Optuna suggests for one trial; their neighbours, then uniform ones, when those are taken."""

    def __init__(self, sampler: OptunaSampler, record: _Record, streams: Streams) -> None:
        self._space, self._record, self._trial = sampler.space, record, streams.trial
        self._attempts = ATTEMPTS[sampler.name] if record.succeeded >= max(sampler.startup, 1) else 0
        self._sampler = sampler.make(int(streams("optuna").integers(2**31 - 1))) if self._attempts else None
        self._neighbours: list[Config] = []
        self.rule = "model" if self._attempts else "startup"
        self.notes: Mapping[str, Any] = {} if self._attempts or sampler.name != "nsga2" else {"generation": 0}

    def __call__(self, rng: np.random.Generator) -> Config:
        if self._attempts > 0 and self._sampler is not None:
            self._attempts -= 1
            suggested, self.notes = self._record.ask(self._sampler, self._trial)
            self.rule = "model" if suggested else "uniform"  # the first generation
            config = self._record.axes.config(suggested, rng)
            if self._attempts:
                return config if self._space.allows(config) else self(rng)
            config = self._space.repair(config, rng)
            around = self._space.neighbours(config, rng)
            self._neighbours = [around[index] for index in rng.permutation(len(around))]
            return config
        if self._neighbours:
            self.rule = "neighbour"
            return self._neighbours.pop()
        if self._sampler is not None:
            self.rule = "uniform"
        return self._space.sample(rng)


class _Record:
    """The view of the trials as a study of Optuna.

    The study is made at the first success, which tells how many metrics there are; no sampler learns from less.
    """

    def __init__(self, sampler: OptunaSampler) -> None:
        self.axes = _Axes(sampler.space)
        self.succeeded = 0
        self._settings = sampler
        self._storage: _Storage | None = None
        self._early: list[Event] = []
        self._generation = 0
        self._cma: cmaes.CMA | None = None

    def apply(self, event: Event, history: History) -> None:
        if isinstance(event, Ended) and event.outcome.losses and self._storage is None:
            self._storage = _Storage(len(event.outcome.losses))
            for earlier in self._early:
                self._fold(earlier, history, self._storage)
            self._early.clear()
        if self._storage is None:
            self._early.append(event)
        else:
            self._fold(event, history, self._storage)

    def ask(self, sampler: BaseSampler, number: int) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """What the sampler suggests for the trial of this number, by parameter, and what its origin has to keep."""
        assert self._storage is not None, "nothing has succeeded"
        if isinstance(sampler, _CmaEs):
            sampler.state = copy.deepcopy(self._cma)
        study, trial = optuna.Study("study", self._storage, sampler), _trial(number, {}, {}, {})
        self._storage.notes.clear()
        space = self.axes.always
        if isinstance(sampler, TPESampler):  # which groups there are, it finds out itself
            space = sampler.infer_relative_search_space(study, trial)
        elif isinstance(sampler, CmaEsSampler):
            space = {name: law for name, law in space.items() if not isinstance(law, CategoricalDistribution)}
        if isinstance(sampler, GPSampler):
            from search.samplers.torch_scope import reproducible  # PyTorch, for this one of them only

            with reproducible(seed=0):  # its randomness is the sampler's own
                suggested = sampler.sample_relative(study, trial, space)
        else:
            suggested = sampler.sample_relative(study, trial, space)
        return suggested, self._storage.kept()

    def _fold(self, event: Event, history: History, storage: _Storage) -> None:
        match event:
            case Added(run) if run.trial == storage.count:
                generation = run.origin.get("generation")
                attributes = {}
                if self._settings.name == "nsga2":
                    if generation is None:  # it makes no use of such trials: those of other studies join the first
                        by_hand = run.told or run.origin.get("rule") == ENQUEUED
                        generation = self._generation if by_hand else 0
                    self._generation = max(self._generation, generation)
                    attributes = {_GENERATION: generation}
                    if "parents" in run.origin:
                        storage.keep_parents(generation, run.origin["parents"])
                elif generation is not None:
                    attributes = {_CMA_GENERATION: generation}
                    if generation > (self._cma.generation if self._cma else 0):
                        self._next_generation(run)
                params = self.axes.read(run.config) if run.kind == "train" else {}
                laws = {name: self.axes.laws[name] for name in params}
                storage.create_new_trial(storage.study, _trial(run.trial, params, laws, attributes))
            case Ended(number, outcome) if number == history.runs_of(history.runs[number].trial)[0]:
                run, recorded = history.runs[number], history.recorded(number)
                assert recorded is not None, "it has ended"
                kept = recorded if self._settings.name in ("cmaes", "nsga2") else outcome
                state = _STATES[kept.state] if run.kind == "train" and not run.partial else TrialState.FAIL
                self.succeeded += state is TrialState.COMPLETE
                curve = [report for report in history.curve(number) if report.losses]
                # it ranks the pruned trials by their last value, and where there are several metrics cannot
                if state is TrialState.PRUNED and curve and len(curve[-1].losses) == 1:
                    storage.set_trial_intermediate_value(run.trial, int(curve[-1].step), curve[-1].loss)
                if kept.bounded:
                    storage.constrain(run.trial, kept.violation / (1 + kept.violation) if kept is outcome else 1.0)
                losses = kept.ranking if self._settings.name == "cmaes" else kept.losses  # it only ranks
                if kept is not outcome:
                    losses = (_WORST,) * len(losses)
                storage.set_trial_state_values(run.trial, state, losses or None)

    def _next_generation(self, run: Run) -> None:
        """What the sampler computed when it began the generation of this run, from the same trials as now."""
        sampler = self._settings.make(0)  # mean and covariance do not depend on the seed
        assert isinstance(sampler, _CmaEs)
        self.ask(sampler, run.trial)
        self._cma = sampler.state
        assert self._cma is not None
        assert self._cma.generation == run.origin["generation"]


class _CmaEs(CmaEsSampler):
    """Optuna's, with the optimizer handed in and out instead of pickled into trials; None is one not yet begun."""

    state: Any = None

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        return self.state

    def _init_optimizer(self, *args: Any) -> Any:
        self.state = super()._init_optimizer(*args)
        return self.state


class _Storage(InMemoryStorage):
    """A study in memory with trials whose ids are their numbers; what samplers write on trials is only noted."""

    def __init__(self, metrics: int) -> None:
        super().__init__()
        self.study = self.create_new_study([StudyDirection.MINIMIZE] * metrics, "study")
        self.notes: dict[str, Any] = {}

    @property
    def count(self) -> int:
        return self.get_n_trials(self.study)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.notes[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.notes[key] = value

    def constrain(self, trial: int, violation: float) -> None:
        """The trial is feasible where this is 0. To be called before it ends."""
        super().set_trial_system_attr(trial, _CONSTRAINT, violation)

    def keep_parents(self, generation: int, parents: list[int]) -> None:
        super().set_study_system_attr(self.study, f"{_PARENTS}{generation}", parents)

    def kept(self) -> Mapping[str, Any]:
        """The notes that an origin has to keep."""
        notes: dict[str, Any] = {}
        for key, value in self.notes.items():
            if key in (_GENERATION, _CMA_GENERATION):
                notes["generation"] = value
            elif key.startswith(_PARENTS):
                notes["parents"] = value
        return notes


class _Axes:
    """Parameters as distributions of Optuna. `always`: those of unconditional parameters with several values, in the
    order in which Optuna would put them."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.laws = {parameter.name: _law(parameter.domain) for parameter in space if parameter.domain.count != 1}
        self.always = {name: law for name, law in sorted(self.laws.items()) if space[name].when is None}

    def read(self, config: Config) -> dict[str, Any]:
        """The values of a config as Optuna knows them."""
        return {
            name: _to_optuna(self._space[name].domain, law, config[name])
            for name, law in self.laws.items()
            if name in config
        }

    def config(self, suggested: Mapping[str, Any], rng: np.random.Generator) -> Config:
        """The config of a suggestion; what it leaves open is uniform."""
        point = rng.random(len(self._space))
        for axis, parameter in enumerate(self._space):
            if parameter.name in suggested:
                law = self.laws[parameter.name]
                point[axis] = _to_unit(parameter.domain, law, suggested[parameter.name])
        return self._space.decode(point)


def _law(domain: Domain) -> BaseDistribution:
    """The distribution that has the law of the domain on the unit interval."""
    if isinstance(domain, Interval):
        return FloatDistribution(0.0, 1.0)
    if not domain.ordered:
        return CategoricalDistribution(tuple(range(domain.count)))
    if not getattr(domain, "log", False):
        return IntDistribution(0, domain.count - 1)
    if isinstance(domain, IntegerGrid) and domain.step == 1:
        return IntDistribution(domain.low, domain.high, log=True)
    return FloatDistribution(0.0, 1.0)  # it has no steps on a log scale: the cells are found afterwards


def _to_optuna(domain: Domain, law: BaseDistribution, value: Value) -> Any:
    if isinstance(law, FloatDistribution):
        return min(max(domain.to_unit(value), 0.0), 1.0)
    cells = _discrete(domain)
    return value if isinstance(law, IntDistribution) and law.log else cells.cell(value)


def _to_unit(domain: Domain, law: BaseDistribution, value: Any) -> float:
    if isinstance(law, FloatDistribution):
        return float(value)
    cells = _discrete(domain)
    return cells.to_unit(value) if isinstance(law, IntDistribution) and law.log else cells.cells.to_unit(int(value))


def _discrete(domain: Domain) -> Discrete[Any]:
    assert isinstance(domain, Discrete)
    return domain


def _trial(
    number: int, params: dict[str, Any], laws: dict[str, BaseDistribution], attributes: dict[str, Any]
) -> FrozenTrial:
    return FrozenTrial(
        number=number, trial_id=number, state=TrialState.RUNNING, value=None, params=params, distributions=laws,
        datetime_start=_EPOCH, datetime_complete=None, user_attrs={}, system_attrs=attributes, intermediate_values={},
    )  # fmt: skip
