"""The policy that is rewarded: its gradients, what it makes of failures, and that it finds what is good."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import Added, Ended, History, Outcome, Reported, Run, RunState, StudySpec, best
from search.samplers.reinforce import Arms, Mean, Policy, Reinforce, entropy, entropy_gradient, log_probability_gradient
from search.samplers.reinforce import softmax as softmax_of
from search.simulation import simulate
from search.streams import stream
from spaces import Space

ARMS = Space.from_json({"parameters": [{"name": "arm", "type": "categorical", "choices": ["poor", "good"]}]})
CELL = {"parameters": [{"name": "cell", "type": "cell", "preset": "nas-bench-201"}]}
MIXED = Space.from_json(
    {
        "parameters": [
            {"name": "lr", "type": "float", "low": 1e-4, "high": 1, "log": True},
            {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "flag", "type": "bool", "when": {"parameter": "kind", "equals": "a"}},
            {"name": "width", "type": "int", "low": 1, "high": 300},
            {"name": "layers", "type": "int", "low": 1, "high": 4},
            {"name": "size", "type": "ordinal", "choices": list(range(12))},
            {"name": "one", "type": "constant", "value": 1},
        ]
    }
)
logits = st.lists(st.floats(-5, 5), min_size=2, max_size=6).map(np.array)


def policy(losses, options, configs):
    """After trials with these losses, one after the other; None is a failure, a negative number of violations too."""
    view, history = Policy(options), History()
    for number, (loss, config) in enumerate(zip(losses, configs, strict=True)):
        outcome = Outcome(RunState.FAILED) if loss is None else Outcome(RunState.SUCCEEDED, (loss,))
        for event in (Added(Run(number, number, config)), Ended(number, outcome)):
            history.append(event)
            view.apply(event, history)
    return view


def test_a_stopped_run_is_no_better_than_the_baseline():
    history, view = History(), Policy(Reinforce(ARMS, entropy=0))
    ends = [Outcome(RunState.SUCCEEDED, (1.0,)), Outcome(RunState.SUCCEEDED, (2.0,)), Outcome(RunState.STOPPED)]
    for number, outcome in enumerate(ends):
        reports = [Reported(number, 1, (0.0,))] if number == 2 else []
        for event in (Added(Run(number, number, {"arm": "good"})), *reports, Ended(number, outcome)):
            history.append(event)
            if not isinstance(event, Reported):
                view.apply(event, history)
        if number == 1:
            before = view.probabilities[1]
    assert before < 0.5
    assert view.updates == 3
    assert view.probabilities[1] < 0.5, "its last report, 0, is better than all, but it had not come to its end"


def test_the_gradient_of_the_log_probability():
    expected = [-0.090031, -0.244728, 0.334759]
    assert log_probability_gradient(np.array([0.0, 1.0, 2.0]), 2) == pytest.approx(expected, abs=1e-6)


@given(logits, st.data())
def test_gradients_are_those_of_finite_differences(at, data):
    arm, step = data.draw(st.integers(0, len(at) - 1)), 1e-6
    for function, gradient in (
        (lambda x: np.log(softmax_of(x)[arm]), log_probability_gradient(at, arm)),
        (lambda x: entropy(softmax_of(x)), entropy_gradient(at)),
    ):
        differences = [(function(at + step * e) - function(at - step * e)) / (2 * step) for e in np.eye(len(at))]
        assert gradient == pytest.approx(differences, abs=1e-7)


@pytest.mark.parametrize("lr", [0.01, 0.05, 0.1])
def test_of_two_arms_the_better_one_is_drawn(lr):
    """Accuracies 0.2 and 0.8: after 300 updates it has a probability above 0.9 (median over seeds)."""
    found = []
    for seed in range(9):
        view, history, rng = Policy(Reinforce(ARMS, lr=lr)), History(), stream(seed, 0, "arms")
        for number in range(300):
            config = view.draw(rng)
            loss = -0.8 if config["arm"] == "good" else -0.2
            for event in (Added(Run(number, number, config)), Ended(number, Outcome(RunState.SUCCEEDED, (loss,)))):
                history.append(event)
                view.apply(event, history)
        found.append(view.probabilities[1])
    assert np.median(found) > 0.9


def test_the_baseline_is_of_the_rewards_before():
    """A first reward says nothing; and a mean of one number is that number, whatever the decay."""
    assert policy([3.0], Reinforce(ARMS, entropy=0), [{"arm": "good"}]).probabilities == pytest.approx([0.5, 0.5])
    mean = Mean(0.9)
    mean.add(5.0)
    assert mean.value == pytest.approx(5.0)
    mean.add(0.0)
    assert mean.value == pytest.approx(0.9 * 0.1 * 5 / (1 - 0.81))


def test_a_failure_is_as_bad_as_the_worst():
    options, good, poor = Reinforce(ARMS), {"arm": "good"}, {"arm": "poor"}
    failed = policy([1.0, 2.0, 1.0, None], options, [good, good, good, poor])
    worst = policy([1.0, 2.0, 1.0, 2.0], options, [good, good, good, poor])
    assert failed.logits == pytest.approx(worst.logits)
    assert policy([None, None], options, [good, poor]).updates == 0, "nothing is known yet"


@given(st.lists(st.integers(-100, 100), min_size=3, max_size=12), st.floats(0.01, 100), st.floats(-50, 50))
def test_the_units_of_the_loss_make_no_difference(losses, scale, offset):
    configs = [MIXED.sample(stream(0, number, "")) for number in range(len(losses))]
    one = policy(losses, Reinforce(MIXED), configs)
    other = policy([scale * loss + offset for loss in losses], Reinforce(MIXED), configs)
    assert other.probabilities == pytest.approx(one.probabilities, abs=1e-4)


@given(st.integers(0, 10**6))
def test_the_arms_of_a_drawn_point_are_those_of_its_config(seed):
    arms, rng = Arms(MIXED, 8), np.random.default_rng(seed)
    assert [each.stop - each.start for each in arms.slices] == [8, 3, 2, 8, 4, 12, 1]
    config = MIXED.decode(arms.point(np.ones(len(arms)), rng))
    MIXED.validate(config)
    chosen = dict(zip((n for n in config if n != "one"), arms.chosen(config), strict=True))
    only = np.zeros(len(arms))
    for each in arms.slices:
        only[each.start] = 1.0
    for each, arm in chosen.values():
        only[each], only[each.start + arm] = 0.0, 1.0
    again = MIXED.decode(arms.point(only, rng))
    for (name, value), (at, was) in zip(
        config.items(), zip(arms.chosen(again), arms.chosen(config), strict=True), strict=False
    ):
        assert at[0] == was[0]
        assert abs(at[1] - was[1]) <= (name == "width"), "an integer may lie on the edge"
        assert name in ("lr", "width") or again[name] == value


def test_only_active_parameters_are_learnt():
    configs = [{"lr": 0.1, "kind": "b", "width": 9, "layers": 2, "size": 3, "one": 1}] * 4
    view = policy([1.0, 0.5, 2.0, 0.1], Reinforce(MIXED), configs)
    shares = view.probabilities
    assert shares[11:13] == pytest.approx([0.5, 0.5]), "flag was inactive"
    assert shares[8:11] != pytest.approx([1 / 3] * 3)


def test_it_finds_better_cells_than_random_search():
    """Of cells whose loss is a sum over edges: after 100 runs, medians over seeds."""
    space = Space.from_json(CELL)
    edges = [parameter.name for parameter in space if parameter.domain.count != 1]
    worth = {(edge, op): stream(7, 0, edge + op).normal() for edge in edges for op in space[edge].domain.values}

    def loss(config):
        return -sum(worth[edge, config[edge]] for edge in edges)

    def median(name):
        found = []
        for seed in range(7):
            spec = StudySpec.from_json(
                {
                    "space": CELL, "algorithm": {"name": name}, "seed": seed, "budget": {"max_runs": 100},
                    "metrics": [{"name": "loss", "direction": "minimize"}],
                }
            )  # fmt: skip
            history = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (loss(run.config),)), 2).history
            found.append(history.outcome(best(spec, history)).loss)
        return np.median(found)

    least = -sum(max(worth[edge, op] for op in space[edge].domain.values) for edge in edges)
    assert median("reinforce") - least < (median("random") - least) / 4
