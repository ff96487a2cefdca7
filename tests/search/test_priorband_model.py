"""PriorBand with a model: what it learns from, when it takes over, and that the choice is made in two steps."""

import math

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, Reported, Run, RunState, Slot, StudySpec, ask
from search.graded import graded_data, shares
from search.maximizer import Effort, Proposals
from search.samplers.gp import calm
from search.samplers.priorband_model import _Fit
from search.simulation import simulate
from search.testbed import Hartmann
from spaces import InvalidInput, Space

LINE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}}]}
MIXED = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 1, "log": True, "prior": {"mode": 1e-2}},
        {"name": "n", "type": "int", "low": 1, "high": 9, "prior": {"mode": 7}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"], "prior": {"mode": "b"}},
        {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
        {"name": "z", "type": "float", "low": 0, "high": 1},
    ],
    "constraints": [{"linear": {"z": 1, "n": 0.1}, "le": 1.2}],
}
AXIS = {"name": "epochs", "low": 1, "high": 9}
SPACE = Space.from_json({**LINE, "fidelity": AXIS})


def study(space=LINE, axis=AXIS, budget=None, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": {**space, "fidelity": axis}, "metrics": [{"name": "loss", "direction": "minimize"}],
            "algorithm": {"name": "priorband", "model": True, **options},
            "budget": budget or {"max_runs": 30}, "seed": seed,
        }
    )  # fmt: skip


def succeed(run):
    target = sum((value - 0.2) ** 2 for value in run.config.values() if isinstance(value, float))
    return Outcome(RunState.SUCCEEDED, (target + 1 / run.fidelity,))


def played(*runs):
    """A history of trials with one run each: (x, outcome or None, fidelity)."""
    history = History()
    for number, (x, outcome, fidelity) in enumerate(runs):
        rung = {1: 0, 3: 1, 9: 2}[fidelity]
        history.append(Added(Run(number, number, {"x": x}, Slot(0, rung, fidelity))))
        if outcome is not None:
            history.append(Ended(number, outcome))
    return history


def success(loss):
    return Outcome(RunState.SUCCEEDED, (loss,))


FAILED = Outcome(RunState.FAILED)


def model_runs(history):
    return [run for run in history.runs if run.origin["rule"] == "model"]


class TestData:
    def test_fidelities_lie_evenly_on_a_log_scale(self):
        assert shares(SPACE, np.array([1.0, 3.0, 9.0])) == pytest.approx([0, 0.5, 1])

    def test_all_fidelities_and_failures_with_the_worst_loss_at_theirs(self):
        history = played(
            (0.1, success(5.0), 1), (0.2, success(7.0), 1), (0.3, success(2.0), 3), (0.4, FAILED, 1), (0.5, FAILED, 9),
            (0.6, None, 3), (0.7, Outcome(RunState.CANCELLED), 3),
        )  # fmt: skip
        data = graded_data(SPACE, history, 100)
        assert data.trials.tolist() == [0, 1, 2, 3, 4]
        assert data.points[:, 0].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
        assert data.shares == pytest.approx([0, 0, 0.5, 0, 1])
        assert data.losses.tolist() == [5.0, 7.0, 2.0, 7.0, 7.0], "at 9 nothing succeeded: the worst of all"
        assert (data.pending[:, 0].tolist(), data.pending_shares.tolist()) == ([0.6], [pytest.approx(0.5)])
        assert (data.successes, data.failed) == (3, 2)

    def test_a_promoted_trial_is_there_with_both_its_results(self):
        history = played((0.1, success(5.0), 1), (0.2, success(7.0), 1))
        history.append(Added(Run(2, 0, {"x": 0.1}, Slot(0, 1, 3), resume_from=0)))
        history.append(Ended(2, success(4.0)))
        data = graded_data(SPACE, history, 100)
        assert (data.trials.tolist(), data.losses.tolist()) == ([0, 1, 0], [5.0, 7.0, 4.0])

    def test_a_stopped_run_counts_at_the_step_of_its_last_report(self):
        history = played((0.1, success(5.0), 9), (0.2, success(7.0), 9), (0.3, None, 9), (0.4, None, 9))
        for step in (1, 2, 3):
            history.append(Reported(2, step, (10.0 - step,)))
        for run in (2, 3):  # the second has said nothing
            history.append(Ended(run, Outcome(RunState.STOPPED)))
        data = graded_data(SPACE, history, 100)
        assert (data.trials.tolist(), data.losses.tolist()) == ([0, 1, 2], [5.0, 7.0, 7.0])
        assert data.shares == pytest.approx([1, 1, 0.5])

    def test_one_success_is_not_enough(self):
        assert graded_data(SPACE, played((0.1, success(5.0), 1), (0.2, FAILED, 1)), 100) is None

    def test_of_many_runs_the_best_and_the_newest_are_kept(self):
        history = played(*[(i / 50, success(float(i)), 1) for i in range(50)])
        assert graded_data(SPACE, history, 10).trials.tolist() == [0, 1, 2, 43, 44, 45, 46, 47, 48, 49]


@pytest.fixture
def scope():
    with calm(0):
        yield


