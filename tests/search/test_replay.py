"""A record is verified exactly when every decision in it is the search's own; else the first other one is named."""

import json
from dataclasses import replace

import pytest

from search import (
    Added,
    Ended,
    Enqueued,
    History,
    Invalidated,
    Outcome,
    Reported,
    Run,
    RunState,
    StudySpec,
    ask_many,
    enqueue,
    invalidate,
    should_stop,
    told,
)
from search.replay import ROUNDING, Difference, Field, Record, Verified, verify
from search.revision import carried
from search.simulation import simulate
from spaces import Freeze, revise

LR = {"name": "lr", "type": "float", "low": 1e-4, "high": 1.0, "log": True}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b"]}
DEPTH = {"name": "depth", "type": "int", "low": 1, "high": 8, "when": {"parameter": "kind", "equals": "b"}}
LOSS = {"name": "loss", "direction": "minimize"}
EPOCHS = {"name": "epochs", "low": 1, "high": 9}


def study(algorithm, fidelity=True, metrics=(LOSS,), runs=40, **more):
    space = {"parameters": [LR, KIND, DEPTH], **({"fidelity": EPOCHS} if fidelity else {})}
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": algorithm} if isinstance(algorithm, str) else algorithm,
            "metrics": list(metrics),
            "budget": {"max_runs": runs},
            "seed": 3,
            **more,
        }
    )


def result(run):
    """Falls with the fidelity; one run in eleven fails."""
    if run.number % 11 == 5:
        return Outcome(RunState.FAILED, failure="error")
    loss = abs(run.config["lr"] - 0.01) + run.config.get("depth", 3) / 10 + 1 / (run.fidelity or 1)
    return Outcome(RunState.SUCCEEDED, (loss + run.slot.replicate / 100,))


def bounded(run):
    outcome = result(run)
    size = run.config.get("depth", 1)
    if not outcome.losses:
        return outcome
    return replace(outcome, violation=max(0.0, size - 4) / 4, bounded=(float(size),))


STUDIES = {
    "random": (study("random"), result, 1),
    "hyperband": (study("hyperband"), result, 4),
    "tpe": (study("tpe", fidelity=False), result, 2),
    "asha": (study("asha"), result, 4),
    "dehb": (study("dehb"), result, 4),
    "pbt": (study({"name": "pbt", "population": 4}), result, 4),
    "replicates": (study("random", fidelity=False, replicates={"max": 3, "top": 3}), result, 2),
    "constraints": (study("tpe", fidelity=False, metrics=(LOSS, {"name": "size", "at_most": 4})), bounded, 2),
}
every_study = pytest.mark.parametrize("name", STUDIES)


def record_of(name):
    spec, objective, workers = STUDIES[name]
    return Record(spec, simulate(spec, objective, workers).history.events, finished=True)


def stored(record):
    """As it comes out of a database: through JSON, so no tuples, and whole floats as they were written."""

    def through(event):
        if not isinstance(event, Added):
            return event
        config, origin = (json.loads(json.dumps(dict(part))) for part in (event.run.config, event.run.origin))
        return Added(replace(event.run, config=config, origin=origin))

    return replace(record, events=[through(event) for event in record.events])


def changed(record, number, **parts):
    """The record with another run `number`."""
    return replace(
        record,
        events=[
            Added(replace(event.run, **parts)) if isinstance(event, Added) and event.run.number == number else event
            for event in record.events
        ],
    )


def run_of(record, number):
    return next(event.run for event in record.events if isinstance(event, Added) and event.run.number == number)


def number_of(event):
    return event.run.number if isinstance(event, Added) else event.run


@every_study
def test_what_a_study_did_is_verified(name):
    record = record_of(name)
    added = sum(isinstance(event, Added) for event in record.events)

    told = []
    assert verify(stored(record), told.append) == Verified(added, 0)
    assert told == list(range(1, len(record.events) + 1))


@pytest.mark.parametrize("events", [0, 1, 17, 40])
def test_so_is_every_part_of_it_up_to_now(events):
    whole = record_of("hyperband")
    part = replace(whole, events=whole.events[:events], finished=False)

    assert isinstance(verify(part), Verified)


