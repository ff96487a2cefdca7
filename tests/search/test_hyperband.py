"""Hyperband as it plays: which runs are started, in which order, and what failures and workers change (or do not)."""

from collections import Counter

import pytest

from search import Ended, History, Optimizer, Outcome, RunState, StudySpec, Wait, ask, ask_many
from search.simulation import simulate
from search.streams import stream

SPACE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
CYCLE = 128
"""Trials of one cycle of 1..81, eta 3, floor; with no more trials than that, exactly the cycle is played."""


def study(high=81, max_trials=None, **options):
    return StudySpec.from_json(
        {
            "space": {**SPACE, "fidelity": {"name": "epochs", "low": 1, "high": high}},
            "algorithm": {"name": "hyperband", **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": {"max_trials": max_trials},
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (run.config["x"] + 1 / run.fidelity,))


def rungs(history):
    """How many runs each (bracket, rung) got."""
    return Counter((run.slot.bracket, run.slot.rung) for run in history.runs)


@pytest.mark.parametrize(
    ("cycles", "open_brackets", "makespans"),
    [(1, 4, (1404, 499, 181, 167)), (1, 1, (1404, 621, 423, 407)), (3, 4, (4212, 1435, 510, 352))],
)
def test_makespan(cycles, open_brackets, makespans):
    spec = study(max_trials=cycles * CYCLE, rounding="floor", max_open_brackets=open_brackets)
    played = [simulate(spec, succeed, workers) for workers in (1, 3, 9, 27)]
    assert tuple(each.makespan for each in played) == makespans
    assert [len(each.history.runs) for each in played] == [cycles * 187] * 4


@pytest.mark.parametrize("workers", [1, 4, 16, 200])
@pytest.mark.parametrize(
    ("rounding", "max_trials", "expected"),
    [
        ("floor", 128, "81 27 9 3 1 | 27 9 3 1 | 9 3 1 | 6 2 | 5"),
        ("ceil", 143, "81 27 9 3 1 | 34 11 3 1 | 15 5 1 | 8 2 | 5"),
    ],
)
def test_a_cycle_has_the_runs_of_the_table_whatever_the_number_of_workers(workers, rounding, max_trials, expected):
    history = simulate(study(max_trials=max_trials, rounding=rounding), succeed, workers).history
    found = rungs(history)
    brackets = [" ".join(str(found[b, r]) for r in range(b, 5)) for b in range(5)]
    assert " | ".join(brackets) == expected


def test_promotions_are_the_same_whatever_the_order_of_completion():
    spec = study(high=27, max_trials=3 * 49)

    def promotions(workers, order):
        def seconds(run):
            return float(stream(order, run.number, "duration").random())

        history = simulate(spec, succeed, workers, seconds).history
        return {(run.trial, run.slot) for run in history.runs}

    expected = promotions(1, 0)
    assert len(expected) == 3 * 69
    assert all(promotions(workers, order) == expected for workers in (1, 4, 16) for order in (1, 2))


def test_slots_name_the_bracket_of_the_study_and_the_rung_of_the_ladder():
    history = simulate(study(high=9, max_trials=2 * 17), succeed).history
    first = {run.slot.bracket: run.slot for run in reversed(history.runs)}
    assert [(b, first[b].rung, first[b].fidelity) for b in sorted(first)] == [
        (0, 0, 1), (1, 1, 3), (2, 2, 9), (3, 0, 1), (4, 1, 3), (5, 2, 9),
    ]  # fmt: skip


def test_a_promoted_run_continues_the_run_below_it():
    history = simulate(study(high=27, max_trials=49), succeed).history
    promoted = [run for run in history.runs if run.resume_from is not None]
    assert len(promoted) == 69 - 49
    for run in promoted:
        below = history.runs[run.resume_from]
        assert (run.trial, run.config, run.slot.bracket) == (below.trial, below.config, below.slot.bracket)
        assert run.slot.rung == below.slot.rung + 1
    assert len({run.resume_from for run in promoted}) == len(promoted)


def test_the_best_are_promoted_best_first_with_the_reason():
    history = simulate(study(high=9, max_trials=9), succeed).history
    bottom = sorted(history.runs[:9], key=lambda run: run.config["x"])
    up = history.runs[9:12]
    assert [run.resume_from for run in up] == [run.number for run in bottom[:3]]
    assert up[1].origin == {
        "rule": "promote", "rank": 2, "of": 9, "from_run": bottom[1].number, "loss": bottom[1].config["x"] + 1,
    }  # fmt: skip


def test_ties_go_to_the_lower_trial():
    def same(run):
        return Outcome(RunState.SUCCEEDED, (1.0,))

    def backwards(run):
        return 100.0 - run.number

    history = simulate(study(high=9, max_trials=9), same, workers=9, seconds=backwards).history
    assert [run.trial for run in history.runs[9:12]] == [0, 1, 2]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.STOPPED, RunState.CANCELLED])
