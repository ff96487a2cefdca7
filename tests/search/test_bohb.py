"""BOHB: when there is a model and of what, what is filled in, how often it is used, and that it learns."""

import itertools
from statistics import median

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, Run, RunState, Slot, StudySpec, ask
from search.density.axes import Axes
from search.ledger import cost
from search.observations import observations
from search.samplers.kde import KDESampler, impute
from search.simulation import simulate
from search.testbed import Hartmann, box
from spaces import Space

LOSS = [{"name": "loss", "direction": "minimize"}]
PLANE = {**box(2), "fidelity": {"name": "epochs", "low": 1, "high": 27}}


def study(space=PLANE, max_trials=None, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": "bohb", **options},
            "metrics": LOSS,
            "budget": {"max_trials": max_trials},
            "seed": seed,
        }
    )


def success(loss):
    return Outcome(RunState.SUCCEEDED, (loss,))


def told(outcomes, fidelities=itertools.repeat(1)):
    """A history of trials on a line with these outcomes, each at its fidelity; None leaves one open."""
    history = History()
    for number, (outcome, fidelity) in enumerate(zip(outcomes, fidelities, strict=False)):
        config = {"x0": (number + 0.5) / 200, "x1": (number * 0.618) % 1}
        history.append(Added(Run(number, number, config, Slot(fidelity=fidelity))))
        if outcome is not None:
            history.append(Ended(number, outcome))
    return history


def split(history, **options):
    space = Space.from_json(PLANE)
    return KDESampler(space, **options).split(observations(space, history), 2)


class TestSplit:
    @pytest.mark.parametrize(
        ("results", "good", "bad"), [(6, 3, 3), (10, 3, 7), (20, 3, 17), (40, 6, 34), (100, 15, 85)]
    )
    def test_sizes(self, results, good, bad):
        fidelity, *sides = split(told([success(float(n)) for n in range(results)]))
        assert fidelity == 1
        assert [side.tolist() for side in sides] == [list(range(good)), list(range(good, good + bad))]

    def test_no_model_below_twice_the_least_number(self):
        assert split(told([success(float(n)) for n in range(5)])) is None
        assert split(told([])) is None

    def test_the_highest_fidelity_with_enough_results_counts(self):
        outcomes = [success(float(n)) for n in range(17)]
        fidelity, good, bad = split(told(outcomes, [1] * 6 + [3] * 6 + [9] * 5))
        assert (fidelity, good.tolist(), bad.tolist()) == (3, [6, 7, 8], [9, 10, 11])

    def test_failures_are_bad_and_never_good(self):
        failed = Outcome(RunState.FAILED)
        _, good, bad = split(told([failed] * 14 + [success(1.0)] * 3 + [failed] * 3))
        assert good.tolist() == [14, 15, 16]
        assert len(bad) == 17
        assert split(told([failed] * 20)) is None
        assert split(told([failed] * 20 + [success(1.0)] * 2)) is None, "two successes are too few for two dimensions"

    def test_cancelled_and_open_runs_do_not_count(self):
        assert split(told([success(float(n)) for n in range(5)] + [Outcome(RunState.CANCELLED), None])) is None

    def test_ties_go_to_the_lower_trial(self):
        _, good, _ = split(told([success(1.0)] * 10))
        assert good.tolist() == [0, 1, 2]