@every_study
@pytest.mark.parametrize("number", [0, 13])
def test_another_config_is_found(name, number):
    record = record_of(name)
    config = dict(run_of(record, number).config)
    found = verify(changed(record, number, config={**config, "lr": 0.5}))

    assert isinstance(found, Difference)
    assert (found.run, found.decision, found.runs) == (number, "suggestion", number)
    assert found.fields == (Field(("config", "lr"), 0.5, config["lr"]),)
    assert record.events[found.position] == Added(run_of(record, number))
    assert not found.rounding


@pytest.mark.parametrize(
    ("number", "part", "path"),
    [
        (3, lambda run: {"trial": run.trial + 1}, "trial"),
        (12, lambda run: {"kind": "supernet"}, "kind"),
        (12, lambda run: {"slot": replace(run.slot, bracket=1)}, "bracket"),
        (12, lambda run: {"slot": replace(run.slot, rung=7)}, "rung"),
        (12, lambda run: {"slot": replace(run.slot, replicate=1)}, "replicate"),
        (12, lambda run: {"slot": replace(run.slot, fidelity=2)}, "fidelity"),
        (9, lambda run: {"resume_from": 1 if run.resume_from != 1 else 2}, "resume_from"),
        (12, lambda run: {"origin": {**run.origin, "rule": "magic"}}, "rule"),
        (12, lambda run: {"origin": {**run.origin, "more": None}}, "more"),
    ],
)
def test_another_part_of_a_decision_is_found(number, part, path):
    record = record_of("hyperband")
    found = verify(changed(record, number, **part(run_of(record, number))))

    assert (found.run, found.decision) == (number, "suggestion")
    assert [field.path[-1] for field in found.fields] == [path]


def test_true_is_not_one():
    flag = {"name": "flag", "type": "bool"}
    spec = StudySpec.from_json(
        {"space": {"parameters": [flag]}, "algorithm": {"name": "random"}, "metrics": [LOSS], "budget": {"max_runs": 1}}
    )
    record = Record(spec, simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (1.0,))).history.events)
    value = run_of(record, 0).config["flag"]

    assert verify(changed(record, 0, config={"flag": int(value)})).fields == (
        Field(("config", "flag"), int(value), value),
    )


def test_a_difference_in_the_last_digits_is_called_one():
    record = record_of("tpe")
    config = dict(run_of(record, 8).config)
    found = verify(changed(record, 8, config={**config, "lr": config["lr"] * (1 + 1e-12)}))

    assert isinstance(found, Difference)
    assert found.rounding
    assert found.fields[0].distance == pytest.approx(1e-12, rel=1e-3)
    assert not verify(changed(record, 8, config={**config, "lr": config["lr"] * (1 + 10 * ROUNDING)})).rounding


@every_study
def test_a_missing_run_is_found(name):
    record = record_of(name)
    found = verify(replace(record, events=[event for event in record.events if number_of(event) != 7]))

    assert (found.run, found.decision) == (7, "suggestion")
    assert found.fields[0] == Field(("number",), 8, 7)


def test_a_missing_end_is_found():
    record = record_of("random")
    last = 39
    found = verify(replace(record, events=[event for event in record.events if number_of(event) != last]))

    assert (found.run, found.decision, found.position) == (last, "end", len(record.events) - 2)
    assert found.fields == (Field(("decision",), "done", f"run {last} of trial {last}"),)


def test_a_run_too_many_is_found():
    record = record_of("random")
    last = run_of(record, 39)
    more = [Added(replace(last, number=40, trial=40)), Ended(40, Outcome(RunState.SUCCEEDED, (0.0,)))]
    found = verify(replace(record, events=[*record.events, *more]))

    assert (found.run, found.decision, found.position) == (40, "suggestion", 80)
    assert found.fields == (
        Field(("decision",), "run 40 of trial 40", "done (budget: max_runs: 40 runs were started)"),
    )


