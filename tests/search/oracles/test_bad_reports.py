"""What no result should be: the run fails with a class, and no algorithm's next suggestion suffers from it."""

import json
import math

import numpy as np
import pytest

from search import (
    ALGORITHMS,
    Ended,
    History,
    Invalid,
    Outcome,
    RunState,
    StudySpec,
    ask,
    ask_many,
    best,
    incumbents,
    judge,
    reported,
    should_stop,
    spent,
)
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
SOON = {
    **{name: {"initial": 6} for name in ("smac", "smac-hyperband", "dngo")},
    "gp": {"initial": 12},
    **{name: {"startup": 4} for name in ("tpe", "optuna-tpe")},
    "optuna-gp": {"startup": 7},
    **{name: {"population": 5} for name in ("evolution", "neuroevolution", "nsga2", "pbt")},
    "local": {"initial": 3},
}
"""With these the algorithms learn from their first results on."""

REPORTS = [
    {"loss": math.nan},
    {"loss": math.inf},
    {"loss": -math.inf},
    {"loss": "0.001"},
    {"loss": None},
    {"loss": True},
    {"loss": [0.001]},
    {"loss": 10**400},
    {"loss": np.float32("-inf")},
    {"losss": 0.001},
    {},
    0.001,
    None,
]

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)


def study(algorithm, **more):
    own = {option.name for option in ALGORITHMS[algorithm].options}
    options = {**LIGHT.get(algorithm, {}), **SOON.get(algorithm, {})}
    return StudySpec.from_json(
        {
            "space": SPACE,
            "algorithm": {"name": algorithm, **{name: value for name, value in options.items() if name in own}},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            **more,
        }
    )


def value(run):
    return (run.config["x"] - 0.3) ** 2 + run.config.get("y", 25) / 100 + 1 / run.fidelity


def verdict(spec, metrics):
    judged = judge(spec, metrics)
    return judged.outcome if isinstance(judged, Invalid) else judged


@pytest.mark.parametrize("metrics", REPORTS)
def test_each_of_them_is_a_failure_with_a_class_and_a_reason(metrics):
    judged = judge(study("random"), metrics)
    assert isinstance(judged, Invalid)
    assert judged.failure in ("diverged", "error")
    assert judged.message
    assert judged.outcome == Outcome(RunState.FAILED, failure=judged.failure)


@every_algorithm
def test_one_in_three_poisons_no_model(algorithm):
    """All suggestions are legal and finite, and are those that any other failure would have led to."""
    spec = study(algorithm)
    histories = (History(), History())
    for step in range(16):
        answers = [ask_many(spec, history, 2 - history.open_count) for history in histories]
        assert answers[0] == answers[1]
        for run in answers[0][0]:
            spec.space.validate(run.config)
            text = json.dumps([run.config, run.origin], allow_nan=False)
            assert json.loads(text) == [run.config, run.origin]
        number = min(histories[0].open)
        run = histories[0].runs[number]
        good = judge(spec, {"loss": value(run)})
        bad = verdict(spec, REPORTS[step % len(REPORTS)]) if step % 3 == 1 else None
        histories[0].append(Ended(number, bad or good))
        histories[1].append(Ended(number, Outcome(RunState.FAILED, failure="crash") if bad else good))
    failed = {run.number for run in histories[0].runs} - {
        number for number in range(len(histories[0].runs)) if (out := histories[0].outcome(number)) and out.losses
    }
    assert failed.isdisjoint(incumbents(spec, histories[0]))
    assert any(run.origin["rule"] not in ("startup", "uniform", "prior-mode") for run in histories[0].runs) or (
        not ALGORITHMS[algorithm].learns
    )


@every_algorithm
@pytest.mark.parametrize("workers", [1, 5])
def test_failures_nans_and_lost_runs_together(algorithm, workers):
    """30 % failures, 10 % NaN, 5 % lost: the study ends, spends what it has, and no failure leads it."""
    spec = study(algorithm, budget={"max_fidelity": 150})
    history = History()
    while True:
        runs, _ = ask_many(spec, history, workers - history.open_count)
        if not history.open_count:
            break
        assert len({run.number for run in runs}) == len(runs)
        number = min(history.open, key=lambda number: stream(1, number, "time").random())
        run, fate = history.runs[number], stream(2, number, "fate").random()
        if fate < 0.35:
            outcome = Outcome(RunState.FAILED, failure="error" if fate < 0.3 else "lost")
        else:
            outcome = verdict(spec, {"loss": math.nan if fate < 0.45 else value(run)})
        history.append(Ended(number, outcome))
    assert 150 - 9 < spent(history).fidelity <= 150
    assert history.outcome(best(spec, history)).state is RunState.SUCCEEDED
    slots = [(run.trial, run.slot) for run in history.runs]
    assert len(set(slots)) == len(slots), "nothing is claimed twice"


@every_algorithm
def test_reports_that_are_no_numbers_stop_nothing_by_accident(algorithm):
    """A curve of NaNs and texts between two numbers; and nothing that an algorithm decides depends on reports."""
    spec, history = study(algorithm), History()
    ask_many(spec, history, 1)
    before = ask(spec, history)
    for step, metrics in enumerate(({"loss": 1.0}, *REPORTS[:5], {"loss": 0.5}), start=1):
        history.append(reported(spec, 0, step, metrics))
        assert history.curve(0)[-1].losses == ((metrics["loss"],) if step in (1, 7) else ())
        assert should_stop(spec, history, 0) is None
    if algorithm != "pbt":
        assert ask(spec, history) == before
