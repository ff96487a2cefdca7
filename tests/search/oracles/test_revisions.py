"""A study whose space is revised goes on, with legal suggestions, and knows the trials that still have a place."""

import json

import pytest

from search import (
    Added,
    Ended,
    History,
    Outcome,
    Reported,
    Run,
    RunState,
    StudySpec,
    ask,
    ask_many,
    best,
)
from search.history import Slot
from search.revision import carried
from search.schedulers.brackets import OUTSIDE
from search.simulation import simulate
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT
from spaces import Add, AddChoice, Drop, Freeze, Space, Widen, revise
from spaces.parameters import Float

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
        {"name": "old", "type": "categorical", "choices": [1, 2]},
        {"name": "kept", "type": "bool"},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
CHANGES = [
    Widen("x", high=2.0),
    AddChoice("kind", "c"),
    Drop("old", 1),
    Freeze("kept", True),
    Add(Float("new", 0, 1), 0.25),
]
SOON = {
    **{name: {"initial": 4} for name in ("gp", "smac", "smac-hyperband", "dngo")},
    **{name: {"startup": 4} for name in ("tpe", "optuna-tpe", "optuna-gp")},
    **{name: {"population": 4} for name in ("evolution", "neuroevolution", "nsga2", "pbt")},
    "local": {"initial": 3},
}
every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)


def study(algorithm, space, **budget):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": algorithm, **LIGHT.get(algorithm, {}), **SOON.get(algorithm, {})},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget,
        }
    )


def erratic(run):
    if stream(4, run.number, "fate").random() < 0.15:
        return Outcome(RunState.FAILED, failure="error")
    return Outcome(RunState.SUCCEEDED, ((run.config["x"] - 0.3) ** 2 + 1 / run.fidelity,))


def places(config):
    return config["old"] == 1 and config["kept"] is True


@pytest.fixture(scope="module")
def played():
    """Three cycles of Hyperband and a bit; most of the last runs are open."""
    events = simulate(study("hyperband", SPACE, max_runs=75), erratic, workers=4).history.events
    return [event for event in events if not (isinstance(event, Ended) and event.run > 60 and event.run % 4)]


@every_algorithm
def test_every_algorithm_goes_on_in_the_revised_space(algorithm, played):
    revised = revise(Space.from_json(SPACE), CHANGES)
    history = carried(History(played), CHANGES, revised)
    known = {revised.key(run.config) for run in history.runs}
    assert len(known) == history.trial_count > 8
    assert history.open_count

    after, given = study(algorithm, revised.to_json()), []
    for _ in range(6):
        runs, _ = ask_many(after, history, 1)
        given += runs
        for run in runs:
            history.append(Ended(run.number, erratic(run)))
    assert len(given) == 6
    for run in given:
        revised.validate(run.config)
        json.dumps([run.config, run.origin], allow_nan=False)
    keys = [revised.key(run.config) for run in given if run.resume_from is None]
    assert len(set(keys)) == len(keys) > 0
    assert known.isdisjoint(keys)
    assert ask(after, History(history.events)) == ask(after, history)


@pytest.mark.parametrize("algorithm", sorted(SOON.keys() - {"local", "nsga2", "pbt", "optuna-gp"} | {"bohb"}))
def test_what_was_learned_is_not_learned_again(algorithm, played):
    """No start is made a second time: the first suggestions use the carried results, and one of those leads."""
    changes = [Widen("x", high=2.0)]
    revised = revise(Space.from_json(SPACE), changes)
    history, after = carried(History(played), changes, revised), study(algorithm, revised.to_json())
    rules = {run.origin["rule"] for run in ask_many(after, history, 4)[0]}
    assert rules & {"model", "mutation", "crossover"}
    assert "startup" not in rules
    assert history.runs[best(after, history)].origin["rule"] == "carried"


def test_trials_with_a_place_are_carried_whole_and_the_rest_forgotten():
    history = simulate(study("hyperband", SPACE, max_runs=150), erratic, workers=3).history
    revised = revise(Space.from_json(SPACE), CHANGES)
    after = carried(history, CHANGES, revised)
    old = [run for run in history.runs if places(run.config)]
    assert [run.origin["from_run"] for run in after.runs] == [run.number for run in old]
    assert any(run.resume_from is not None for run in after.runs)
    for new, run in zip(after.runs, old, strict=True):
        assert new.config == {
            **{name: value for name, value in run.config.items() if name != "old"}, "new": 0.25,
        }  # fmt: skip
        assert after.outcome(new.number) == history.outcome(run.number)
        assert (new.slot.bracket, new.slot.rung, new.fidelity) == (OUTSIDE, run.slot.rung, run.fidelity)
        if new.resume_from is not None:
            assert after.runs[new.resume_from].origin["from_run"] == run.resume_from
            assert after.runs[new.resume_from].trial == new.trial
        assert new.origin["probabilities"] == {"carried": 1.0}
    assert sorted({run.trial for run in after.runs}) == list(range(after.trial_count))


def test_reports_open_runs_and_forks_are_carried_too():
    space = Space.from_json(SPACE)
    config = {"x": 0.5, "kind": "b", "old": 1, "kept": True}
    history = History(
        [
            Added(Run(0, 0, {**config, "old": 2}, Slot(fidelity=3))),
            Added(Run(1, 1, config, Slot(fidelity=3))),
            Reported(0, 1, (5.0,)),
            Reported(1, 1, (4.0,)),
            Ended(1, Outcome(RunState.SUCCEEDED, (3.0,))),
            Ended(0, Outcome(RunState.SUCCEEDED, (2.0,))),
            Added(Run(2, 2, {**config, "x": 0.6}, Slot(rung=1, fidelity=9), resume_from=0)),
            Added(Run(3, 3, {**config, "x": 0.7}, Slot(rung=1, fidelity=9), resume_from=1)),
        ]
    )
    after = carried(history, CHANGES, revise(space, CHANGES))
    assert [(run.trial, run.config["x"], run.resume_from) for run in after.runs] == [(0, 0.5, None), (1, 0.7, 0)]
    assert [report.losses for report in after.curve(0)] == [(4.0,)]
    assert list(after.open) == [1]
    assert len(history.runs) == 4


def test_schedules_begin_anew():
    spec = study("hyperband", SPACE, max_trials=49)
    history = simulate(spec, erratic).history
    revised = revise(spec.space, CHANGES)
    after = carried(history, CHANGES, revised)
    carried_over = len(after.runs)
    runs, _ = ask_many(study("hyperband", revised.to_json()), after, 12)
    assert [(run.slot.bracket, run.slot.rung) for run in runs] == [(0, 0)] * 9 + [(1, 1)] * 3
    assert runs[0].number == carried_over
