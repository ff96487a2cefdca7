"""The budget, the end of a study, and the actions that a scheduler may answer."""

from dataclasses import dataclass, replace

import pytest

from search import (
    ALGORITHMS,
    Added,
    Done,
    Ended,
    History,
    Outcome,
    Run,
    RunState,
    StudySpec,
    Wait,
    ask,
    ask_many,
    spent,
)
from search.actions import Evaluate
from search.history import Slot
from search.simulation import simulate
from search.testbed import ANYWHERE
from spaces import InvalidInput

FIDELITY = {"name": "epochs", "low": 1, "high": 9}


def study(algorithm="random", fidelity=FIDELITY, direction="minimize", parameters=None, **budget):
    parameters = parameters or [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}}]
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters, "fidelity": fidelity} if fidelity else {"parameters": parameters},
            "algorithm": {"name": algorithm},
            "metrics": [{"name": "loss", "direction": direction}],
            "budget": budget,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (float(run.config["x"]),))


@pytest.mark.parametrize("algorithm", ANYWHERE)
def test_max_runs_is_exact_and_final_at_once(algorithm):
    spec, history = study(algorithm, max_runs=5), History()
    runs, answer = ask_many(spec, history, 100)
    assert len(runs) == 5
    assert answer == Done("budget", "max_runs: 5 runs were started")
    assert ask(spec, history) == answer


def test_max_trials_lets_promotions_go_on():
    played = simulate(study("hyperband", max_trials=9), succeed, workers=3)
    assert played.history.trial_count == 9
    assert len(played.history.runs) == 13
    assert played.end.detail.startswith("max_trials: 9")


@pytest.mark.parametrize(("limit", "runs"), [(9, 1), (9.1, 1), (26.9, 2), (27, 3)])
def test_max_fidelity_is_strict(limit, runs):
    played = simulate(study(max_fidelity=limit), succeed, workers=2)
    assert len(played.history.runs) == runs
    assert played.end.detail.startswith("max_fidelity:")


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("limit", [9, 15, 21, 22, 60, 69, 100])
def test_max_fidelity_charges_a_promoted_run_the_difference(workers, limit):
    history = simulate(study("hyperband", max_fidelity=limit), succeed, workers).history
    paid = sum(run.fidelity - (history.runs[run.resume_from].fidelity if run.resume_from is not None else 0)
               for run in history.runs)  # fmt: skip
    assert paid == spent(history).fidelity
    assert limit - 9 < paid <= limit  # what is left does not pay for the next run


def test_what_is_left_of_max_fidelity_goes_into_promotions():
    # 9 trials at 1, three of them to 3 and one to 9: 9 + 3 * 2 + 6 = 21, exactly one bracket
    history = simulate(study("hyperband", max_fidelity=21), succeed).history
    assert [run.fidelity for run in history.runs] == [1] * 9 + [3] * 3 + [9]


def test_a_promotion_that_is_not_covered_waits_for_open_runs():
    spec, history = study("hyperband", max_fidelity=20), History()
    bottom, _ = ask_many(spec, history, 9)
    for run in bottom:
        history.append(Ended(run.number, succeed(run)))
    *promoted, other = ask_many(spec, history, 4)[0]
    assert [run.fidelity for run in promoted] == [3, 3, 3]
    assert (other.slot.bracket, other.fidelity) == (1, 3)
    for run in promoted:
        history.append(Ended(run.number, succeed(run)))
    assert ask(spec, history) == Wait("barrier", "max_fidelity: 18 of 20 spent, the next run needs more")
    history.append(Ended(other.number, succeed(other)))
    assert ask(spec, history) == Done("budget", "max_fidelity: 18 of 20 spent, the next run needs more")


def test_round_off_costs_no_run():
    fidelity = {"name": "fraction", "type": "float", "low": 0.1, "high": 0.1 + 1e-9}
    assert len(simulate(study(fidelity=fidelity, max_fidelity=0.3), succeed).history.runs) == 2
    fidelity = {"name": "fraction", "type": "float", "low": 0.01, "high": 0.1}
    assert len(simulate(study(fidelity=fidelity, max_fidelity=0.3), succeed).history.runs) == 3


def test_without_a_fidelity_every_run_costs_one():
    history = simulate(study(fidelity=None, max_fidelity=3), succeed).history
    assert [run.fidelity for run in history.runs] == [None] * 3


@pytest.mark.parametrize(("direction", "target", "value"), [("minimize", 0.2, 0.2), ("maximize", 0.9, 0.9)])
def test_target_ends_the_study(direction, target, value):
    spec, history = study(direction=direction, target=target), History()
    sign = spec.metrics[0].sign
    ask_many(spec, history, 2)
    history.append(Ended(0, Outcome(RunState.SUCCEEDED, (sign * (value + sign * 0.01),))))
    assert isinstance(ask(spec, history), Run), "worse than the target"
    history.append(Ended(1, Outcome(RunState.SUCCEEDED, (sign * value,))))
    assert ask(spec, history) == Done("target", f"target: loss is at least as good as {target:g}")


def test_target_counts_at_the_maximum_fidelity_only():
    history = simulate(study("hyperband", target=2.0, max_trials=9), succeed).history
    assert [run.fidelity for run in history.runs] == [1] * 9 + [3] * 3 + [9]


@pytest.mark.parametrize("algorithm", ANYWHERE)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_finite_space_is_tried_once_and_ends_exhausted(algorithm, workers):
    parameters = [{"name": "x", "type": "int", "low": 1, "high": 5, "prior": {"mode": 3}}]
    played = simulate(study(algorithm, parameters=parameters), succeed, workers)
    assert played.end == Done("exhausted", "all 5 configs of the space have been tried")
    assert sorted(run.config["x"] for run in played.history.runs if run.resume_from is None) == [1, 2, 3, 4, 5]
    assert max(run.fidelity for run in played.history.runs) == 9


def test_no_budget_is_no_limit():
    runs, answer = ask_many(study(fidelity=None), History(), 500)
    assert (len(runs), answer) == (500, None)


def test_ask_is_pure():
    history = History()
    assert ask(study(), history) == ask(study(), history)
    assert not history.events


@dataclass(frozen=True)
class Enqueued:
    """Evaluates one given config, then is done."""

    def next(self, history, new_trials, streams):
        if history.trial_count:
            return Done("exhausted", "the queue is empty")
        return Evaluate(Slot(fidelity=9), {"x": 0.25}, "supernet", {"rule": "given"}) if new_trials else None


def test_a_scheduler_may_name_the_config_and_the_end(monkeypatch):
    row = replace(ALGORITHMS["random"], name="queue", scheduler=lambda space, options: Enqueued())
    monkeypatch.setitem(ALGORITHMS, "queue", row)
    history = History()
    assert ask_many(study("queue"), history, 2) == (
        [Run(0, 0, {"x": 0.25}, Slot(fidelity=9), "supernet", {"rule": "given"})],
        Done("exhausted", "the queue is empty"),
    )
    with pytest.raises(InvalidInput, match="at least 9"):
        study("queue", max_fidelity=5)
    assert history.events == [Added(history.runs[0])]
