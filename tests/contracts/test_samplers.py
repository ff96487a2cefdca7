"""What every algorithm's sampler promises: legal configs in plain types, none twice, the same ones in any process."""

import json
import subprocess
import sys

import pytest

from search import ALGORITHMS, Ended, History, Optimizer, Outcome, RunState, StudySpec, ask_many
from search.simulation import simulate
from search.streams import stream

CONDITIONAL = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "when": {"parameter": "optimizer", "equals": "sgd"}},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "momentum", "gt": 0.5}},
        {"name": "width", "type": "int", "low": 16, "high": 256, "log": True},
        {"name": "dropout", "type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        {"name": "batch", "type": "ordinal", "choices": [16, 32, 64]},
        {"name": "epochs_warm", "type": "constant", "value": 1},
    ]
}  # fmt: skip
FINITE = {
    "parameters": [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "optimizer", "equals": "sgd"}},
        {"name": "layers", "type": "int", "low": 1, "high": 4},
    ]
}
POINT = {"parameters": [{"name": "x", "type": "constant", "value": 3}]}
FIDELITY = {"name": "epochs", "low": 1, "high": 9}

every_algorithm = pytest.mark.parametrize("algorithm", list(ALGORITHMS))


def study(algorithm, space=CONDITIONAL, seed=0, **budget):
    return StudySpec.from_json(
        {
            "space": {**space, "fidelity": FIDELITY},
            "algorithm": {"name": algorithm},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget,
            "seed": seed,
        }
    )


def lossy(run):
    """A loss of the config alone: some order, any order."""
    text = json.dumps(run.config, sort_keys=True)
    return Outcome(RunState.SUCCEEDED, (float(stream(0, len(text), text).random()),))


def erratic(run):
    """As `lossy`, but a third of the runs fail."""
    return lossy(run) if run.number % 3 else Outcome(RunState.FAILED, failure="error")


def sampled(history):
    return [run for run in history.runs if run.resume_from is None]


@every_algorithm
@pytest.mark.parametrize("objective", [lossy, erratic])
def test_configs_are_legal_and_inactive_parameters_absent(algorithm, objective):
    spec = study(algorithm, max_runs=150)
    runs = simulate(spec, objective, workers=3).history.runs
    for run in runs:
        spec.space.validate(run.config)
        assert set(run.config) == spec.space.active(run.config)
    assert {"nesterov" in run.config for run in runs} == {True, False}


@every_algorithm
def test_values_are_plain_python_that_json_keeps(algorithm):
    for run in simulate(study(algorithm, max_runs=60), lossy).history.runs:
        assert {type(value) for value in run.config.values()} <= {int, float, bool, str}
        assert type(run.config) is dict
        assert json.loads(json.dumps(run.config)) == run.config
        assert json.loads(json.dumps(run.origin)) == run.origin


@every_algorithm
def test_the_origin_of_a_new_trial_names_its_rule_and_the_probabilities(algorithm):
    for run in sampled(simulate(study(algorithm, max_runs=60), lossy).history):
        assert run.origin["rule"] in run.origin["probabilities"]
        assert sum(run.origin["probabilities"].values()) == pytest.approx(1)


@every_algorithm
@pytest.mark.parametrize("objective", [lossy, erratic])
@pytest.mark.parametrize("workers", [1, 4])
def test_no_config_is_given_twice_while_points_are_left(algorithm, objective, workers):
    spec = study(algorithm, FINITE)
    assert spec.space.size() == 12
    played = simulate(spec, objective, workers)
    keys = [spec.space.key(run.config) for run in sampled(played.history)]
    assert len(keys) == len(set(keys)) == 12
    assert played.end.reason == "exhausted"


@every_algorithm
def test_configs_of_open_runs_are_taken(algorithm):
    spec, history = study(algorithm, FINITE), History()
    runs, _ = ask_many(spec, history, 100)  # nothing has ended
    assert len(runs) == len({spec.space.key(run.config) for run in runs}) == 12


@every_algorithm
def test_a_space_with_one_point_is_tried_once(algorithm):
    played = simulate(study(algorithm, POINT), lossy, workers=4)
    assert [run.config for run in sampled(played.history)] == [{"x": 3}]
    assert played.history.runs[-1].fidelity == 9
    assert played.end.reason == "exhausted"


@every_algorithm
def test_runs_that_all_diverge_do_not_stop_the_search(algorithm):
    opt = Optimizer(
        {**CONDITIONAL, "fidelity": FIDELITY}, [{"name": "loss", "direction": "minimize"}], {"name": algorithm},
        {"max_trials": 40},
    )  # fmt: skip
    while run := opt.ask():
        opt.tell(run, {"loss": float("nan")})
    assert (opt.history.trial_count, opt.best(), opt.done) == (40, None, True)


@every_algorithm
def test_seeds_differ(algorithm):
    first = [ask_many(study(algorithm, seed=seed), History(), 5)[0] for seed in (0, 1, 2**70)]
    assert len({json.dumps([run.config for run in runs]) for runs in first}) == 3


@every_algorithm
def test_the_same_seed_gives_the_same_sequence_in_another_process(algorithm):
    given = {
        "space": {**CONDITIONAL, "fidelity": FIDELITY},
        "algorithm": {"name": algorithm},
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "budget": {"max_runs": 40},
        "seed": 5,
    }
    code = (
        "import json, sys\n"
        "from search import Optimizer\n"
        "opt, runs = Optimizer(**json.load(sys.stdin)), []\n"
        "while run := opt.ask():\n"
        "    opt.tell(run, {'loss': run.config['lr'] / run.fidelity})\n"
        "    runs.append([run.trial, run.config, run.fidelity, run.origin])\n"
        "print(json.dumps(runs))\n"
    )
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert len(json.loads(first)) == 40


@every_algorithm
def test_draws_start_uniform(algorithm):
    """Before anything has ended an algorithm knows nothing: its first trials cover every parameter's range."""
    runs, _ = ask_many(study(algorithm), History(), 9)
    space = study(algorithm).space
    encoded = [space.encode(run.config)[0] for run in runs]
    assert min(encoded) < 0.35
    assert max(encoded) > 0.65


@every_algorithm
def test_the_end_of_a_run_changes_no_config_that_was_given(algorithm):
    spec, history = study(algorithm), History()
    runs, _ = ask_many(spec, history, 5)
    before = [dict(run.config) for run in runs]
    for run in runs:
        history.append(Ended(run.number, lossy(run)))
    ask_many(spec, history, 5)
    assert [dict(run.config) for run in history.runs[:5]] == before
