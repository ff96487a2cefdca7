"""TPE: the split, weights and groups, what open and failed trials do, and that it finds more than random search."""

from statistics import median

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, Run, RunState, Slot, StudySpec, ask, ask_many
from search.density import split
from search.observations import observations
from search.samplers.tpe import TPESampler
from search.simulation import simulate
from search.testbed import Hartmann, box, sphere
from spaces import Space

LOSS = [{"name": "loss", "direction": "minimize"}]
LINE = box(1)
TREE = {
    "parameters": [
        {"name": "beta", "type": "float", "low": 0, "high": 1, "when": {"parameter": "opt", "equals": "adam"}},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "when": {"parameter": "opt", "equals": "sgd"}},
        {"name": "decay", "type": "float", "low": 0, "high": 1, "when": {"parameter": "opt", "equals": "sgd"}},
        {"name": "lr", "type": "float", "low": 0, "high": 1},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "momentum", "gt": 0.5}},
    ]
}


def study(space=LINE, metrics=LOSS, budget=None, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": "tpe", **options},
            "metrics": metrics,
            "budget": {"max_trials": budget},
            "seed": seed,
        }
    )


def success(*losses):
    return Outcome(RunState.SUCCEEDED, losses)


def told(outcomes, space=LINE, fidelities=None):
    """A history of trials at 0, 1/n, 2/n, ... with these outcomes; None leaves one open."""
    history = History()
    for number, outcome in enumerate(outcomes):
        slot = Slot(fidelity=fidelities[number] if fidelities else None)
        history.append(Added(Run(number, number, {"x0": number / len(outcomes)}, slot)))
        if outcome is not None:
            history.append(Ended(number, outcome))
    return history


class TestSplit:
    def test_the_number_of_good_trials(self):
        assert [split.good(n) for n in (10, 11, 250, 1000)] == [1, 2, 25, 25]
        assert [split.good(n, "sqrt", 0.25) for n in (20, 100)] == [2, 3]
        assert split.good(1000, "linear", 0.15, 100) == 100

    def test_the_best_are_good_and_ties_go_to_the_lower_trial(self):
        history = told([success(loss) for loss in (3.0, 1.0, 2.0, 1.0, 1.0)])
        observed = observations(Space.from_json(LINE), history)
        assert split.best(observed, np.arange(5), 2).tolist() == [1, 3]
        assert split.best(observed, np.arange(5), 4).tolist() == [1, 2, 3, 4]

    def test_a_higher_fidelity_comes_before_a_lower_loss(self):
        history = told([success(loss) for loss in (0.1, 0.9, 0.2, 0.8)], fidelities=[1, 9, 1, 9])
        observed = observations(Space.from_json(LINE), history)
        assert split.best(observed, np.arange(4), 1).tolist() == [3]
        assert split.best(observed, np.arange(4), 3).tolist() == [0, 1, 3]

    def test_several_losses_are_ranked_by_fronts_and_volume(self):
        history = told([success(*pair) for pair in ((1, 5), (2, 3), (4, 1), (3, 4), (5, 2), (5, 5))])
        observed = observations(Space.from_json(LINE), history)
        assert split.best(observed, np.arange(6), 3).tolist() == [0, 1, 2]
        assert split.best(observed, np.arange(6), 2).tolist() == [1, 2], "they cover the most"

    def test_failures_have_ended_and_cancelled_runs_say_nothing(self):
        states = [RunState.FAILED, RunState.STOPPED, RunState.CANCELLED]
        history = told([success(1.0), *(Outcome(state) for state in states), None])
        observed = observations(Space.from_json(LINE), history)
        assert split.finished(observed).tolist() == [True, True, True, False, False]
        assert split.pending(observed).tolist() == [False] * 4 + [True]
        assert split.succeeded(observed).tolist() == [0]


def test_weights_by_recency():
    weights = TPESampler(Space.from_json(LINE), weights="recent").recency(30)
    assert weights[:5] == pytest.approx([0.033333, 0.275, 0.516667, 0.758333, 1], abs=1e-6)
    assert weights.sum() == pytest.approx(27.583333, abs=1e-6)
    assert TPESampler(Space.from_json(LINE), weights="recent").recency(25).tolist() == [1] * 25


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        ("groups", [["opt", "lr"], ["beta"], ["momentum", "decay"], ["nesterov"]]),
        ("unconditional", [["opt", "lr"], ["beta"], ["momentum"], ["decay"], ["nesterov"]]),
        ("independent", [["opt"], ["beta"], ["momentum"], ["decay"], ["lr"], ["nesterov"]]),
    ],
)
def test_parameters_that_are_active_together_form_a_group(density, expected):
    space = Space.from_json(TREE)
    groups = TPESampler(space, density=density).groups()
    assert [[space.parameters[column].name for column in columns] for columns in groups] == expected


