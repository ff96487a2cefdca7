"""What every algorithm's scheduler promises: whole slots, honest waits, failures and workers that break nothing."""

import pytest

from search import ALGORITHMS, Added, Done, Ended, History, Outcome, Run, RunState, StudySpec, Wait, ask, ask_many
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
    ]
}
FIDELITY = {"name": "epochs", "low": 1, "high": 27}

OPTIONS = {
    "grid": {"points": 100},  # as many as the longest of these studies has trials
    # no models: they take long, and a scheduler promises the same without them
    **{name: {"initial": 1000} for name in ("gp", "smac", "smac-hyperband", "dngo")},
    "optuna-gp": {"startup": 1000},
}

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)
every_synchronous_one = pytest.mark.parametrize(
    "algorithm", [name for name in ANYWHERE if ALGORITHMS[name].synchronous]
)
every_one_in_fixed_order = pytest.mark.parametrize(
    "algorithm", [n for n in ANYWHERE if ALGORITHMS[n].synchronous and not ALGORITHMS[n].learns]
)
every_crew = pytest.mark.parametrize("workers", [1, 4, 16])


def study(algorithm, fidelity=FIDELITY, space=SPACE, **budget):
    return StudySpec.from_json(
        {
            "space": {**space, "fidelity": fidelity},
            "algorithm": {"name": algorithm, **OPTIONS.get(algorithm, {})},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (run.config["x"] + 1 / run.fidelity,))


def failing(share, state=RunState.FAILED):
    """An objective of which this share of the trials fails."""
    return lambda run: Outcome(state) if stream(9, run.trial, "fails").random() < share else succeed(run)


def is_first(history, run):
    return history.runs_of(run.trial)[0] == run.number


def durations(order):
    """A random order of completion: how long a run takes has nothing to do with it."""
    return lambda run: float(stream(order, run.number, "duration").random())


@every_algorithm
@every_crew
@pytest.mark.parametrize("order", [1, 2])
def test_every_run_begins_a_trial_or_continues_one_once(algorithm, workers, order):
    history = simulate(study(algorithm, max_trials=60), succeed, workers, durations(order)).history
    assert [run.number for run in history.runs] == list(range(len(history.runs)))
    forks = [run for run in history.runs if run.resume_from is not None and is_first(history, run)]
    assert not forks or ALGORITHMS[algorithm].forks
    continued = [run.resume_from for run in history.runs if run.resume_from is not None and run not in forks]
    assert len(continued) == len(set(continued))
    assert len(continued) == len(history.runs) - history.trial_count
    assert len({(run.trial, run.fidelity) for run in history.runs}) == len(history.runs)
    for run in history.runs:
        if run.resume_from is not None:
            below = history.runs[run.resume_from]
            assert below.fidelity < run.fidelity <= 27
            assert run in forks or (below.trial, below.config) == (run.trial, run.config)


@every_algorithm
@every_crew
def test_only_successes_go_on(algorithm, workers):
    for state in (RunState.FAILED, RunState.STOPPED, RunState.CANCELLED):
        history = simulate(study(algorithm, max_trials=60), failing(0.3, state), workers, durations(3)).history
        continued = [run.resume_from for run in history.runs if run.resume_from is not None]
        assert all(history.outcome(number).state is RunState.SUCCEEDED for number in continued)


@every_algorithm
@every_crew
@pytest.mark.parametrize("share", [0, 0.2, 1])
def test_failures_end_cleanly(algorithm, workers, share):
    played = simulate(study(algorithm, max_trials=60), failing(share), workers)
    assert played.history.trial_count == 60
    assert played.history.open_count == 0
    assert played.end.reason == "budget"


@every_synchronous_one
@every_crew
def test_the_number_of_runs_per_slot_does_not_depend_on_workers_or_order(algorithm, workers):
    def slots(workers, order):
        history = simulate(study(algorithm, max_trials=98), succeed, workers, durations(order)).history
        return sorted((run.slot.bracket, run.slot.rung, run.fidelity) for run in history.runs)

    assert slots(workers, 1) == slots(workers, 2) == slots(1, 0)


@every_one_in_fixed_order
@every_crew
def test_the_order_of_completion_changes_no_decision(algorithm, workers):
    def decisions(workers, order):
        history = simulate(study(algorithm, max_trials=98), succeed, workers, durations(order)).history
        return {(run.trial, run.slot, run.config["x"]) for run in history.runs}

    assert decisions(workers, 1) == decisions(workers, 2) == decisions(1, 0)


@every_algorithm
def test_a_wait_ends_and_done_is_for_good(algorithm):
    """Ends the open runs one by one, newest first, asking for all there is after each."""
    spec, history = study(algorithm, max_trials=30, max_fidelity=400), History()
    done = None
    for _ in range(1000):
        runs, answer = ask_many(spec, history, 1000)
        assert not (done and runs), "a run after Done"
        if isinstance(answer, Done):
            done = answer
        if not history.open_count:
            break
        assert isinstance(answer, Wait | Done)
        number = max(history.open)
        history.append(Ended(number, succeed(history.runs[number])))
    assert done is not None


@every_algorithm
def test_there_is_always_a_first_run(algorithm):
    for fidelity in ({"name": "f", "low": 5, "high": 5}, {"name": "f", "type": "float", "low": 0.1, "high": 1.0}):
        try:
            run = ask(study(algorithm, fidelity), History())
        except ValueError:
            assert fidelity["low"] == fidelity["high"], "an axis of a single point may be refused"
            continue
        assert isinstance(run, Run)
        assert fidelity["low"] <= run.fidelity <= fidelity["high"]


@every_algorithm
def test_a_shrunk_study_still_reaches_the_highest_fidelity(algorithm):
    """Four trials do not fill a bracket; their best goes all the way."""
    history = simulate(study(algorithm, max_trials=4), succeed, workers=2).history
    assert max(run.fidelity for run in history.runs) == 27


@every_algorithm
def test_a_fidelity_of_fractions_is_floats(algorithm):
    fidelity = {"name": "fraction", "type": "float", "low": 0.1, "high": 1.0}
    history = simulate(study(algorithm, fidelity, max_runs=40), succeed, workers=2).history
    assert all(type(run.fidelity) is float and 0.1 <= run.fidelity <= 1 for run in history.runs)


@every_algorithm
def test_a_run_that_was_added_but_never_ends_blocks_no_other(algorithm):
    """A worker that holds its run for ever holds up at most the bracket of that run."""
    spec, history = study(algorithm), History()
    history.append(Added(ask(spec, history)))
    for _ in range(200):
        runs, _ = ask_many(spec, history, 1)
        for run in runs:
            history.append(Ended(run.number, succeed(run)))
    assert list(history.open) == [0]
    assert len(history.runs) == 201