class TestImputation:
    SPACE = Space.from_json(
        {
            "parameters": [
                {"name": "x", "type": "float", "low": 0, "high": 1},
                {"name": "y", "type": "float", "low": 0, "high": 1},
                {"name": "o", "type": "ordinal", "choices": [1, 2, 4]},
                {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            ]
        }
    )
    AXES = Axes.of(SPACE, range(4), lambda domain: False)

    @pytest.mark.parametrize("missing", list(itertools.product([False, True], repeat=4)))
    def test_nothing_is_left_missing(self, missing):
        donors = np.array([[0.1, np.nan, 0.5, 1.0], [np.nan, 0.2, np.nan, 2.0], [0.3, np.nan, np.nan, np.nan]])
        rows = np.where(missing, np.nan, np.array([[0.7, 0.8, 0.5, 0.0]] * 50))
        filled = impute(self.AXES, rows, donors, np.random.default_rng(0))
        assert not np.isnan(filled).any()
        assert (filled[:, ~np.array(missing)] == np.array([0.7, 0.8, 0.5, 0.0])[~np.array(missing)]).all()

    def test_what_a_donor_has_is_taken_together(self):
        donors = np.array([[0.1, 0.2, 0.5, 1.0], [0.3, 0.4, 0.5, 2.0]])
        filled = impute(self.AXES, np.full((100, 4), np.nan), donors, np.random.default_rng(0))
        assert {tuple(row) for row in filled.tolist()} == {tuple(row) for row in donors.tolist()}

    def test_what_no_donor_has_is_drawn_uniformly(self):
        donors = np.full((2, 4), np.nan)
        filled = impute(self.AXES, np.full((3000, 4), np.nan), donors, np.random.default_rng(0))
        assert filled[:, 0].mean() == pytest.approx(0.5, abs=0.03)
        assert np.bincount(filled[:, 3].astype(int)) / 3000 == pytest.approx([1 / 3] * 3, abs=0.04)
        assert set(filled[:, 2].tolist()) == {1 / 6, 0.5, 5 / 6}


def test_two_thirds_come_from_the_model():
    history = told([success(float(n)) for n in range(20)])
    runs = [ask(study(seed=seed), history) for seed in range(600)]
    share = sum(run.origin["rule"] == "model" for run in runs) / 600
    assert share == pytest.approx(2 / 3, abs=0.05)
    assert runs[0].origin["probabilities"] == pytest.approx({"random": 1 / 3, "model": 2 / 3})


def test_origins():
    assert ask(study(), History()).origin == {"rule": "random", "probabilities": {"random": 1.0}}
    history = told([success(float(n)) for n in range(20)])
    origin = ask(study(random_fraction=0), history).origin
    assert (origin["rule"], origin["fidelity"], origin["good"], origin["bad"]) == ("model", 1, 3, 17)
    assert origin["candidates"] == 64
    assert origin["probabilities"] == {"random": 0, "model": 1}
    assert isinstance(origin["log_ratio"], float)


def test_many_open_trials_count_as_bad():
    outcomes = [success(float(n)) for n in range(20)]
    for open_trials, expected in ((4, 17), (5, 22)):
        history = told([*outcomes, *[None] * open_trials])
        assert ask(study(random_fraction=0), history).origin["bad"] == expected
        assert ask(study(random_fraction=0, pending="ignore"), history).origin["bad"] == 17


def test_constants_do_not_stop_the_model():
    space = {**PLANE, "parameters": [*PLANE["parameters"], {"name": "k", "type": "constant", "value": 3}]}
    history = History()
    for number in range(20):
        config = {"x0": number / 20, "x1": number / 20, "k": 3}
        history.append(Added(Run(number, number, config, Slot(fidelity=1))))
        history.append(Ended(number, success(float(number))))
    assert ask(study(space, random_fraction=0), history).origin["rule"] == "model"


def test_a_space_of_constants_has_no_model():
    space = {"parameters": [{"name": "k", "type": "constant", "value": 3}], "fidelity": PLANE["fidelity"]}
    assert ask(study(space), History()).origin["rule"] == "random"


def test_constraints_are_kept():
    space = {**PLANE, "constraints": [{"linear": {"x0": 1, "x1": 1}, "le": 1.0}]}
    spec = study(space, max_trials=60)
    history = simulate(spec, lambda run: success(-run.config["x0"] - run.config["x1"])).history
    assert all(spec.space.allows(run.config) for run in history.runs)
    assert sum(run.origin["rule"] == "model" for run in history.runs) > 10


def regret(algorithm, seeds, mark):
    """The median regret of the incumbent at the highest fidelity after `mark` full trainings, on MF-Hartmann6."""
    function, found = Hartmann(6), []
    for seed in range(seeds):
        spec = StudySpec.from_json(
            {
                "space": function.space,
                "algorithm": algorithm,
                "metrics": LOSS,
                "budget": {"max_fidelity": 100 * mark},
                "seed": seed,
            }
        )
        history = simulate(spec, lambda run, seed=seed: function.run(run, seed)).history
        spent, best = 0.0, np.inf
        for event in history.events:
            if isinstance(event, Ended):
                run = history.runs[event.run]
                spent += cost(history, run.fidelity, run.resume_from)
                if run.fidelity == 100 and spent <= 100 * mark:
                    best = min(best, event.outcome.loss)
        found.append(best)
    return median(found)


@pytest.mark.parametrize("mark", [12, 24])
def test_it_beats_hyperband_and_that_beats_random_search(mark):
    random = regret({"name": "random"}, 9, mark)
    hyperband = regret({"name": "hyperband", "rounding": "floor"}, 9, mark)
    bohb = regret({"name": "bohb", "rounding": "floor"}, 9, mark)
    assert random > hyperband > 1.5 * bohb
