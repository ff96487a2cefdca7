"""The Pareto front and the hypervolume of a study."""

import pytest

from search import (
    Added,
    Ended,
    History,
    Optimizer,
    Outcome,
    Run,
    RunState,
    Slot,
    StudySpec,
    best,
    hypervolume,
    incumbents,
    pareto_front,
    reference_point,
)

SPACE = {
    "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
TWO = [{"name": "a", "direction": "minimize"}, {"name": "b", "direction": "minimize"}]
WORKED = [(1, 5), (2, 3), (4, 1), (3, 4), (5, 2), (5, 5)]


def study(metrics=TWO):
    return StudySpec.from_json({"space": SPACE, "algorithm": {"name": "random"}, "metrics": metrics})


def play(*results):
    """A history of runs, one trial each: (losses or None, violation, fidelity)."""
    history = History()
    for number, (losses, violation, fidelity) in enumerate(results):
        history.append(Added(Run(number, number, {"x": 0.5}, Slot(fidelity=fidelity))))
        failed = losses is None
        outcome = Outcome(RunState.FAILED) if failed else Outcome(RunState.SUCCEEDED, losses, violation=violation)
        history.append(Ended(number, outcome))
    return history


def test_the_worked_example():
    spec, history = study(), play(*[(losses, 0, 9) for losses in WORKED])
    assert pareto_front(spec, history) == [0, 1, 2]
    assert hypervolume(spec, history, (6, 6)) == 17
    assert reference_point(spec, history) == pytest.approx([5.5, 5.5])
    assert hypervolume(spec, history) == pytest.approx(4.5 * 0.5 + 3.5 * 2 + 1.5 * 2)
    assert best(spec, history) == 0, "by the first metric"
    assert incumbents(spec, history) == [0]


def test_equal_results_are_all_on_the_front_and_failures_never():
    history = play(((1, 2), 0, 9), ((1, 2), 0, 9), (None, 0, 9), ((2, 1), 0, 9))
    assert pareto_front(study(), history) == [0, 1, 3]


def test_ties_in_the_first_metric_are_broken_by_the_others():
    history = play(((1, 5), 0, 9), ((1, 2), 0, 9))
    assert best(study(), history) == 1
    assert pareto_front(study(), history) == [1]


def test_constraints_come_first_and_the_volume_is_that_of_feasible_results():
    everything_breaks_them = play(((1, 1), 2.0, 9), ((5, 5), 1.0, 9))
    assert pareto_front(study(), everything_breaks_them) == [1]
    assert hypervolume(study(), everything_breaks_them) == 0
    assert reference_point(study(), everything_breaks_them) is None
    history = play(((1, 1), 2.0, 9), ((5, 5), 1.0, 9), ((5, 6), 0, 9), ((6, 5), 0, 9))
    assert pareto_front(study(), history) == [2, 3]
    assert hypervolume(study(), history, (7, 7)) == 3


def test_only_the_highest_fidelity_counts():
    history = play(((1, 1), 0, 3), ((5, 5), 0, 9), ((2, 2), 0, 3))
    assert pareto_front(study(), history) == [1]


def test_one_objective_has_a_front_of_its_best():
    history = play(((2,), 0, 9), ((1,), 0, 9), ((1,), 0, 9))
    assert pareto_front(study(TWO[:1]), history) == [1, 2]
    assert pareto_front(study(), History()) == []
    assert hypervolume(study(), History()) == 0


@pytest.mark.parametrize("algorithm", ["random", "tpe", "mo-asha"])
def test_directions_are_per_metric(algorithm):
    metrics = [{"name": "gain", "direction": "maximize"}, {"name": "cost", "direction": "minimize"}]
    opt = Optimizer(SPACE, metrics, {"name": algorithm}, {"max_runs": 60})
    while run := opt.ask():
        x = run.config["x"]
        opt.tell(run, {"gain": -((x - 0.7) ** 2), "cost": (x - 0.2) ** 2})
    xs = [found.config["x"] for found in opt.front()]
    assert xs == sorted(xs, reverse=True), "the best gain first"
    inside = sum(0.2 <= x <= 0.7 for x in xs)
    assert inside >= len(xs) - 2, "the front is between the two optima, but for the nearest points outside"