def rules(history):
    return [run.origin["rule"] for run in history.runs]


def test_it_starts_uniform_and_says_so():
    history = simulate(study(budget=14, startup=5), lambda run: success(run.config["x0"])).history
    assert rules(history) == ["startup"] * 5 + ["model"] * 9
    assert history.runs[3].origin == {"rule": "startup", "probabilities": {"startup": 1.0}, "finished": 3, "of": 5}
    origin = history.runs[13].origin
    assert (origin["good"], origin["rest"], origin["candidates"]) == (2, 11, 24)
    assert isinstance(origin["log_ratio"], float)


def test_open_trials_do_not_end_the_start():
    runs, _ = ask_many(study(), History(), 20)
    assert {run.origin["rule"] for run in runs} == {"startup"}


def test_without_a_success_it_stays_uniform():
    history = simulate(study(budget=30), lambda run: Outcome(RunState.FAILED)).history
    assert set(rules(history)) == {"startup"}


def test_open_trials_count_among_the_rest():
    """Many open trials at the good end push the next suggestion away from them; ignored, they do not."""
    outcomes = [success(number / 20) for number in range(20)]
    for pending, expected in (("rest", 19 + 40), ("ignore", 19)):
        history = told(outcomes)
        for number in range(20, 60):
            history.append(Added(Run(number, number, {"x0": (number - 20) / 1000})))
        run = ask(study(pending=pending, gamma_max=1), history)
        assert run.origin["rest"] == expected
        assert (run.config["x0"] > 0.04) or pending == "ignore"


def test_failed_trials_count_among_the_rest():
    """Two places are equally good, but around one of them most trials crash: the search keeps away from it."""
    outcomes = {0.2: success(0.0), 0.8: success(0.0)}
    outcomes |= {x: success(1.0) for x in np.linspace(0, 1, 12).tolist()}
    outcomes |= {x: Outcome(RunState.FAILED, failure="oom") for x in np.linspace(0.15, 0.25, 16).tolist()}
    history = History()
    for number, (x, outcome) in enumerate(outcomes.items()):
        history.append(Added(Run(number, number, {"x0": x})))
        history.append(Ended(number, outcome))
    runs = [ask(study(seed=seed, gamma_max=2), history) for seed in range(8)]
    assert [run.origin["rest"] for run in runs] == [28] * 8
    assert not any(0.15 <= run.config["x0"] <= 0.25 for run in runs)


def test_parallel_suggestions_differ():
    history = simulate(study(budget=30), lambda run: success(run.config["x0"])).history
    runs, _ = ask_many(study(), history, 16)
    points = sorted(run.config["x0"] for run in runs)
    assert min(np.diff(points)) > 0
    assert points[-1] - points[0] > 0.1


def test_a_small_space_is_used_up_without_repeats():
    space = {"parameters": [{"name": "n", "type": "int", "low": 0, "high": 11}]}
    history = simulate(study(space), lambda run: success(float(run.config["n"]))).history
    assert sorted(run.config["n"] for run in history.runs) == list(range(12))


def test_constraints_are_kept():
    space = {
        "parameters": [{"name": name, "type": "float", "low": 0, "high": 1} for name in "ab"],
        "constraints": [{"linear": {"a": 1, "b": 1}, "le": 1.0}],
    }
    spec = study(space, budget=60)
    history = simulate(spec, lambda run: success(-run.config["a"] - run.config["b"])).history
    assert all(spec.space.allows(run.config) for run in history.runs)
    assert rules(history).count("model") == 50
    assert min(history.outcome(number).loss for number in range(60)) < -0.9


def test_narrow_constraints_move_suggestions_to_what_is_allowed():
    space = {
        "parameters": [{"name": name, "type": "float", "low": 0, "high": 1} for name in "abc"],
        "constraints": [{"linear": {"a": 1, "b": 1, "c": 1}, "eq": 1.0}],
    }
    spec = study(space, budget=25)
    history = simulate(spec, lambda run: success(run.config["a"])).history
    assert all(spec.space.allows(run.config) for run in history.runs)
    assert rules(history).count("model") == 15