@pytest.mark.parametrize("name", ["hyperband", "asha", "dehb", "tpe", "replicates", "constraints", "pbt"])
def test_another_result_is_found_by_the_next_decision_that_it_changes(name):
    """The worst run becomes the best by far."""
    record = record_of(name)
    ends = [event for event in record.events[:30] if isinstance(event, Ended) and event.outcome.losses]
    worst = max(ends, key=lambda event: event.outcome.loss)
    better = replace(worst, outcome=Outcome(RunState.SUCCEEDED, (-9.0,), bounded=worst.outcome.bounded))
    found = verify(replace(record, events=[better if event is worst else event for event in record.events]))

    assert isinstance(found, Difference)
    assert found.decision == "suggestion"
    assert found.position > record.events.index(worst)
    assert found.fields


@pytest.mark.parametrize("event", [Ended(3, Outcome(RunState.FAILED, failure="error")), Reported(3, 1.0, (0.5,))])
def test_what_happens_to_nobody_is_found(event):
    record = record_of("random")
    found = verify(replace(record, events=[*record.events[:2], event, *record.events[2:]]))

    assert (found.run, found.decision, found.position) == (3, "order", 2)


def test_what_is_carried_into_a_revised_space_is_no_decision():
    spec, objective, workers = STUDIES["dehb"]
    history = simulate(spec, objective, workers).history
    changes = [Freeze("kind", "a")]
    revised = replace(spec, space=revise(spec.space, changes), budget=replace(spec.budget, max_runs=60))
    history = carried(history, changes, revised.space)
    before = len(history.runs)
    while runs := ask_many(revised, history, 1)[0]:
        history.append(Ended(runs[0].number, objective(runs[0])))

    assert len(history.runs) == 60
    assert verify(Record(revised, history.events, finished=True)) == Verified(60 - before, 0)


# --- what people added


def meddled():
    """A study with an enqueued config, a told trial and one that was invalidated."""
    spec, history = study("tpe", fidelity=False), History()

    def play(count):
        for run in ask_many(spec, history, count)[0]:
            history.append(Ended(run.number, result(run)))

    play(5)
    history.append(enqueue(spec, history, {"lr": 0.5, "kind": "a"}))
    play(5)
    run, outcome = told(spec, history, {"lr": 0.01, "kind": "a"}, {"loss": -1.0})
    history.append(Added(run))
    history.append(Ended(run.number, outcome))
    play(5)
    history.append(invalidate(history, run.trial))
    play(40)
    return Record(spec, history.events, finished=True)


def test_what_people_added_is_given_and_what_follows_is_derived():
    record = stored(meddled())
    assert verify(record) == Verified(40, 0)


def test_a_suggestion_that_would_have_been_an_enqueued_config_is_noticed():
    record = meddled()
    place = next(place for place, event in enumerate(record.events) if isinstance(event, Enqueued))
    found = verify(replace(record, events=[*record.events[:place], *record.events[place + 1 :]]))
    assert (found.run, found.decision) == (5, "suggestion")


def test_a_trial_that_was_not_invalidated_leads_to_other_suggestions():
    record = meddled()
    found = verify(replace(record, events=[event for event in record.events if not isinstance(event, Invalidated)]))
    assert found.decision == "suggestion"
    assert found.run > 15


@pytest.mark.parametrize(
    ("event", "stored_as", "due"),
    [
        (Enqueued(3, {"lr": 0.5, "kind": "a"}), "config 3 enqueued", "config 0 enqueued"),
        (Invalidated(7), "trial 7 invalidated", "trial 7 has not been added"),
        (
            Added(Run(4, 4, {"lr": 0.5, "kind": "a"}, origin={"rule": "told"})),
            "told as run 4 of trial 4",
            "told as run 1 of trial 1",
        ),
    ],
)
def test_what_was_added_under_a_wrong_number_is_out_of_order(event, stored_as, due):
    record = record_of("random")
    found = verify(replace(record, events=[record.events[0], event, *record.events[1:]]))
    assert (found.decision, found.position) == ("order", 1)
    assert found.fields == (Field(("decision",), stored_as, due),)


