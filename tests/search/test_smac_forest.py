"""The random forest of SMAC: its numbers, what pending trials do, and whether it learns."""

import logging

import numpy as np
import pytest
from scipy.special import ndtr

from search import Added, Ended, History, Outcome, RunState, StudySpec, ask, ask_many
from search.simulation import simulate
from search.streams import Streams
from search.surrogate import Data
from search.testbed import box, sphere

forest = pytest.importorskip("search.samplers.smac_forest")

LOSS = [{"name": "loss", "direction": "minimize"}]


def study(space, name="smac", runs=40, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": name, **options},
            "metrics": LOSS,
            "budget": {"max_runs": runs},
            "seed": seed,
        }
    )


def test_scaled_logs():
    losses = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    logs = forest.scaled_logs(losses)
    assert logs == pytest.approx(np.log((losses + 0.5) / 100.5), abs=1e-6)
    assert forest.scaled_logs(3 * losses - 7) == pytest.approx(logs, abs=1e-6)
    assert forest.scaled_logs(-losses).max() == 0
    assert np.isfinite(forest.scaled_logs(np.full(5, -2.0))).all()


@pytest.fixture
def log_level():
    """SMAC sets the level of everybody's log."""
    before = logging.root.level
    yield
    logging.root.setLevel(before)


@pytest.fixture
def theirs(tmp_path, log_level):
    """What SMAC's own optimizer has learned from 30 trials told to it: its encoder, forest and acquisition."""
    smac = pytest.importorskip("smac")
    from ConfigSpace import ConfigurationSpace
    from smac.runhistory import TrialValue

    space = ConfigurationSpace({"0": (0.0, 1.0), "1": (0.0, 1.0), "2": (0.0, 1.0)})
    scenario = smac.Scenario(space, deterministic=True, n_trials=100, seed=5, output_directory=tmp_path)
    facade = smac.HyperparameterOptimizationFacade
    design = facade.get_initial_design(scenario, n_configs=30, max_ratio=1)
    optimizer = facade(scenario, lambda config, seed=0: 0.0, initial_design=design, overwrite=True, logging_level=50)
    for _ in range(30):
        trial = optimizer.ask()
        x = np.array([trial.config[str(axis)] for axis in range(3)])
        optimizer.tell(trial, TrialValue(cost=float(((x - 0.3) ** 2).sum()), time=0.0))
    optimizer.ask()  # trains it
    return optimizer._config_selector


