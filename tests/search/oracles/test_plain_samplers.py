"""Grid and Sobol points: which there are, how they fill choices and conditions, and that nothing else moves them."""

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, RunState, StudySpec, ask, ask_many
from search.simulation import simulate

TREE = [
    {"name": "lr", "type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    {"name": "kind", "type": "categorical", "choices": ["a", "b", "c", "d"]},
    {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "in": ["a", "b"]}},
]


def study(algorithm, parameters=TREE, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters},
            "algorithm": {"name": algorithm, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "seed": seed,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (run.config["lr"],))


def test_a_grid_has_both_ends_five_points_and_children_under_their_parents_only():
    history = simulate(study("grid"), succeed).history
    found = {(run.config["lr"], run.config["kind"], run.config.get("y")) for run in history.runs}
    rates = sorted({lr for lr, _, _ in found})
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1], rel=1e-12)
    assert (rates[0], rates[-1]) == (1e-5, 1e-1)
    assert len(found) == len(history.runs) == 5 * (2 * 5 + 2)
    assert {y for _, kind, y in found if kind in "ab"} == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_a_grid_that_is_cut_short_covers_the_space():
    runs, _ = ask_many(study("grid"), History(), 20)
    assert len({run.config["lr"] for run in runs}) == 5
    assert len({run.config["kind"] for run in runs}) == 4


def test_choices_of_sobol_points_are_cut_from_their_axis_and_so_in_balance():
    for exponent in (4, 7):
        runs, _ = ask_many(study("sobol"), History(), 2**exponent)
        counts = [sum(run.config["kind"] == kind for run in runs) for kind in "abcd"]
        assert counts == [2**exponent // 4] * 4


def test_an_axis_of_a_sobol_point_is_the_parameters_whether_active_or_not():
    """Without its condition the child has the same values in the trials in which it was active."""
    free = [*TREE[:2], {key: value for key, value in TREE[2].items() if key != "when"}]
    some, all_of_them = (ask_many(study("sobol", each), History(), 64)[0] for each in (TREE, free))
    for run, whole in zip(some, all_of_them, strict=True):
        assert run.config == {name: whole.config[name] for name in run.config}


def test_no_sobol_point_is_the_lowest_corner():
    corners = [ask(study("sobol", seed=seed), History()).config["lr"] for seed in range(30)]
    assert min(corners) > 1e-5
    assert len(set(corners)) == 30


def test_the_point_of_a_trial_is_not_that_of_the_number_of_results():
    spec, history = study("sobol"), History()
    runs, _ = ask_many(spec, history, 4)
    for run in runs[:2]:
        history.append(Ended(run.number, succeed(run)))
    fifth = ask(spec, history)
    assert fifth == ask_many(spec, History([Added(run) for run in runs]), 1)[0][0]
    assert fifth.config not in [run.config for run in runs]
    assert np.all([run.origin["index"] == run.trial for run in [*runs, fifth]])
