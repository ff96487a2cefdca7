"""What every row of the table promises as a whole: a pure function of history, one direction, honest declarations."""

import json

import pytest

from search import ALGORITHMS, Ended, History, Optimizer, Outcome, RunState, StudySpec, ask
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT, affordable
from spaces import InvalidInput

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
LOSS = [{"name": "loss", "direction": "minimize"}]
GAIN = [{"name": "gain", "direction": "maximize"}]

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)


def light(algorithm):
    return {"name": algorithm, **LIGHT.get(algorithm, {})}


def study(algorithm, /, **more):
    given = {"space": SPACE, "algorithm": light(algorithm), "metrics": LOSS}
    given["budget"] = {"max_runs": affordable(algorithm, 40)}
    return StudySpec.from_json(given | more)


def value(run):
    return (run.config["x"] - 0.3) ** 2 + run.config.get("y", 25) / 100 + 1 / run.fidelity


def erratic(run):
    draw = stream(4, run.number, "fate").random()
    if draw < 0.2:
        return Outcome(RunState.FAILED, failure="error")
    return Outcome(RunState.SUCCEEDED, (value(run),))


@every_algorithm
@pytest.mark.parametrize("workers", [1, 4])
def test_folding_the_events_again_gives_the_same_answer_at_every_prefix(algorithm, workers):
    spec = study(algorithm)
    events = simulate(spec, erratic, workers).history.events
    kept = History()
    for position, event in enumerate(events):
        assert ask(spec, History(events[:position])) == ask(spec, kept)
        kept.append(event)


@every_algorithm
def test_a_replay_of_the_events_gives_every_decision_again(algorithm):
    spec = study(algorithm)
    history = simulate(spec, erratic, workers=4).history
    replay = History()
    for event in history.events:
        if not isinstance(event, Ended):
            assert ask(spec, replay) == event.run
        replay.append(event)


@every_algorithm
def test_a_specification_read_again_gives_the_same_answers(algorithm):
    first, second = (simulate(study(algorithm), erratic, workers=3).history for _ in range(2))
    assert first.events == second.events


@every_algorithm
def test_maximising_is_minimising_the_negative(algorithm):
    budget = {"max_runs": affordable(algorithm, 40)}
    minimise = Optimizer(SPACE, LOSS, light(algorithm), budget)
    maximise = Optimizer(SPACE, GAIN, light(algorithm), budget)
    while run := minimise.ask():
        twin = maximise.ask()
        assert twin == run
        minimise.tell(run, {"loss": value(run)})
        maximise.tell(twin, {"gain": -value(run)})
    assert maximise.ask() is None
    assert minimise.best().run == maximise.best().run
    assert minimise.best().metrics["loss"] == -maximise.best().metrics["gain"]


@every_algorithm
@pytest.mark.parametrize("workers", [1, 4, 16])
def test_limits_hold_exactly(algorithm, workers):
    runs = affordable(algorithm, 23)
    played = simulate(study(algorithm, budget={"max_runs": runs}), erratic, workers)
    assert len(played.history.runs) == runs
    played = simulate(study(algorithm, budget={"max_trials": 11}), erratic, workers)
    assert played.history.trial_count == 11
    assert played.end.reason == "budget"


@every_algorithm
def test_it_runs_with_its_weakest_requirements(algorithm):
    """Only what it declares is needed: the plainest space, and a fidelity where it asks for one."""
    parameter = {"name": "x", "type": "int", "low": 0, "high": 1}
    space = {"parameters": [parameter]}
    if ALGORITHMS[algorithm].needs_prior:
        with pytest.raises(InvalidInput, match="needs a prior"):
            study(algorithm, space={**space, "fidelity": SPACE["fidelity"]})
        parameter["prior"] = {"mode": 1}
    if ALGORITHMS[algorithm].needs_fidelity:
        with pytest.raises(InvalidInput, match="needs a fidelity"):
            study(algorithm, space=space)
        space["fidelity"] = SPACE["fidelity"]
    done = simulate(study(algorithm, space=space), lambda run: Outcome(RunState.SUCCEEDED, (1.0,))).end
    assert done.reason == "exhausted"


@every_algorithm
def test_several_metrics_are_served_or_refused_as_declared(algorithm):
    if ALGORITHMS[algorithm].several_metrics:
        assert len(study(algorithm, metrics=LOSS + GAIN).metrics) == 2
    else:
        with pytest.raises(InvalidInput):
            study(algorithm, metrics=LOSS + GAIN)


@every_algorithm
def test_options_have_legal_defaults_and_a_line_of_explanation(algorithm):
    row = ALGORITHMS[algorithm]
    assert row.name == algorithm
    assert row.summary.endswith(".")
    assert row.paper
    for option in row.options:
        assert option.default is None or option.read(option.default) == option.default
        assert option.doc.endswith(".")
        with pytest.raises(InvalidInput):
            study(algorithm, algorithm={"name": algorithm, option.name: ["not", "this"]})


@every_algorithm
def test_the_catalogue_is_json(algorithm):
    row = ALGORITHMS[algorithm].to_json()
    assert json.loads(json.dumps(row)) == row
    assert [option["name"] for option in row["options"]] == [option.name for option in ALGORITHMS[algorithm].options]
    assert all(option["doc"] and "default" in option for option in row["options"])
