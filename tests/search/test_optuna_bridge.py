"""Optuna's samplers through the bridge: each suggests what it suggests in a study of Optuna's own."""

import warnings

import pytest

from search import ALGORITHMS, Added, Ended, History, Outcome, Reported, RunState, StudySpec, ask
from search.simulation import simulate
from search.streams import Streams, stream
from search.testbed import Hartmann, box

optuna = pytest.importorskip("optuna")
bridge = pytest.importorskip("search.samplers.optuna_bridge")

NUMBERS = {
    "parameters": [
        {"name": "x", "type": "float", "low": -5, "high": 5},
        {"name": "lr", "type": "float", "low": 1e-4, "high": 1, "log": True},
        {"name": "n", "type": "int", "low": 1, "high": 200, "log": True},
        {"name": "m", "type": "int", "low": 0, "high": 90, "step": 3},
        {"name": "o", "type": "ordinal", "choices": ["s", "m", "l", "xl"]},
    ]
}
MIXED = {"parameters": [*NUMBERS["parameters"], {"name": "c", "type": "categorical", "choices": ["a", True, 1]}]}


def study(name, space=MIXED, metrics=("loss",), runs=1000, **options):
    return StudySpec.from_json(
        {
            "space": space, "algorithm": {"name": name, **options}, "seed": 3,
            "metrics": [{"name": name, "direction": "minimize"} for name in metrics],
            "budget": {"max_runs": runs},
        }
    )  # fmt: skip


def value(run):
    config = run.config
    return config["x"] ** 2 + 0.1 * config["n"] ** 0.5 + (config["lr"] - 0.1) ** 2 + config["m"] / 50


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (value(run),))


class Twin:
    """A study of Optuna's own that is told the same trials, asked with a sampler of the same seed each time."""

    def __init__(self, spec):
        self.spec = spec
        self.axes = bridge._Axes(spec.space)
        self.study = optuna.create_study()

    def suggests(self, run):
        """What it suggests where the bridge suggested this run; None where the bridge drew it uniformly."""
        if run.origin["rule"] != "model":
            return None
        self.study.sampler = self._sampler(int(Streams(self.spec.seed, run.trial)("optuna").integers(2**31 - 1)))
        self.trial = self.study.ask(self.axes.always)
        return self.axes.config(self.trial.params, stream(0, 0, "no axis is left open"))

    def tell(self, run, outcome):
        state = optuna.trial.TrialState.COMPLETE if outcome.losses else optuna.trial.TrialState.FAIL
        value = outcome.losses[0] if outcome.losses else None
        notes = {}
        if self.spec.algorithm.name == "nsga2":  # its children often repeat a parent, and then the bridge goes on
            notes = {"NSGAIISampler:generation": run.origin["generation"]}
            if run.origin["rule"] == "model":
                self.study.tell(self.trial, state=optuna.trial.TrialState.FAIL)
        elif run.origin["rule"] == "model":
            self.study.tell(self.trial, value, state)
            return
        params = self.axes.read(run.config)
        self.study.add_trial(
            optuna.trial.create_trial(
                state=state, value=value, params=params, distributions=self.axes.laws, system_attrs=notes
            )
        )

    def _sampler(self, seed):
        options = self.spec.algorithm.options
        samplers = optuna.samplers
        match self.spec.algorithm.name:
            case "optuna-tpe":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
            case "optuna-gp":
                return samplers.GPSampler(seed=seed)
            case "optuna-cmaes":
                return samplers.CmaEsSampler(seed=seed, popsize=options["population"])
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=options["population"], mutation_prob=0)


