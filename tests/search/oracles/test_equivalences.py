"""What must not matter: workers and their order, restarts, signs, constants, and branches that are never active."""

import numpy as np
import pytest

from search import ALGORITHMS, Ended, History, Optimizer, Outcome, RunState, StudySpec, ask_many
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
IDLE = [
    {"name": "seed", "type": "constant", "value": 1},
    {"name": "idle", "type": "float", "low": 0, "high": 1, "when": {"not": {"parameter": "seed", "equals": 1}}},
]
LOSS = [{"name": "loss", "direction": "minimize"}]


def study(algorithm, space=SPACE, seed=0, metrics=LOSS, **budget):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {})},
            "metrics": metrics,
            "budget": budget,
            "seed": seed,
        }
    )


def value(run):
    return (run.config["x"] - 0.3) ** 2 + run.config.get("y", 25) / 100 + 1 / run.fidelity


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (value(run),))


@pytest.mark.parametrize("algorithm", ["random", "grid", "sobol"])
def test_the_config_of_a_trial_depends_on_its_number_alone(algorithm):
    """Not on the workers, on what has ended, nor on whether it was asked for alone or with others."""

    def configs(workers):
        def seconds(run):
            return float(stream(workers, run.number, "time").random())

        history = simulate(study(algorithm, max_trials=40), succeed, workers, seconds).history
        return [history.runs[history.runs_of(trial)[0]].config for trial in range(history.trial_count)]

    batch = [run.config for run in ask_many(study(algorithm, max_trials=40), History(), 100)[0]]
    assert configs(1) == configs(4) == configs(16) == batch


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "asha", "successive-halving", "async-hyperband"])
def test_a_constant_and_an_idle_branch_that_are_added_change_no_decision(algorithm):
    plain = simulate(study(algorithm, max_runs=60), succeed).history.runs
    space = {**SPACE, "parameters": [*SPACE["parameters"], *IDLE]}
    wider = simulate(study(algorithm, space, max_runs=60), succeed).history.runs
    for run, same in zip(plain, wider, strict=True):
        assert same.config == {**run.config, "seed": 1}
        assert (same.trial, same.slot, same.resume_from) == (run.trial, run.slot, run.resume_from)


@pytest.mark.parametrize("algorithm", [name for name in ANYWHERE if name not in LIGHT])
def test_the_sign_of_a_metric_is_turned_once(algorithm):
    """Scores to maximise and their negatives to minimise lead to the same study; the incumbent is at the right end."""
    parameters = [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5, "confidence": "low"}}]
    parameters.append({"name": "z", "type": "float", "low": 0, "high": 1})
    space = {"parameters": parameters, "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    options = {"name": algorithm, **({"population": 10} if algorithm == "nsga2" else {})}
    told = []
    for direction, sign, end in (("minimize", 1, min), ("maximize", -1, min), ("maximize", 1, max)):
        opt = Optimizer(space, [{"name": "m", "direction": direction}], options, {"max_runs": 60})
        while run := opt.ask():
            opt.tell(run, {"m": sign * run.config["x"]})
        highest = max(run.fidelity for run in opt.history.runs)
        best = opt.best()
        assert best.config["x"] == end(run.config["x"] for run in opt.history.runs if run.fidelity == highest)
        assert best.metrics["m"] == sign * best.config["x"]
        told.append([(run.config, run.slot) for run in opt.history.runs])
    assert told[0] == told[1]
    decides = ALGORITHMS[algorithm].learns or ALGORITHMS[algorithm].needs_fidelity
    assert (told[0] != told[2]) == decides


def test_observing_an_end_twice_changes_nothing():
    spec, history = study("hyperband"), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:
        history.append(Ended(run.number, succeed(run)))
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (-100.0,))))
    again = History(history.events)
    assert len(history.events) == 18
    assert ask_many(spec, history, 3) == ask_many(spec, again, 3)
    best = np.argsort([value(run) for run in runs])[:3]
    assert [run.resume_from for run in history.runs[9:]] == best.tolist()
