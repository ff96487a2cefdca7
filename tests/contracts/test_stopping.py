"""What every stopping rule promises: a pure answer to a report, in one direction, that a user can read."""

import json
import math

import pytest

from search import (
    STOPPING_RULES,
    Added,
    Ended,
    History,
    Outcome,
    Reported,
    RunState,
    StudySpec,
    ask,
    ask_many,
    best,
    incumbents,
    reported,
    should_stop,
)
from search.streams import stream
from spaces import InvalidInput

EPOCHS = 24
OPTIONS = {"threshold": {"value": 0.55, "grace": 4}, "patience": {"reports": 8}, "curve": {"every": 4}}
"""With these, each rule stops some of the runs below and lets others go on."""

every_rule = pytest.mark.parametrize("rule", list(STOPPING_RULES))


def study(rule, direction="minimize", algorithm="random", **budget):
    sign = 1 if direction == "minimize" else -1
    options = dict(OPTIONS.get(rule, {}))
    if "value" in options:
        options["value"] *= sign
    return StudySpec.from_json(
        {
            "space": {
                "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
                "fidelity": {"name": "epochs", "low": 1, "high": EPOCHS},
            },
            "algorithm": {"name": algorithm, "stop": {"rule": rule, **options}},
            "metrics": [{"name": "metric", "direction": direction}],
            "budget": budget or {"max_trials": 40},
        }
    )


def curve(run, epoch):
    """Falls towards a limit that depends on the config, with noise; some runs diverge."""
    if run.number % 7 == 3 and epoch > 6:
        return math.nan
    noise = 0.004 * stream(1, run.number, f"noise {epoch}").standard_normal()
    return 0.2 + 0.5 * run.config["x"] + 0.5 / (epoch + 1) + noise


def play(spec, workers=4, sign=1, fails=()):
    """Runs take turns to report an epoch each; answers the history and the stops by run."""
    history, stops, epochs = History(), {}, {}
    while True:
        ask_many(spec, history, workers - history.open_count)
        if not history.open_count:
            return history, stops
        for number in list(history.open):
            run = history.runs[number]
            epoch = epochs[number] = epochs.get(number, 0) + 1
            value = sign * curve(run, epoch)
            history.append(reported(spec, number, epoch, {"metric": value}))
            if number in fails and epoch == 5:
                history.append(Ended(number, Outcome(RunState.FAILED, failure="error")))
            elif stop := should_stop(spec, history, number):
                stops[number] = stop
                history.append(Ended(number, stop.outcome))
            elif epoch == EPOCHS:
                last = history.curve(number)[-1].losses
                state = RunState.SUCCEEDED if last else RunState.FAILED
                history.append(Ended(number, Outcome(state, last)))


@every_rule
@pytest.mark.parametrize("workers", [1, 4, 16])
def test_some_runs_stop_and_some_go_on(rule, workers):
    history, stops = play(study(rule), workers)
    assert 0 < len(stops) < len(history.runs) == 40
    assert any(history.curve(run.number)[-1].step == EPOCHS for run in history.runs)


@pytest.mark.parametrize("rule", [name for name in STOPPING_RULES if name != "patience"])
def test_the_stopped_runs_are_the_worse_ones(rule):
    history, stops = play(study(rule))

    def mean_limit(numbers):
        finite = [history.runs[number].config["x"] for number in numbers if number % 7 != 3]
        return sum(finite) / len(finite)

    others = [run.number for run in history.runs if run.number not in stops]
    assert mean_limit(stops) > mean_limit(others) + 0.1


@every_rule
def test_folding_the_events_again_gives_the_same_answer_at_every_prefix(rule):
    spec = study(rule)
    events = play(spec)[0].events
    kept = History()
    for position, event in enumerate(events):
        kept.append(event)
        if isinstance(event, Reported):
            again = should_stop(spec, History(events[: position + 1]), event.run)
            assert should_stop(spec, kept, event.run) == again


@every_rule
def test_asking_changes_nothing(rule):
    spec = study(rule)
    events = play(spec)[0].events
    history = History(events[: len(events) // 2])
    before = (list(history.events), ask(spec, history))
    answers = [[should_stop(spec, history, number) for number in history.open] for _ in range(2)]
    assert answers[0] == answers[1]
    assert (list(history.events), ask(spec, history)) == before


@every_rule
def test_maximising_is_minimising_the_negative(rule):
    minimised, stops = play(study(rule))
    maximised, same = play(study(rule, "maximize"), sign=-1)
    assert minimised.events == maximised.events
    assert stops == same


@every_rule
def test_the_answer_is_json_that_says_why(rule):
    _, stops = play(study(rule))
    for stop in stops.values():
        assert stop.rule == rule
        detail = json.loads(json.dumps(stop.detail, allow_nan=False))
        assert detail == stop.detail
        assert {"step", "compared", "loss", "against", "threshold", "counterfactual"} <= set(detail)


@every_rule
def test_stopped_runs_are_no_results(rule):
    spec = study(rule)
    history, stops = play(spec)
    assert all(history.outcome(number) == stop.outcome for number, stop in stops.items())
    hopeless = {number for number, stop in stops.items() if stop.outcome.state is RunState.STOPPED}
    assert all(history.outcome(number).losses == () for number in hopeless)
    assert best(spec, history) not in hopeless
    assert hopeless.isdisjoint(incumbents(spec, history))


@every_rule
def test_failures_break_nothing(rule):
    history, _ = play(study(rule), fails=range(0, 40, 3))
    assert len(history.runs) == 40
    assert best(study(rule), history) is not None


@every_rule
def test_runs_that_never_report_a_number(rule):
    spec, history = study(rule), History()
    for _ in range(8):
        run = ask(spec, history)
        history.append(Added(run))
        for epoch in range(1, EPOCHS):
            history.append(Reported(run.number, epoch))
            stop = should_stop(spec, history, run.number)
            if stop:
                assert stop.outcome == Outcome(RunState.STOPPED)
                json.dumps(stop.detail, allow_nan=False)
                break
        history.append(Ended(run.number, Outcome(RunState.STOPPED)))
    assert best(spec, history) is None


@every_rule
def test_options_have_legal_defaults_and_a_line_of_explanation(rule):
    row = STOPPING_RULES[rule]
    assert row.name == rule
    assert row.summary.endswith(".")
    assert row.paper
    assert json.loads(json.dumps(row.to_json())) == row.to_json()
    for option in row.options:
        assert option.default is None or option.read(option.default) == option.default
        assert option.doc.endswith(".")
        with pytest.raises(InvalidInput):
            StudySpec.from_json(
                {
                    "space": {"parameters": [{"name": "x", "type": "bool"}]},
                    "algorithm": {"name": "random", "stop": {"rule": rule, option.name: ["not", "this"]}},
                    "metrics": [{"name": "loss", "direction": "minimize"}],
                }
            )