# --- stops


def stopped(rule="median", **options):
    """A study in which three workers report in turns, the rule ends some runs, and every other run is lost once, after
    four steps, and begins anew."""
    spec = study({"name": "random", "stop": {"rule": rule, **options}}, runs=20)
    events, stops, steps, lost, history = [], {}, {}, set(), History()

    def happens(event):
        events.append(event)
        history.append(event)

    def over(number):
        run = history.runs[number]
        return run.fidelity is not None and steps[number] >= run.fidelity

    while True:
        events += map(Added, ask_many(spec, history, 3 - history.open_count)[0])
        if not history.open_count:
            return Record(spec, events, stops, finished=True)
        for number in list(history.open):
            steps[number] = steps.get(number, 0) + 1
            value = result(replace(history.runs[number], number=0)).loss + max(1 / steps[number], 0.25)
            happens(Reported(number, float(steps[number]), (value,)))
            if number not in stops and (stop := should_stop(spec, history, number)):
                stops[number] = json.loads(json.dumps(stop.to_json()))
                happens(Ended(number, stop.outcome))
            elif over(number):
                happens(Ended(number, Outcome(RunState.SUCCEEDED, (value,))))
            elif number % 2 and steps[number] == 4 and number not in lost:
                steps[number] = 0
                lost.add(number)


@pytest.mark.parametrize(("rule", "options"), [("median", {}), ("patience", {"reports": 3}), ("curve", {})])
def test_stops_are_verified(rule, options):
    record = stopped(rule, **options)

    assert verify(record) == Verified(20, len(record.stops))
    assert record.stops or rule == "curve"


def test_a_rule_is_asked_after_repeated_reports_too():
    """What the others have come to meanwhile may end a run at a step that it had reached before."""
    spec = study({"name": "random", "stop": {"rule": "median", "trials": 1}}, runs=2)
    first, second = ask_many(spec, History(), 2)[0]
    good = [Reported(0, step, (1.0,)) for step in range(1, 10)]
    bad = [Reported(1, step, (5.0,)) for step in range(1, 4)]
    events = [Added(first), Added(second), *good, *bad, Ended(0, Outcome(RunState.SUCCEEDED, (1.0,))), bad[0]]
    history = History(events)
    stop = should_stop(spec, history, 1)
    record = Record(spec, [*events, Ended(1, stop.outcome)], {1: stop.to_json()})

    assert stop.detail["step"] == 3
    assert verify(record) == Verified(2, 1)
    assert verify(replace(record, events=history.events)).fields == (
        Field(("decision",), "stop by median at step 3", "go on"),
    )


def test_stops_that_nothing_is_known_of_are_not_derived():
    """Such as those by the clock."""
    record = replace(stopped(), stops={})

    assert verify(record) == Verified(20, 0)


def test_another_reason_to_stop_is_found():
    record = stopped()
    number, stop = list(record.stops.items())[-1]
    found = verify(replace(record, stops={**record.stops, number: {**stop, "loss": 9.0}}))

    assert (found.run, found.decision) == (number, "stop")
    assert found.fields == (Field(("loss",), 9.0, stop["loss"]),)
    assert found.stops == len(record.stops) - 1


def test_a_stop_that_the_rule_did_not_want_is_found():
    record = stopped()
    number = next(run for run in range(20) if run not in record.stops)
    stop = {"rule": "median", "outcome": "stopped", "step": 4}
    found = verify(replace(record, stops={**record.stops, number: stop}))

    assert (found.run, found.decision) == (number, "stop")
    assert found.fields == (Field(("decision",), "stop by median at step 4", "go on"),)


def test_another_report_is_found_by_the_stop_that_it_changes():
    record = stopped()
    number = max(record.stops)
    last = max(i for i, event in enumerate(record.events) if isinstance(event, Reported) and event.run == number)
    events = list(record.events)
    events[last] = replace(events[last], losses=(-9.0,))

    assert verify(replace(record, events=events)).run == number
