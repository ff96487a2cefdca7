"""Objectives and constraints: how they are read, what breaks them, and how results that do are ranked."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import Invalid, Metric, Optimizer, Outcome, RunState, StudySpec, judge
from search.history import INFEASIBLE
from search.results import metrics_of
from search.surrogate import training_data
from spaces import InvalidInput

SPACE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
ACCURACY = {"name": "accuracy", "direction": "maximize"}
LATENCY = {"name": "latency", "at_most": 50}


def study(*metrics, algorithm="random", **more):
    return StudySpec.from_json({"space": SPACE, "algorithm": {"name": algorithm}, "metrics": list(metrics), **more})


def problems(*metrics, algorithm="random"):
    with pytest.raises(InvalidInput) as caught:
        study(*metrics, algorithm=algorithm)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_a_metric_with_a_bound_is_a_constraint_and_no_objective():
    spec = study(ACCURACY, LATENCY, {"name": "loss", "direction": "minimize"})
    assert [metric.name for metric in spec.objectives] == ["accuracy", "loss"]
    outcome = judge(spec, {"accuracy": 0.9, "latency": 40, "loss": 0.3})
    assert (outcome.losses, outcome.violation, outcome.bounded) == ((-0.9, 0.3), 0.0, (40.0,))
    assert metrics_of(spec, outcome) == {"accuracy": 0.9, "latency": 40, "loss": 0.3}


def test_algorithms_for_one_objective_serve_constraints():
    study(ACCURACY, LATENCY, algorithm="evolution")
    found = problems(ACCURACY, LATENCY, {"name": "loss", "direction": "minimize"}, algorithm="evolution")
    assert '"tpe"' in found["metrics",]


def test_the_direction_of_a_constraint_may_be_left_out():
    spec = study(ACCURACY, LATENCY, {"name": "recall", "at_least": 0.5})
    assert [metric.direction for metric in spec.metrics] == ["maximize", "minimize", "maximize"]


def test_a_metric_may_be_optimised_and_bounded():
    spec = study(ACCURACY, {"name": "latency", "direction": "minimize"}, LATENCY)
    outcome = judge(spec, {"accuracy": 0.9, "latency": 100})
    assert (outcome.losses, outcome.violation) == ((-0.9, 100.0), 1.0)
    assert metrics_of(spec, outcome) == {"accuracy": 0.9, "latency": 100}


@pytest.mark.parametrize(
    ("metrics", "path", "message"),
    [
        ([{"name": "loss"}], ("metrics", 0, "direction"), 'is required: one of "minimize", "maximize"'),
        ([LATENCY], ("metrics", 0, "at_most"), "the first metric ranks the trials"),
        ([{**ACCURACY, "at_least": 0.9}], ("metrics", 0, "at_least"), "the first metric ranks the trials"),
        ([ACCURACY, LATENCY, LATENCY], ("metrics", 2, "name"), 'a second constraint is named "latency"'),
        ([ACCURACY, ACCURACY], ("metrics", 1, "name"), 'a second metric is named "accuracy"'),
        ([ACCURACY, {**LATENCY, "at_least": 60}], ("metrics", 1, "at_most"), "no value is at least 60 and at most 50"),
        ([ACCURACY, {**LATENCY, "at_most": "low"}], ("metrics", 1, "at_most"), "a finite number"),
        ([ACCURACY, {**LATENCY, "at_most": math.inf}], ("metrics", 1, "at_most"), "a finite number"),
        ([ACCURACY, {**LATENCY, "atmost": 1}], ("metrics", 1, "atmost"), 'did you mean "at_most"?'),
    ],
)
def test_bad_metrics(metrics, path, message):
    assert message in problems(*metrics)[path]


def test_violations_are_shares_of_the_bound():
    assert Metric("ms", "minimize", at_most=50).violation(60) == pytest.approx(0.2)
    assert Metric("ms", "minimize", at_most=50).violation(50) == 0
    assert Metric("recall", "maximize", at_least=0.8).violation(0.4) == pytest.approx(0.5)
    assert Metric("gap", "minimize", at_most=0).violation(0.25) == 0.25, "of 1 where the bound is 0"
    both = Metric("size", "minimize", at_most=20, at_least=10)
    assert [both.violation(value) for value in (5, 10, 20, 30)] == [0.5, 0, 0, 0.5]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite)
def test_whatever_breaks_a_bound_is_a_finite_violation(value, bound):
    violation = Metric("m", "minimize", at_most=bound).violation(value)
    assert math.isfinite(violation)
    assert (violation > 0) == (value > bound)


def test_a_constraint_that_is_missing_or_not_finite_is_a_failure():
    spec = study(ACCURACY, LATENCY)
    assert judge(spec, {"accuracy": 0.9}).failure == "error"
    assert isinstance(judge(spec, {"accuracy": 0.9, "latency": math.nan}), Invalid)


outcomes = st.builds(
    Outcome,
    st.just(RunState.SUCCEEDED),
    st.tuples(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200)),
    violation=st.one_of(st.just(0.0), st.floats(1e-9, 1e6)),
)


@given(outcomes, outcomes)
def test_the_ranking_puts_feasible_results_first_then_the_smaller_violation(a, b):
    if a.violation == b.violation == 0:
        assert (a.ranking < b.ranking) == (a.losses < b.losses)
    elif a.violation * (1 + 1e-6) + 1e-9 < b.violation:
        assert all(x < y for x, y in zip(a.ranking, b.ranking, strict=True))
    assert math.isfinite(a.loss)
    assert (a.loss < INFEASIBLE) == (a.violation == 0)


def test_a_failure_comes_after_everything():
    worst = Outcome(RunState.SUCCEEDED, (1.0,), violation=1.7e308)
    assert worst.loss < Outcome(RunState.FAILED).loss


def test_the_best_keeps_the_constraints_as_soon_as_anything_does():
    opt = Optimizer(SPACE, [ACCURACY, LATENCY], {"name": "random"})
    results = [(0.99, 80), (0.98, 60), (0.7, 45), (0.9, 500), (0.75, 50)]
    seen = []
    for accuracy, latency in results:
        opt.tell(opt.ask(), {"accuracy": accuracy, "latency": latency})
        seen.append((opt.best().run, opt.best().feasible))
    assert seen == [(0, False), (1, False), (2, True), (2, True), (4, True)]
    assert opt.best().metrics == {"accuracy": 0.75, "latency": 50}


def test_a_target_is_reached_within_the_constraints_only():
    opt = Optimizer(SPACE, [ACCURACY, LATENCY], {"name": "random"}, {"target": 0.9, "max_runs": 10})
    opt.tell(opt.ask(), {"accuracy": 0.95, "latency": 80})
    opt.tell(opt.ask(), {"accuracy": 0.91, "latency": 20})
    assert opt.ask() is None
    assert opt.reason.startswith("target")


@pytest.mark.parametrize("algorithm", ["tpe", "optuna-tpe", "evolution", "nsga2"])
def test_what_learns_moves_to_where_the_constraints_hold(algorithm):
    """Everything better breaks the constraint: a search that looks at the loss alone would end at the other side."""
    options = {"population": 10} if algorithm in ("evolution", "nsga2") else {}
    space = {"parameters": [{"name": name, "type": "float", "low": 0, "high": 1} for name in ("x", "y")]}
    metrics = [{"name": "loss", "direction": "minimize"}, {"name": "weight", "at_most": 0.2}]
    opt = Optimizer(space, metrics, {"name": algorithm, **options}, {"max_runs": 100})
    while run := opt.ask():
        opt.tell(run, {"loss": -run.config["x"], "weight": run.config["x"]})
    late = [run.config["x"] for run in opt.history.runs[60:]]
    assert sum(x <= 0.2 for x in late) > 16, "twice as often as by chance"
    assert 0.1 < opt.best().config["x"] <= 0.2


def test_models_of_numbers_see_violations_on_the_scale_of_the_losses():
    metrics = [{"name": "loss", "direction": "minimize"}, {"name": "weight", "at_most": 1}]
    opt = Optimizer(SPACE, metrics, {"name": "random"})
    for loss, weight in [(2.0, 1), (4.0, 1), (-50.0, 2), (-90.0, 4)]:
        opt.tell(opt.ask(), {"loss": loss, "weight": weight})
    data = training_data(opt.study.space, opt.history, 2, 100)
    assert data.losses.tolist() == pytest.approx([2, 4, 4 + 2 * 0.5, 4 + 2 * 0.75])
    opt = Optimizer(SPACE, metrics, {"name": "random"})
    for weight in (2, 4):
        opt.tell(opt.ask(), {"loss": 0.0, "weight": weight})
    assert training_data(opt.study.space, opt.history, 2, 100).losses.tolist() == pytest.approx([0.5, 0.75])