@pytest.mark.usefixtures("scope")
class TestProcess:
    def data(self, *more):
        """Low fidelities are best at 0.3, and the highest at 0.7."""
        runs = [(x, success((x - at) ** 2), z) for z, at in ((1, 0.3), (9, 0.7)) for x in np.linspace(0, 1, 9).tolist()]
        return graded_data(SPACE, played(*runs, *more), 100)

    def test_it_tells_fidelities_apart(self):
        process = _Fit(SPACE).process(self.data())
        grid = np.linspace(0, 1, 101)[:, None]
        low, high = (grid[process.predict(grid, share)[0].argmin(), 0] for share in (0.0, 1.0))
        assert (low, high) == (pytest.approx(0.3, abs=0.05), pytest.approx(0.7, abs=0.05))
        assert process.best(4)[:, 0] == pytest.approx([0.7] * 4, abs=0.1), "as far as the highest fidelity goes"

    def test_pending_runs_keep_others_away(self):
        grid = np.linspace(0, 1, 101)[:, None]
        runs = [(x, success(math.sin(12 * x)), 9) for x in (0.0, 0.1, 0.2, 0.35, 0.65, 0.8, 1.0)]
        before = _Fit(SPACE).process(graded_data(SPACE, played(*runs), 100)).improvement(1.0)(grid)
        pending = (float(grid[before.argmax(), 0]), None, 9)
        after = _Fit(SPACE).process(graded_data(SPACE, played(*runs, pending), 100)).improvement(1.0)(grid)
        assert after[before.argmax()] < before.max() - 0.5

    def test_a_certain_success_improves_nothing(self):
        process = _Fit(SPACE).process(self.data())
        worst, best = process.improvement(1.0)(np.array([[0.0], [0.7]]))
        assert worst < best - 5


def test_the_best_by_one_score_are_judged_by_another():
    """One score has ten equal peaks; of those the other prefers the one on the right."""
    space, effort = Space.from_json(LINE), Effort(candidates=400, climbs=10)
    draw = Proposals(
        space, lambda at: np.cos(20 * math.pi * at[:, 0]), np.empty((0, 1)), effort, final=lambda at: at[:, 0]
    )
    rng = np.random.default_rng(0)
    first = draw(rng)["x"]
    assert (10 * first) % 1 == pytest.approx(1, abs=0.02) or (10 * first) % 1 == pytest.approx(0, abs=0.02)
    assert draw.score == pytest.approx(first), "of the second step"
    assert first >= max(draw(rng)["x"] for _ in range(9)), "the ends of the climbs, by the second score"


def test_it_takes_over_when_enough_was_spent_and_the_rules_come_before():
    history = simulate(study(model_after=4.0, budget={"max_runs": 45}), succeed).history
    spent, reached = 0.0, {}
    for run in history.runs:
        if run.resume_from is None:
            assert (run.origin["rule"] == "model") == (spent / 9 >= 4 - 1e-9), run
        spent += run.fidelity - reached.get(run.trial, 0)
        reached[run.trial] = run.fidelity
    modelled = model_runs(history)
    assert len(modelled) >= 5
    assert modelled[0].origin["probabilities"] == {"model": 1.0}
    assert {"succeeded", "failed", "pending", "log_acquisition"} <= set(modelled[0].origin)


def test_without_the_option_no_model_is_asked():
    spec = study(model=False, model_after=0.1, budget={"max_runs": 40})
    assert not model_runs(simulate(spec, succeed).history)


def test_while_nothing_succeeds_the_rules_go_on():
    history = simulate(study(model_after=0.5), lambda run: FAILED).history
    assert {run.origin["rule"] for run in history.runs} <= {"prior-mode", "prior", "uniform"}


def test_configs_are_legal_and_the_same_each_time():
    spec = study(MIXED, model_after=3.0, budget={"max_runs": 30})

    def erratic(run):
        return FAILED if run.number % 5 == 4 else succeed(run)

    first, second = (simulate(spec, erratic, workers=4).history.runs for _ in range(2))
    assert [(run.config, run.origin) for run in first] == [(run.config, run.origin) for run in second]
    assert any(run.origin["rule"] == "model" for run in first)
    for run in first:
        spec.space.validate(run.config)


def test_a_loaded_history_gives_the_same_suggestion():
    spec = study(model_after=3.0)
    history = simulate(spec, succeed, workers=2).history
    spec = study(model_after=3.0, budget={"max_runs": 100})
    assert ask(spec, History(history.events)) == ask(spec, history)


def test_a_finite_space_is_used_up_without_repeats():
    space = {"parameters": [{"name": "n", "type": "int", "low": 1, "high": 14, "prior": {"mode": 4}}]}
    history = simulate(study(space, model_after=1.0, budget={"max_runs": 500}), succeed).history
    values = [run.config["n"] for run in history.runs if run.resume_from is None]
    assert sorted(values) == list(range(1, 15))


@pytest.mark.parametrize("value", ["yes", 1, 0.0])
def test_the_option_is_true_or_false(value):
    with pytest.raises(InvalidInput) as refused:
        study(model=value)
    (problem,) = refused.value.problems
    assert problem.path == ("algorithm", "model")
    assert problem.message.startswith("must be true or false, got")


def test_with_a_model_the_same_budget_finds_better_configs():
    """MF-Hartmann3, medians of three seeds after 9 full runs, of which the rules alone take 5."""
    problem = Hartmann(3, highest=27)
    space = {"parameters": [{**each, "prior": {"mode": 0.9}} for each in problem.space["parameters"]]}

    def regret(seed, **options):
        spec = study(space, problem.space["fidelity"], {"max_fidelity": 9 * 27}, seed, **options)
        history = simulate(spec, lambda run: problem.run(run, seed)).history
        return min(history.outcome(run.number).loss for run in history.runs if run.fidelity == 27)

    plain = np.median([regret(seed, model=False) for seed in range(3)])
    assert np.median([regret(seed, model_after=5.0) for seed in range(3)]) <= plain / 2
