"""What every algorithm does with what a study adds: replicates, constraints on outcomes, and other studies' results."""

import pytest

from search import (
    ALGORITHMS,
    Added,
    Ended,
    History,
    Outcome,
    Reported,
    RunState,
    StudySpec,
    Wait,
    ask,
    ask_many,
    best,
    confirmed,
    judged,
    pareto_front,
    should_stop,
)
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT
from spaces import InvalidInput

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5, "confidence": "low"}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
LOSS = {"name": "loss", "direction": "minimize"}
SOURCE = {
    "study": "before",
    "configs": [
        {"config": {"x": round(0.05 * step, 2), "kind": "b"}, "loss": abs(0.05 * step - 0.3)} for step in range(20)
    ]
    + [{"config": {"x": 0.9, "kind": "a", "y": 7}, "loss": None}],
}

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)
every_one_with_replicates = pytest.mark.parametrize("algorithm", [n for n in ANYWHERE if not ALGORITHMS[n].forks])
every_crew = pytest.mark.parametrize("workers", [1, 4])


def study(algorithm, metrics=(LOSS,), **more):
    return StudySpec.from_json(
        {"space": SPACE, "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {})}, "metrics": list(metrics), **more}
    )


def noisy(run):
    """Sometimes a failure, mostly a loss with noise."""
    draw = stream(4, run.number, "fate")
    if draw.random() < 0.1:
        return Outcome(RunState.FAILED, failure="error")
    value = (run.config["x"] - 0.3) ** 2 + run.config.get("y", 25) / 100 + 1 / run.fidelity
    return Outcome(RunState.SUCCEEDED, (value + 0.2 * float(draw.normal()),))


def bounded(run):
    """Most of the space breaks the constraint, the more the further it is from its rim."""
    outcome = noisy(run)
    if not outcome.losses:
        return outcome
    excess = max(run.config["x"] - 0.2, 0.0)
    return Outcome(RunState.SUCCEEDED, outcome.losses, violation=excess, bounded=(run.config["x"],))


def replays(spec, history):
    replay = History()
    for event in history.events:
        if not isinstance(event, Ended):
            assert ask(spec, replay) == event.run
        replay.append(event)


def folds_again(spec, history):
    kept = History()
    for position, event in enumerate(history.events):
        assert ask(spec, History(history.events[:position])) == ask(spec, kept)
        kept.append(event)


@pytest.mark.parametrize("algorithm", [n for n in ANYWHERE if ALGORITHMS[n].forks])
def test_replicates_are_refused_where_no_config_alone_made_a_result(algorithm):
    with pytest.raises(InvalidInput, match="has none: a replicate trains one config from scratch"):
        study(algorithm, replicates={"max": 2})


@every_one_with_replicates
@every_crew
def test_replicates_confirm_the_best_beside_any_algorithm(algorithm, workers):
    spec = study(algorithm, replicates={"max": 2, "top": 2}, budget={"max_trials": 12})
    played = simulate(spec, noisy, workers)
    history = played.history
    assert history.trial_count == 12
    assert history.open_count == 0
    assert len({(run.trial, run.slot) for run in history.runs}) == len(history.runs)
    repeated = [run for run in history.runs if run.slot.replicate]
    assert repeated
    assert all(run.fidelity == 9 and run.slot.replicate == 1 for run in repeated)
    assert confirmed(spec, history, best(spec, history))
    replays(spec, history)


@every_one_with_replicates
def test_with_replicates_folding_the_events_again_gives_the_same_answer(algorithm):
    spec = study(algorithm, replicates={"max": 3, "top": 2}, budget={"max_trials": 12})
    folds_again(spec, simulate(spec, noisy, workers=3).history)


@every_one_with_replicates
def test_with_replicates_done_is_for_good(algorithm):
    spec, history = study(algorithm, replicates={"max": 3, "top": 2}, budget={"max_runs": 18}), History()
    done = False
    while True:
        runs, answer = ask_many(spec, history, 100)
        assert not (done and runs)
        done = done or not isinstance(answer, Wait)
        if not history.open_count:
            break
        number = max(history.open)
        history.append(Ended(number, noisy(history.runs[number])))
    assert done
    assert len(history.runs) <= 18


@every_algorithm
def test_constraints_are_respected_by_any_algorithm(algorithm):
    spec = study(algorithm, [LOSS, {"name": "x", "at_most": 0.2}], budget={"max_trials": 12})
    history = simulate(spec, bounded, workers=2).history
    assert history.trial_count == 12
    at_top = [run.number for run in history.runs if run.fidelity == 9 and history.outcome(run.number).losses]
    least = min(history.outcome(number).violation for number in at_top)
    assert judged(spec, history, best(spec, history)).violation == least
    replays(spec, history)


@every_algorithm
def test_nothing_but_infeasible_results_does_not_stop_the_search(algorithm):
    def all_break_it(run):
        return Outcome(RunState.SUCCEEDED, (run.config["x"],), violation=1.0 + run.config["x"], bounded=(9.0,))

    spec = study(algorithm, [LOSS, {"name": "x", "at_most": 0.2}], budget={"max_trials": 12})
    history = simulate(spec, all_break_it, workers=2).history
    assert history.trial_count == 12
    assert judged(spec, history, best(spec, history)).violation > 0


@pytest.mark.parametrize("algorithm", [name for name in ANYWHERE if ALGORITHMS[name].several_metrics])
@every_crew
def test_runs_are_stopped_in_a_study_of_several_metrics(algorithm, workers):
    spec = StudySpec.from_json(
        {
            "space": SPACE,
            "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {}), "stop": {"rule": "threshold", "value": 0.7}},
            "metrics": [LOSS, {"name": "size", "direction": "minimize"}],
            "budget": {"max_trials": 24},
        }
    )

    def losses(run):
        return run.config["x"], 1 - run.config["x"] + run.config.get("y", 25) / 100

    history, stopped = History(), set()
    while True:
        ask_many(spec, history, workers - history.open_count)
        if not history.open_count:
            break
        number = max(history.open)
        run = history.runs[number]
        for step in range(1, int(run.fidelity) + 1):
            history.append(Reported(number, step, losses(run)))
            if stop := should_stop(spec, history, number):
                stopped.add(number)
                history.append(Ended(number, stop.outcome))
                break
        else:
            history.append(Ended(number, Outcome(RunState.SUCCEEDED, losses(run))))
    assert history.trial_count == 24
    assert stopped
    assert pareto_front(spec, history)
    folded = History()
    for event in history.events:
        if isinstance(event, Added):
            assert ask(spec, folded) == event.run
        folded.append(event)


@every_algorithm
def test_the_best_of_another_study_is_tried_first(algorithm):
    spec = study(algorithm, warm_start=[SOURCE], budget={"max_trials": 16})
    history = simulate(spec, noisy, workers=2).history
    given = [run for run in history.runs if run.origin.get("rule") == "warm-start"]
    assert given
    assert given[0].config["x"] == 0.3
    assert given[0].trial in (0, 2), "first, unless the prior's mode is"
    assert len(given) <= 4, "a quarter of the budget"
    for run in history.runs:
        spec.space.validate(run.config)
    keys = [spec.space.key(run.config) for run in history.runs if run.resume_from is None]
    assert len(set(keys)) == len(keys)
    replays(spec, history)