def test_what_did_not_succeed_is_never_promoted_and_its_place_is_dropped(state):
    def only_two(run):
        return succeed(run) if run.trial in (3, 7) else Outcome(state)

    history = simulate(study(high=9, max_trials=9), only_two).history
    assert rungs(history) == {(0, 0): 9, (0, 1): 2, (0, 2): 1}
    assert {run.trial for run in history.runs[9:]} == {3, 7}


def test_a_rung_of_failures_ends_its_bracket_and_the_next_one_begins():
    opt = Optimizer(
        space={**SPACE, "fidelity": {"name": "epochs", "low": 1, "high": 9}}, algorithm={"name": "hyperband"},
        metrics=[{"name": "loss", "direction": "minimize"}], budget={"max_trials": 17},
    )  # fmt: skip
    for _ in range(9):
        opt.tell(opt.ask(), {"loss": float("nan")})
    run = opt.ask()
    assert (run.slot.bracket, run.slot.rung, run.fidelity) == (1, 1, 3)


def test_every_run_failing_ends_cleanly():
    played = simulate(study(high=9, max_trials=17), lambda run: Outcome(RunState.FAILED, failure="error"), workers=4)
    assert rungs(played.history) == {(0, 0): 9, (1, 1): 5, (2, 2): 3}
    assert played.end.reason == "budget"


def test_nan_is_never_promoted():
    opt = Optimizer(
        space={**SPACE, "fidelity": {"name": "epochs", "low": 1, "high": 9}}, algorithm={"name": "hyperband"},
        metrics=[{"name": "loss", "direction": "minimize"}], budget={"max_trials": 9},
    )  # fmt: skip
    bad = {"nan": float("nan"), "inf": float("inf"), "minus": float("-inf")}
    runs = [opt.ask() for _ in range(9)]
    for run, loss in zip(runs, [*bad.values(), 0.5, 0.4, 0.3, 0.2, float("nan"), 0.1], strict=True):
        opt.tell(run, {"loss": loss})
    assert [opt.ask().trial for _ in range(3)] == [8, 6, 5]


def test_idle_workers_begin_other_brackets_up_to_the_cap():
    history = History()
    runs, answer = ask_many(study(high=9, max_open_brackets=2), history, 100)
    assert rungs(history) == {(0, 0): 9, (1, 1): 5}
    assert isinstance(answer, Wait)
    assert "2 open brackets" in answer.detail
    history.append(Ended(0, succeed(runs[0])))
    assert isinstance(ask(study(high=9, max_open_brackets=2), history), Wait), "the rung has 8 open runs yet"


def test_promotions_of_an_older_bracket_come_before_samples():
    spec, history = study(high=9), History()
    runs, _ = ask_many(spec, history, 11)  # 9 of bracket 0, 2 of bracket 1
    for run in runs[:9]:
        history.append(Ended(run.number, succeed(run)))
    following, _ = ask_many(spec, history, 4)
    assert [(run.slot.bracket, run.slot.rung) for run in following] == [(0, 1)] * 3 + [(1, 1)]


def test_without_new_trials_an_open_bracket_shrinks_to_what_it_has():
    played = simulate(study(high=9, max_trials=4), succeed)
    assert rungs(played.history) == {(0, 0): 4, (0, 1): 3, (0, 2): 1}
    assert (played.end.reason, "max_trials" in played.end.detail) == ("budget", True)


def test_a_bracket_that_has_promoted_takes_no_more_trials_when_the_budget_is_raised():
    history = simulate(study(high=9, max_trials=4), succeed).history
    run = ask(study(high=9, max_trials=5), history)
    assert (run.slot.bracket, run.slot.rung) == (1, 1)


def test_a_range_too_short_for_halving_is_full_fidelity_with_advice():
    space = {**SPACE, "fidelity": {"name": "epochs", "low": 80, "high": 200}}
    common = {"algorithm": {"name": "hyperband"}, "metrics": [{"name": "loss", "direction": "minimize"}]}
    (advice,) = StudySpec.from_json({"space": space, "budget": {"max_runs": 9}, **common}).advice
    assert advice.path == ("space", "fidelity")
    with pytest.warns(UserWarning, match="nothing can be stopped early"):
        opt = Optimizer(space=space, **common)
    assert [opt.ask().fidelity for _ in range(3)] == [200, 200, 200]
