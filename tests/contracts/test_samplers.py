"""What every algorithm's sampler promises: legal configs in plain types, none twice, the same ones in any process."""

import inspect
import json
import os
import subprocess
import sys

import pytest

from search import Ended, History, Optimizer, Outcome, RunState, StudySpec, ask_many
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT, affordable

CONDITIONAL = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True, "prior": {"mode": 0.01}},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "when": {"parameter": "optimizer", "equals": "sgd"}},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "momentum", "gt": 0.5}},
        {"name": "width", "type": "int", "low": 16, "high": 256, "log": True},
        {"name": "dropout", "type": "float", "low": 0.0, "high": 0.5, "step": 0.01},
        {"name": "batch", "type": "ordinal", "choices": [16, 32, 64]},
        {"name": "epochs_warm", "type": "constant", "value": 1},
    ]
}  # fmt: skip
FINITE = {
    "parameters": [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {"name": "nesterov", "type": "bool", "when": {"parameter": "optimizer", "equals": "sgd"}},
        {"name": "layers", "type": "int", "low": 1, "high": 4, "prior": {"mode": 2, "confidence": "low"}},
    ]
}
POINT = {
    "parameters": [
        {"name": "x", "type": "constant", "value": 3},
        {"name": "y", "type": "categorical", "choices": ["a"], "prior": {"mode": "a"}},
    ]
}
FIDELITY = {"name": "epochs", "low": 1, "high": 9}

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)


def study(algorithm, space=CONDITIONAL, seed=0, **budget):
    return StudySpec.from_json(
        {
            "space": {**space, "fidelity": FIDELITY},
            "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {})},
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
    spec = study(algorithm, max_runs=affordable(algorithm, 150))
    runs = simulate(spec, objective, workers=3).history.runs
    for run in runs:
        spec.space.validate(run.config)
        assert set(run.config) == spec.space.active(run.config)
    assert {"nesterov" in run.config for run in runs} == {True, False}


@every_algorithm
def test_values_are_plain_python_that_json_keeps(algorithm):
    for run in simulate(study(algorithm, max_runs=affordable(algorithm, 60)), lossy).history.runs:
        assert {type(value) for value in run.config.values()} <= {int, float, bool, str}
        assert type(run.config) is dict
        assert json.loads(json.dumps(run.config)) == run.config
        assert json.loads(json.dumps(run.origin)) == run.origin


@every_algorithm
def test_the_origin_of_a_new_trial_names_its_rule_and_the_probabilities(algorithm):
    for run in sampled(simulate(study(algorithm, max_runs=affordable(algorithm, 60)), lossy).history):
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
    assert [run.config for run in sampled(played.history)] == [{"x": 3, "y": "a"}]
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
    first = [ask_many(study(algorithm, seed=seed), History(), 5)[0] for seed in (0, 1, 2**53 - 1)]
    assert len({json.dumps([run.config for run in runs]) for runs in first}) == 3


def played(study):
    """The decisions of a study whose runs all succeed, as JSON. Called here, and by its source in another process."""
    opt, runs = Optimizer(**study), []
    while run := opt.ask():
        opt.tell(run, {"loss": run.config["lr"] / run.fidelity})
        runs.append([run.trial, run.config, run.fidelity, run.origin])
    return json.dumps(runs)


@pytest.fixture(scope="module")
def other_process():
    """A function that plays a study in another process, which differs in what must make no difference: how texts are
    hashed, how many threads compute, and what was played before."""
    code = (
        "import json, sys\n"
        "from search import Optimizer\n"
        f"{inspect.getsource(played)}\n"
        "for line in sys.stdin:\n"
        "    print(played(json.loads(line)), flush=True)\n"
    )
    threads = {f"{library}_NUM_THREADS": "3" for library in ("OMP", "OPENBLAS", "MKL")}
    environment = {**os.environ, **threads, "PYTHONHASHSEED": "77"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def play(study):
            process.stdin.write(json.dumps(study) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield play
        process.stdin.close()


@every_algorithm
def test_the_same_seed_gives_the_same_sequence_in_another_process(algorithm, other_process):
    runs = affordable(algorithm, 40)
    given = {
        "space": {**CONDITIONAL, "fidelity": FIDELITY},
        "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {})},
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "budget": {"max_runs": runs},
        "seed": 5,
    }
    here = played(given)
    assert other_process(given) == here
    assert len(json.loads(here)) == runs


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
