"""The order of keys in JSON objects says nothing: not in a study, nor in the configs and origins that it is told of."""

import json
from dataclasses import replace

import numpy as np
import pytest

from search import Added, History, Outcome, RunState, StudySpec, ask
from search.simulation import simulate
from search.testbed import ANYWHERE, LIGHT
from spaces import Space

PARAMETERS = [
    {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
    {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
    {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
    {"name": "z", "type": "float", "low": 0, "high": 1},
]
FIDELITY = {"name": "epochs", "low": 1, "high": 9}
SUMS = [{"linear": {"x": 1, "z": 0.7}, "le": 1.3}, {"linear": {"y": 0.1, "x": -0.3, "z": 0.2}, "le": 4.5}]
SOON = {
    **{name: {"initial": 8} for name in ("smac", "smac-hyperband", "dngo")},
    "gp": {"initial": 18},
    "optuna-gp": {"startup": 16},
    **{name: {"population": 6} for name in ("evolution", "neuroevolution", "nsga2", "pbt")},
}


def backwards(value):
    """The same JSON with the keys of all objects in reverse."""
    if isinstance(value, dict):
        return {key: backwards(inner) for key, inner in reversed(value.items())}
    return [backwards(inner) for inner in value] if isinstance(value, list) else value


def given(algorithm, constraints=()):
    return {
        "space": {"parameters": PARAMETERS, "fidelity": FIDELITY, "constraints": list(constraints)},
        "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {}), **SOON.get(algorithm, {})},
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "budget": {"max_runs": 22},
    }


def erratic(run):
    if run.number % 5 == 4:
        return Outcome(RunState.FAILED, failure="error")
    loss = (run.config["x"] - 0.3) ** 2 + run.config["z"] + run.config.get("y", 25) / 100 + 1 / run.fidelity
    return Outcome(RunState.SUCCEEDED, (loss,))


@pytest.mark.parametrize("algorithm", ANYWHERE)
@pytest.mark.parametrize("constraints", [[], SUMS])
def test_every_decision_is_made_again_from_objects_whose_keys_are_turned_round(algorithm, constraints):
    written = given(algorithm, constraints)
    events = simulate(StudySpec.from_json(written), erratic, workers=3).history.events
    spec, history = StudySpec.from_json(backwards(written)), History()
    assert spec == StudySpec.from_json(written)
    for event in events:
        if isinstance(event, Added):
            assert ask(spec, history) == event.run
            config = dict(reversed(event.run.config.items()))
            origin = backwards(json.loads(json.dumps(event.run.origin)))
            event = Added(replace(event.run, config=config, origin=origin))
        history.append(event)


@pytest.mark.parametrize("move", ["mutate", "neighbours", "sample", "sample_prior", "repair"])
def test_moves_in_a_space_go_by_its_declared_order(move):
    for seed in range(20):
        found = []
        for turned in (False, True):
            space = Space.from_json({"parameters": PARAMETERS, "constraints": backwards(SUMS) if turned else SUMS})
            config = {"x": 0.9, "kind": "a", "y": 50, "z": 0.9} if move == "repair" else space.default()
            config = backwards(config) if turned else config
            rng = np.random.default_rng(seed)
            call = getattr(space, move)
            found.append(call(rng) if move in ("sample", "sample_prior") else call(config, rng))
        assert found[0] == found[1]