def test_weights_by_improvement_follow_the_losses():
    sampler = TPESampler(Space.from_json(LINE))
    history = told([success(loss) for loss in (5.0, 1.0, 4.0, 2.0)])
    observed = observations(sampler.space, history)
    every = np.arange(4)
    assert sampler._improvements(observed, every, np.array([1, 3])) == pytest.approx([1, 2 / 3])
    same = observations(sampler.space, told([success(1.0)] * 4))
    assert sampler._improvements(same, every, np.array([0, 1])).tolist() == [1, 1]
    mixed = told([success(loss) for loss in (5.0, 1.0, 4.0, 2.0)], fidelities=[1, 1, 3, 3])
    assert sampler._improvements(observations(sampler.space, mixed), every, np.array([2, 3])).tolist() == [1, 1]


def test_with_several_metrics_weights_follow_what_each_adds_to_the_volume():
    """(1, 5), (2, 3), (4, 1) up to (5.5, 5.5), a tenth beyond the worst: alone they cover 0.5, 2 * 2 and 1.5 * 2."""
    sampler = TPESampler(Space.from_json(LINE))
    losses = ((1, 5), (2, 3), (4, 1), (3, 4), (5, 2), (5, 5))
    observed = observations(sampler.space, told([success(*pair) for pair in losses]))
    every, front = np.arange(6), np.arange(3)
    assert sampler._improvements(observed, every, front) == pytest.approx([0.5 / 4, 1, 3 / 4])
    with_dominated = sampler._improvements(observed, every, np.arange(4))
    assert with_dominated == pytest.approx([0.5 / 4, 1, 3 / 4, 0], abs=1e-9)
    assert with_dominated[3] > 0, "it keeps a component"


def test_results_that_are_equal_have_the_weight_of_one():
    sampler = TPESampler(Space.from_json(LINE))
    observed = observations(sampler.space, told([success(*pair) for pair in ((1, 5), (2, 3), (2, 3), (4, 1), (5, 5))]))
    assert sampler._improvements(observed, np.arange(5), np.arange(4)) == pytest.approx([0.5 / 4, 1, 1, 3 / 4])


def test_with_several_metrics_what_breaks_constraints_is_good_only_among_its_like():
    broken = [Outcome(RunState.SUCCEEDED, (0.0, 0.0), violation=by) for by in (2.0, 1.0)]
    history = told([*broken, *(success(*pair) for pair in ((1, 5), (2, 3), (5, 5)))])
    observed = observations(Space.from_json(LINE), history)
    assert split.best(observed, np.arange(5), 2).tolist() == [2, 3]
    assert split.best(observed, np.arange(5), 4).tolist() == [1, 2, 3, 4], "the one that violates less"


def regrets(algorithm, space, objective, seeds, trials=100):
    best = []
    for seed in range(seeds):
        spec = StudySpec.from_json(
            {"space": space, "algorithm": algorithm, "metrics": LOSS, "budget": {"max_trials": trials}, "seed": seed}
        )
        history = simulate(spec, objective).history
        best.append(min(history.outcome(run.number).loss for run in history.runs))
    return median(best)


def test_it_beats_random_search_on_the_sphere():
    def objective(run):
        return success(sphere(run.config))

    space = box(2, -5, 5)
    random = regrets({"name": "random"}, space, objective, 9)
    assert regrets({"name": "tpe"}, space, objective, 9) <= random / 3
    assert regrets({"name": "tpe", "min_bandwidth": 0.01, "bandwidth_exponent": 1, "weights": "recent"},
                   space, objective, 9) <= random / 3  # fmt: skip


def test_it_beats_random_search_on_hartmann6():
    function = Hartmann(6)
    random = regrets({"name": "random"}, box(6), function.run, 9)
    assert regrets({"name": "tpe"}, box(6), function.run, 9) <= min(0.4, random / 2)


def test_two_metrics_spread_over_the_front():
    """Schaffer's problem: x^2 and (x - 2)^2; the front is [0, 2] of [-10, 10]."""
    space = {"parameters": [{"name": "x", "type": "float", "low": -10, "high": 10}]}
    metrics = [{"name": name, "direction": "minimize"} for name in ("f", "g")]

    def objective(run):
        return success(run.config["x"] ** 2, (run.config["x"] - 2) ** 2)

    history = simulate(study(space, metrics, budget=100), objective).history
    late = [run.config["x"] for run in history.runs[50:]]
    assert sum(-0.2 < x < 2.2 for x in late) > len(late) / 2
    assert max(late) - min(late) > 1.5
