"""Ask and tell in one process."""

import pytest

from search import Best, Optimizer, RunState
from spaces import InvalidInput

SPACE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
LOSS = [{"name": "loss", "direction": "minimize"}]
EPOCHS = {"name": "epochs", "low": 1, "high": 9}


def random(**more):
    return Optimizer(**{"space": SPACE, "metrics": LOSS, "algorithm": {"name": "random"}} | more)


def test_a_search_in_three_lines():
    opt = random(budget={"max_runs": 20}, seed=3)
    while run := opt.ask():
        opt.tell(run, {"loss": (run.config["x"] - 0.3) ** 2})
    found = opt.best()
    assert isinstance(found, Best)
    assert found.metrics == {"loss": (found.config["x"] - 0.3) ** 2}
    assert found.metrics["loss"] == min(opt.history.outcome(n).loss for n in range(20))
    assert (opt.done, opt.reason) == (True, "budget: max_runs: 20 runs were started")


def test_a_run_says_where_it_belongs_and_why():
    opt = Optimizer(
        space={**SPACE, "fidelity": EPOCHS}, algorithm={"name": "hyperband", "eta": 3}, metrics=LOSS,
        budget={"max_runs": 60}, seed=0,
    )  # fmt: skip
    run = opt.ask()
    assert (run.number, run.trial, run.fidelity, type(run.config)) == (0, 0, 1, dict)
    assert run.origin == {"rule": "uniform", "probabilities": {"uniform": 1.0}}


def test_several_runs_are_open_and_told_in_any_order():
    opt = random()
    runs = [opt.ask() for _ in range(4)]
    assert len({run.config["x"] for run in runs}) == 4
    for run in reversed(runs):
        opt.tell(run, {"loss": float(run.number)})
    assert opt.best().run == 0
    opt.tell(opt.ask().number, {"loss": -1.0})
    assert opt.best().run == 4


def test_waiting_and_done_are_told_apart():
    opt = Optimizer(
        space={**SPACE, "fidelity": EPOCHS}, algorithm={"name": "hyperband", "max_open_brackets": 1}, metrics=LOSS,
        budget={"max_trials": 9},
    )  # fmt: skip
    assert (opt.reason, opt.done) == (None, False)
    runs = [opt.ask() for _ in range(9)]
    assert opt.ask() is None
    assert not opt.done
    assert opt.reason.startswith("barrier: ")
    for run in runs:
        opt.tell(run, {"loss": run.config["x"]})
    assert opt.ask().fidelity == 3
    assert opt.reason is None


def test_maximised_metrics_come_back_as_they_were_told():
    opt = random(metrics=[{"name": "accuracy", "direction": "maximize"}])
    for value in (0.5, 0.9, 0.7):
        opt.tell(opt.ask(), {"accuracy": value})
    assert (opt.best().metrics, opt.best().run) == ({"accuracy": 0.9}, 1)


def test_best_is_none_until_a_run_has_succeeded():
    opt = random()
    assert opt.best() is None
    assert opt.fail(opt.ask(), "oom").failure == "oom"
    assert opt.best() is None


def test_a_diverged_run_is_failed():
    outcome = random_told({"loss": float("nan")})
    assert (outcome.state, outcome.failure) == (RunState.FAILED, "diverged")


@pytest.mark.parametrize("metrics", [{}, {"los": 1.0}, {"loss": "low"}, 0.5])
def test_what_is_no_result_fails_the_run_with_a_warning(metrics):
    with pytest.warns(UserWarning, match="run 0 failed: "):
        outcome = random_told(metrics)
    assert (outcome.state, outcome.failure) == (RunState.FAILED, "error")


def random_told(metrics):
    opt = random()
    return opt.tell(opt.ask(), metrics)


def test_telling_a_run_that_is_not_open_is_refused():
    opt = random()
    run = opt.ask()
    opt.tell(run, {"loss": 1.0})
    with pytest.raises(ValueError, match="run 0 has ended already"):
        opt.tell(run, {"loss": 2.0})
    with pytest.raises(ValueError, match="run 0 has ended already"):
        opt.fail(run)
    with pytest.raises(ValueError, match="run 7 was never asked for; 1 runs were"):
        opt.tell(7, {"loss": 2.0})
    assert opt.best().metrics == {"loss": 1.0}


def test_a_bad_study_is_refused():
    with pytest.raises(InvalidInput) as caught:
        random(algorithm={"name": "randon"}, seed=-1)
    assert [problem.path for problem in caught.value.problems] == [("algorithm", "name"), ("seed",)]


def test_people_enqueue_add_and_invalidate():
    opt = random(budget={"max_runs": 2})
    opt.enqueue({"x": 0.25})
    added = opt.add({"x": 0.5}, {"loss": 0.1})
    failed = opt.add({"x": 0.75}, failure="oom")
    assert (opt.best().run, opt.best().config) == (added.number, {"x": 0.5})
    assert opt.history.outcome(failed.number).failure == "oom"
    served, other = opt.ask(), opt.ask()
    assert (served.config, other.origin["rule"]) == ({"x": 0.25}, "uniform")
    assert opt.ask() is None
    opt.tell(served, {"loss": 0.2})
    opt.invalidate(added.trial)
    assert opt.best().run == served.number
    with pytest.raises(InvalidInput, match="x: must be"):
        opt.enqueue({"x": 2})
