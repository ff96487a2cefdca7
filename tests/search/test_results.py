"""The border where metrics become losses, and the incumbent."""

from fractions import Fraction

import numpy as np
import pytest

from search import (
    Added,
    Ended,
    History,
    Invalid,
    Outcome,
    Run,
    RunState,
    Slot,
    StudySpec,
    best,
    incumbents,
    judge,
    pareto,
)
from search.leaderboard import Leaderboard
from search.results import metrics_of


def study(*directions, fidelity=True):
    space = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
    if fidelity:
        space["fidelity"] = {"name": "epochs", "low": 1, "high": 9}
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": "random"},
            "metrics": [{"name": f"m{i}", "direction": direction} for i, direction in enumerate(directions)],
        }
    )


def test_every_metric_becomes_a_loss_and_comes_back():
    spec = study("maximize", "minimize")
    outcome = judge(spec, {"m0": 0.9, "m1": 3, "other": "ignored"})
    assert outcome == Outcome(RunState.SUCCEEDED, (-0.9, 3.0))
    assert metrics_of(spec, outcome) == {"m0": 0.9, "m1": 3.0}
    assert metrics_of(spec, Outcome(RunState.FAILED)) == {}


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.float64(2), np.int64(3), Fraction(1, 3)])
def test_numbers_of_all_kinds_are_plain_floats_inside(value):
    (loss,) = judge(study("minimize"), {"m0": value}).losses
    assert type(loss) is float


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float32("nan"), 10**400, -1e200])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_number_that_is_not_finite_has_diverged(value, direction):
    verdict = judge(study(direction), {"m0": value})
    assert isinstance(verdict, Invalid)
    assert verdict.outcome == Outcome(RunState.FAILED, failure="diverged")
    assert "'m0' is" in verdict.message


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], np.array([0.5])])
def test_what_is_no_number_is_an_error(value):
    verdict = judge(study("minimize"), {"m0": value})
    assert (verdict.failure, verdict.outcome.state) == ("error", RunState.FAILED)


@pytest.mark.parametrize("metrics", [{}, {"acc": 1.0}, 0.5, None])
def test_a_missing_metric_is_an_error_that_says_what_came(metrics):
    assert judge(study("minimize"), metrics).failure == "error"
    assert "reported: acc, loss" in judge(study("minimize"), {"acc": 1, "loss": 2}).message


def play(*results, kind="train"):
    """A history of runs, one trial each: (fidelity, loss or None)."""
    history = History()
    for number, (fidelity, _) in enumerate(results):
        history.append(Added(Run(number, number, {"x": 0.5}, Slot(fidelity=fidelity), kind)))
    for number, (_, loss) in enumerate(results):
        failed = loss is None
        history.append(Ended(number, Outcome(RunState.FAILED) if failed else Outcome(RunState.SUCCEEDED, (loss,))))
    return history


@pytest.mark.parametrize(
    ("results", "trace"),
    [
        ([], []),
        ([(9, None)], []),
        ([(9, 2.0), (9, 1.0), (9, 3.0)], [0, 1]),
        ([(1, 0.1), (9, 5.0), (3, 0.0), (9, 4.0)], [0, 1, 3]),  # a higher fidelity wins whatever the loss
        ([(9, 1.0), (9, 1.0)], [0]),
        ([(None, 2.0), (None, None), (None, 1.0)], [0, 2]),
    ],
)
def test_incumbents(results, trace):
    spec, history = study("minimize"), play(*results)
    assert incumbents(spec, history) == trace
    assert best(spec, history) == (trace[-1] if trace else None)


def test_a_tie_goes_to_the_lower_trial_whichever_ended_first():
    history = History([Added(Run(0, 0, {"x": 0.1})), Added(Run(1, 1, {"x": 0.2}))])
    for number in (1, 0):
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (1.0,))))
    assert best(study("minimize"), history) == 0


def test_a_supernet_is_no_incumbent():
    assert best(study("minimize"), play((9, 0.0), kind="supernet")) is None


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_top_is_that_of_a_board_made_anew(objectives):
    rng, history, board = np.random.default_rng(0), History(), Leaderboard(2)
    for number in range(80):
        fidelity = 1 if number < 10 else 3
        copied = number % 3 == 2 and number != 11 and bool(history.outcome(number - 2).losses)
        trial = history.runs[number - 2].trial if copied else history.trial_count
        slot = Slot(fidelity=fidelity, replicate=int(copied))
        history.append(Added(Run(number, trial, {"x": float(trial)}, slot)))
        lost = rng.random() < 0.1
        outcome = Outcome(RunState.FAILED) if lost else Outcome(RunState.SUCCEEDED, tuple(rng.random(objectives)))
        history.append(Ended(number, outcome))
        for event in history.events[-2:]:
            board.apply(event, history)
        anew = Leaderboard(2)
        for event in history.events:
            anew.apply(event, history)
        rows = [candidate.outcome.ranking for candidate in board.candidates]
        for size in (1, 4, 4, 200):
            assert board.top(size) == anew.top(size)
            assert objectives == 1 or not rows or board.top(size) is board.top(size), "sorted once per change"
            if rows:
                chosen = pareto.best(rows, min(size, len(rows)))
                assert board.top(size) == [board.candidates[index] for index in chosen]
    assert len(board) > 20