@pytest.mark.parametrize(
    ("name", "space", "options", "runs"),
    [
        ("optuna-tpe", MIXED, {}, 40),
        ("optuna-cmaes", NUMBERS, {}, 60),
        ("optuna-cmaes", NUMBERS, {"population": 5}, 40),
        ("nsga2", MIXED, {"population": 10, "mutation": 0}, 60),
        ("optuna-gp", MIXED, {}, 14),
    ],
)
def test_the_bridge_suggests_what_optuna_does(name, space, options, runs):
    """Up to round-off: a value goes through the unit cube and back on its way."""
    spec = study(name, space, runs=runs, **options)

    def near(one, other):
        return spec.space.encode(one) == pytest.approx(spec.space.encode(other), abs=1e-6)

    history, twin, repeats = History(), Twin(spec), 0
    for number in range(runs):
        run = ask(spec, history)
        suggested = twin.suggests(run)
        if suggested is not None and any(near(suggested, earlier.config) for earlier in history.runs):
            repeats += 1
        elif suggested is not None:
            assert near(suggested, run.config), number
        outcome = Outcome(RunState.FAILED) if number % 9 == 5 else succeed(run)
        history.append(Added(run))
        history.append(Ended(number, outcome))
        twin.tell(run, outcome)
    rules = [run.origin["rule"] for run in history.runs]
    assert rules.count("model") - repeats >= {"optuna-gp": 2, "nsga2": 20}.get(name, runs // 2)
    if "generation" in run.origin:
        assert run.origin["generation"] >= 3


def test_generations_go_on_under_parallel_workers_and_failures():
    def erratic(run):
        return Outcome(RunState.FAILED) if run.number % 5 == 2 else succeed(run)

    for name, options in (("optuna-cmaes", {}), ("nsga2", {"population": 10})):
        spec = study(name, NUMBERS, runs=90, **options)
        runs = simulate(spec, erratic, 8, lambda run: 1 + run.number % 4).history.runs
        generations = [run.origin.get("generation", 0) for run in runs]
        assert max(generations) >= 4
        assert generations == sorted(generations)
        if name == "nsga2":
            begun = [run.origin["generation"] for run in runs if "parents" in run.origin]
            assert begun == sorted(set(begun)) == list(range(1, max(generations) + 1)), (
                "the first of each says from whom"
            )


def test_parents_are_those_of_the_first_child_however_late_others_end():
    """A straggler of the first generation that ends after the second began does not change the second's parents."""
    spec, history = study("nsga2", NUMBERS, population=5), History()
    for _ in range(6):
        history.append(Added(ask(spec, history)))
    for number in range(1, 6):
        history.append(Ended(number, succeed(history.runs[number])))
    first = ask(spec, history)
    assert (first.origin["generation"], sorted(first.origin["parents"])) == (1, [1, 2, 3, 4, 5])
    history.append(Added(first))
    history.append(Ended(0, Outcome(RunState.SUCCEEDED, (-1000.0,))))
    second = ask(spec, history)
    assert second.origin["generation"] == 1
    assert "parents" not in second.origin
    assert second == ask(spec, History(history.events))


@pytest.mark.parametrize("name", ["optuna-tpe", "nsga2"])
def test_several_metrics(name):
    spec = study(name, MIXED, ("a", "b"), runs=70, **({"population": 10} if name == "nsga2" else {}))
    history = simulate(
        spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x"] ** 2, (run.config["x"] - 2) ** 2)), 3
    ).history
    near = [0 <= run.config["x"] <= 2 for run in history.runs[-25:]]
    assert sum(near) >= 12, "most are on the front, which is a fifth of the range"


@pytest.mark.parametrize(
    ("name", "bound"), [("optuna-tpe", 0.05), ("optuna-cmaes", 0.05), ("nsga2", 1.0)]
)  # random search has 0.17 in the median
def test_it_learns_the_sphere(name, bound):
    space = {"parameters": [{"name": axis, "type": "float", "low": -5, "high": 5} for axis in "xy"]}
    spec = study(name, space, runs=100, **({"population": 10} if name == "nsga2" else {}))
    history = simulate(
        spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x"] ** 2 + run.config["y"] ** 2,))
    ).history
    assert min(history.outcome(run.number).loss for run in history.runs) < bound


def test_tpe_is_as_good_as_optuna_says():
    """100 trials on Hartmann6: the median regret of Optuna's multivariate TPE is 0.09, of random search 1.2."""
    regrets = []
    for seed in range(3):
        given = {
            "space": box(6), "algorithm": {"name": "optuna-tpe"}, "seed": seed, "budget": {"max_runs": 100},
            "metrics": [{"name": "loss", "direction": "minimize"}],
        }  # fmt: skip
        problem = Hartmann(6)
        history = simulate(StudySpec.from_json(given), problem.run).history
        regrets.append(min(history.outcome(run.number).loss for run in history.runs))
    assert sorted(regrets)[1] <= 0.4


@pytest.mark.parametrize("name", ["optuna-tpe", "optuna-gp", "optuna-cmaes", "nsga2"])
def test_stopped_trials_and_broken_constraints_are_taken_in(name):
    """Stopped ones are pruned, with their last value; what breaks a constraint is a result that comes last."""
    spec, history = study(name, NUMBERS, runs=30, **({"population": 4} if name == "nsga2" else {})), History()
    for number in range(18):
        run = ask(spec, history)
        history.append(Added(run))
        if number % 4 == 1:
            history.append(Reported(number, 2, (value(run),)))
            history.append(Ended(number, Outcome(RunState.STOPPED)))
        else:
            violation = 0.5 if number % 4 == 2 else 0.0
            losses = (value(run) - 100 * (violation > 0),)
            history.append(Ended(number, Outcome(RunState.SUCCEEDED, losses, violation=violation, bounded=(1.0,))))
    record = history.view(_sampler_of(spec), lambda: pytest.fail("the sampler's own view is there"))
    trials = record._storage.get_all_trials(record._storage.study)
    assert [trial.state.name for trial in trials[:3]] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert trials[1].intermediate_values == {2: pytest.approx(value(history.runs[1]))}
    assert trials[2].constraints
    assert ask(spec, history) == ask(spec, History(history.events))


def _sampler_of(spec):
    return ALGORITHMS[spec.algorithm.name].sampler(spec.space, spec.algorithm.options)


def test_cma_es_of_choices_alone_is_advised_against():
    space = {"parameters": [{"name": "c", "type": "categorical", "choices": [1, 2, 3]}]}
    assert "every draw is uniform" in study("optuna-cmaes", space).advice[-1].message
    assert not study("optuna-cmaes", NUMBERS).advice


def test_conditional_parameters_outside_tpe_are_uniform_and_do_not_end_cma_es():
    """Optuna's own inference would take the dimensions from the first trials, and stop for good when they change."""
    child = {"name": "inner", "type": "float", "low": 0, "high": 1, "when": {"parameter": "x", "gt": 0}}
    spec = study("optuna-cmaes", {"parameters": [*NUMBERS["parameters"], child]}, runs=60)
    runs = simulate(spec, succeed).history.runs
    assert {"inner" in run.config for run in runs} == {True, False}
    assert all(run.origin["rule"] == "model" for run in runs[1:])
    assert runs[-1].origin["generation"] >= 4
