"""Successive halving: Hyperband whose brackets are all alike."""

import pytest

from search import Outcome, RunState, StudySpec
from search.simulation import simulate


def study(high=27, max_trials=54, **options):
    return StudySpec.from_json(
        {
            "space": {
                "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
                "fidelity": {"name": "epochs", "low": 1, "high": high},
            },
            "algorithm": {"name": "successive-halving", **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": {"max_trials": max_trials},
        }
    )


def rungs(spec):
    runs = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x"],)), workers=3).history.runs
    found = {}
    for run in runs:
        fidelities = found.setdefault(run.slot.bracket, {})
        fidelities[run.fidelity] = fidelities.get(run.fidelity, 0) + 1
    return found


def test_every_bracket_starts_at_the_bottom():
    assert rungs(study()) == {bracket: {1: 27, 3: 9, 9: 3, 27: 1} for bracket in (0, 1)}


@pytest.mark.parametrize(
    ("halvings", "expected"),
    [(2, {3: 12, 9: 4, 27: 1}), (0, {27: 4}), (99, {1: 27, 3: 9, 9: 3, 27: 1})],
)
def test_or_as_many_rungs_below_the_top_as_asked_for(halvings, expected):
    assert rungs(study(halvings=halvings, max_trials=next(iter(expected.values()))))[0] == expected