def test_the_forest_and_the_improvement_are_those_of_smac_s_own_optimizer(theirs):
    """Told the same trials: the scaled losses, each tree (by mean and variance), and the improvement at any point."""
    from smac.runhistory import StatusType

    points, logs, _ = theirs._collect_data()
    losses = np.array([value.cost for value in theirs._runhistory.values() if value.status is StatusType.SUCCESS])
    data = Data(points, losses, points[:0], len(points), 0, None)
    assert forest.scaled_logs(losses) == pytest.approx(logs[:, 0], abs=1e-6)

    class Seeded:
        def __call__(self, purpose):
            return self

        def integers(self, high):
            return theirs._scenario.seed

    ours = forest._Forest(data, 10, Seeded())
    at = np.random.default_rng(0).random((500, 3))
    mean, variance = ours._model.predict_marginalized(at)
    for one, other in zip((mean, variance), theirs._model.predict_marginalized(at), strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    function = theirs._acquisition_function
    with np.errstate(all="ignore"):
        v = (ours._best - mean) / np.sqrt(variance)
        function._eta = ours._best  # ours is the least loss seen, theirs the least one predicted
        direct = np.exp(ours._best) * ndtr(v) - np.exp(variance / 2 + mean) * ndtr(v - np.sqrt(variance))
    clear = direct[:, 0] > 1e-9
    assert clear.sum() > 50
    assert np.exp(ours.score(at[clear])) == pytest.approx(function._compute(at[clear])[:, 0], rel=1e-5)


def test_the_mean_and_the_variance_are_over_the_trees():
    rng = np.random.default_rng(1)
    points = rng.random((40, 2))
    points[::3, 1] = np.nan
    data = Data(points, points[:, 0] + 0.1, points[:0], 40, 0, None)
    model = forest._Forest(data, 7, Streams(0, 40))._model
    at = np.nan_to_num(points[:10], nan=forest.INACTIVE)
    trees = np.array([tree.predict(at) for tree in model._rf.estimators_])
    assert len(trees) == 7
    mean, variance = model.predict_marginalized(at)
    assert mean[:, 0] == pytest.approx(trees.mean(axis=0))
    assert variance[:, 0] == pytest.approx(np.maximum(trees.var(axis=0), model._var_threshold))


def test_pending_trials_have_the_median():
    points = np.linspace(0.05, 0.95, 10)[:, None]
    losses = np.arange(10.0)
    alone, accompanied = (
        forest._Forest(Data(points, losses, pending, 10, 0, None), 50, Streams(0, 3))
        for pending in (points[:0], np.full((5, 1), 0.01))
    )
    best = np.array([[0.01]])
    mean = accompanied._model.predict_marginalized(best)[0][0, 0]
    assert mean == pytest.approx(np.median(forest.scaled_logs(losses)), abs=0.3)
    assert accompanied.score(best) < alone.score(best)


def test_it_learns_a_space_of_choices_and_conditions():
    space = {
        "parameters": [
            {"name": "c", "type": "categorical", "choices": list("abcdef")},
            {"name": "x", "type": "float", "low": 0, "high": 1, "when": {"parameter": "c", "in": ["a", "b"]}},
            {"name": "n", "type": "int", "low": 1, "high": 64, "log": True},
        ]
    }

    def loss(run):
        config = run.config
        near = abs(config["x"] - 0.7) if "x" in config else 1.0
        return Outcome(RunState.SUCCEEDED, (near + 0.3 * (config["c"] != "b") + abs(np.log2(config["n"]) - 3) / 10,))

    found = []
    for seed in range(3):
        history = simulate(study(space, seed=seed, runs=50), loss).history
        found.append(min(history.outcome(run.number).loss for run in history.runs))
    assert np.median(found) < 0.1


def test_it_beats_random_on_the_sphere():
    def best(name, seed):
        history = simulate(
            study(box(4, -5, 5), name, 50, seed), lambda run: Outcome(RunState.SUCCEEDED, (sphere(run.config),))
        ).history
        return min(history.outcome(run.number).loss for run in history.runs)

    assert np.median([best("smac", seed) for seed in range(3)]) < np.median([best("random", s) for s in range(3)]) / 2


def test_pending_trials_push_the_next_ones_away():
    spec = study(box(1), uniform=0, initial=5)
    history = History()
    while len(history.runs) < 12:
        run = ask(spec, history)
        history.append(Added(run))
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, ((run.config["x0"] - 0.4) ** 2,))))
    runs, _ = ask_many(spec, history, 4)
    assert [run.origin["pending"] for run in runs] == [0, 1, 2, 3]
    xs = sorted(run.config["x0"] for run in runs)
    assert min(np.diff(xs)) > 1e-4


def test_uniform_draws_are_interleaved():
    runs = simulate(
        study(box(2), runs=60, uniform=0.5, candidates=20, climbs=1),
        lambda run: Outcome(RunState.SUCCEEDED, (sphere(run.config),)),
    ).history.runs
    rules = [run.origin["rule"] for run in runs]
    assert rules[:4] == ["sobol"] * 4
    assert 15 < rules.count("uniform") < 45
    assert all(run.origin["probabilities"] == {"model": 0.5, "uniform": 0.5} for run in runs[4:])


def test_under_hyperband_it_learns_from_the_highest_fidelity_that_has_enough():
    space = {**box(1), "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    spec = study(space, "smac-hyperband", runs=60, candidates=50)
    runs = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x0"] + 1 / run.fidelity,))).history.runs
    learned = [run.origin["fidelity"] for run in runs if run.origin.get("rule") == "model"]
    assert learned[0] == 1
    assert learned[-1] == 9
    assert learned == sorted(learned)


def test_a_prior_is_tried_first_and_weighs_the_model_at_first():
    space = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.8, "sigma": 0.05}}]}
    flat = simulate(
        study(space, runs=16, uniform=0), lambda run: Outcome(RunState.SUCCEEDED, (run.number % 2,))
    ).history
    assert flat.runs[0].config["x"] == pytest.approx(0.8)
    assert flat.runs[0].origin["rule"] == "prior"
    modelled = [run.config["x"] for run in flat.runs if run.origin["rule"] == "model"]
    assert all(abs(x - 0.8) < 0.2 for x in modelled)
    ignored = simulate(study(space, runs=4, prior_weight=0), lambda run: Outcome(RunState.SUCCEEDED, (1.0,))).history
    assert ignored.runs[0].origin["rule"] == "sobol"
