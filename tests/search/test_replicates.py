"""Replicates: the best trials are repeated, the mean judges them, and the budget is kept for it."""

from collections import Counter

import numpy as np
import pytest

from search import (
    Done,
    Ended,
    History,
    Optimizer,
    Outcome,
    Reported,
    RunState,
    Slot,
    StudySpec,
    Wait,
    ask,
    ask_many,
    best,
    confirmed,
    incumbents,
    judged,
    should_stop,
    spent,
)
from search.observations import FAILED, observations
from search.replication import average
from search.simulation import simulate
from search.stopping import Stop
from search.streams import stream
from spaces import InvalidInput

PARAMETERS = [{"name": "x", "type": "float", "low": 0, "high": 1}]
FIDELITY = {"name": "epochs", "low": 1, "high": 9}
LOSS = [{"name": "loss", "direction": "minimize"}]


def study(algorithm="random", fidelity=FIDELITY, replicates=None, **more):
    space = {"parameters": PARAMETERS, "fidelity": fidelity} if fidelity else {"parameters": PARAMETERS}
    given = {"space": space, "algorithm": {"name": algorithm}, "metrics": LOSS}
    return StudySpec.from_json({**given, "replicates": replicates or {"max": 3, "top": 2}, **more})


def loss(run):
    return Outcome(RunState.SUCCEEDED, (run.config["x"],))


def noisy(run, sd=0.3):
    return Outcome(RunState.SUCCEEDED, (run.config["x"] + sd * float(stream(7, run.number, "noise").normal()),))


def runs_per_trial(history):
    return Counter(run.trial for run in history.runs if run.fidelity in (9, None))


def test_defaults_and_bad_input():
    assert study(replicates={"top": 1}).replicates.max == 3
    for given, path in [
        ([], ("replicates",)),
        ({"max": 1}, ("replicates", "max")),
        ({"top": 0}, ("replicates", "top")),
        ({"n": 3}, ("replicates", "n")),
    ]:
        with pytest.raises(InvalidInput) as caught:
            StudySpec.from_json({"space": {"parameters": PARAMETERS}, "metrics": LOSS, "replicates": given})
        assert caught.value.problems[0].path == path


def test_a_replicate_is_a_run_of_the_same_trial_from_scratch():
    history = simulate(study(budget={"max_trials": 12}), loss).history
    copies = [run for run in history.runs if run.slot.replicate]
    assert copies
    for run in copies:
        first = history.runs[run.origin["from_run"]]
        assert (run.trial, run.config, run.fidelity, run.resume_from) == (first.trial, first.config, 9, None)
        assert run.slot == Slot(first.slot.bracket, first.slot.rung, 9, run.slot.replicate)
        assert run.number != history.runs_of(run.trial)[0]
    assert len({(run.trial, run.slot) for run in history.runs}) == len(history.runs)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("fidelity", [FIDELITY, None])
def test_in_the_end_the_best_have_all_their_runs(workers, fidelity):
    spec = study(fidelity=fidelity, budget={"max_trials": 20})
    history = simulate(spec, noisy, workers).history
    counts = runs_per_trial(history)
    means = {trial: judged(spec, history, history.runs_of(trial)[0]).loss for trial in range(20)}
    top = sorted(means, key=means.get)[:2]
    assert [counts[trial] for trial in top] == [3, 3]
    assert max(counts.values()) == 3
    assert history.runs[best(spec, history)].trial == top[0]


def test_the_mean_over_the_runs_is_what_counts():
    opt = Optimizer({"parameters": PARAMETERS}, LOSS, {"name": "random"}, {"max_trials": 6}, replicates={"top": 1})
    lucky = {0: [0.5], 1: [0.1, 0.9, 0.8], 2: [0.4, 0.45, 0.35], 3: [0.6], 4: [0.7], 5: [0.65]}
    told = Counter()
    seen = []
    while run := opt.ask():
        opt.tell(run, {"loss": lucky[run.trial][told[run.trial]] if told[run.trial] < len(lucky[run.trial]) else 0.6})
        told[run.trial] += 1
        seen.append((run.trial, opt.best().trial, opt.best().confirmed))
    assert told == {0: 1, 1: 2, 2: 3, 3: 1, 4: 1, 5: 1}, "the lucky one sinks after one replicate"
    assert opt.best().metrics == {"loss": pytest.approx(0.4)}
    assert (opt.best().trial, opt.best().confirmed, opt.best().replicates) == (2, True, 2)
    assert seen[1] == (1, 1, False)
    trace = [opt.history.runs[number].trial for number in incumbents(opt.study, opt.history)]
    assert trace == [0, 1, 2]


def test_a_confirmed_trial_leads_until_a_better_one_is_confirmed():
    spec, history = study(fidelity=None, replicates={"max": 2, "top": 1}), History()

    def play(loss):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (loss,))))
        return run

    play(0.5), play(0.6)
    assert play(0.5).slot.replicate == 1, "one in two is repeated"
    assert confirmed(spec, history, 0)
    better = play(0.3)
    assert best(spec, history) == 0
    assert play(0.3).trial == better.trial
    assert best(spec, history) == better.number


def test_while_the_search_goes_on_one_trial_in_max_is_repeated():
    spec, history = study(fidelity=None, replicates={"max": 3, "top": 5}), History()
    for _ in range(40):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (float(run.trial),))))
        repeated = {run.trial for run in history.runs if run.slot.replicate}
        assert len(repeated) <= history.trial_count // 3
    assert repeated == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "asha"])
@pytest.mark.parametrize("budget", [{"max_runs": 60}, {"max_fidelity": 400}])
@pytest.mark.parametrize("workers", [1, 4])
def test_the_budget_is_kept_for_them(algorithm, budget, workers):
    spec = study(algorithm, replicates={"max": 3, "top": 3}, budget=budget)
    history = simulate(spec, noisy, workers).history
    used = spent(history)
    assert used.runs <= budget.get("max_runs", used.runs)
    assert used.fidelity <= budget.get("max_fidelity", used.fidelity)
    assert confirmed(spec, history, best(spec, history))
    counts = runs_per_trial(history)
    assert sum(count == 3 for count in counts.values()) >= 3


@pytest.mark.parametrize("runs", range(1, 9))
def test_a_small_budget_goes_to_new_trials_first(runs):
    history = simulate(study(replicates={"max": 3, "top": 5}, budget={"max_runs": runs}), noisy).history
    assert history.trial_count >= max(1, (runs - 1) // 2)
    assert len(history.runs) <= runs


def test_a_failed_replicate_disqualifies_and_a_lost_one_says_nothing():
    good, other = Outcome(RunState.SUCCEEDED, (1.0,)), Outcome(RunState.SUCCEEDED, (2.0,), violation=0.5)
    lost = Outcome(RunState.FAILED, failure="lost")
    assert average([good, other]) == Outcome(RunState.SUCCEEDED, (1.5,), violation=0.25)
    assert average([good, lost, Outcome(RunState.CANCELLED)]) == good
    assert average([good, Outcome(RunState.FAILED, failure="diverged")]).state is RunState.FAILED

    spec, history = study(fidelity=None, replicates={"max": 2, "top": 1}), History()
    outcomes = [good, Outcome(RunState.SUCCEEDED, (1.5,)), Outcome(RunState.FAILED, failure="diverged")]
    for outcome in outcomes:
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, outcome))
    assert (run.trial, run.slot.replicate) == (0, 1)
    assert best(spec, history) == 1
    observed = observations(spec.space, history)
    assert observed.state[0] == FAILED
    assert np.isnan(observed.losses[0]).all()


def test_models_learn_the_mean():
    spec = study("tpe", fidelity=None, budget={"max_trials": 15})
    history = simulate(spec, noisy).history
    observed = observations(spec.space, history)
    for run in history.runs:
        if run.slot.replicate:
            assert not observed.learnable[run.number]
        else:
            assert observed.losses[run.number, 0] == judged(spec, history, run.number).loss
    assert observed.learnable.sum() == 15
    assert all(not history.runs[number].slot.replicate for number in observed.latest)


def test_a_target_needs_a_confirmed_best():
    spec, history = study(fidelity=None, replicates={"max": 2, "top": 1}, budget={"target": 0.5}), History()
    for loss in (0.4, 0.9):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (loss,))))
    (copy,), _ = ask_many(spec, history, 1)
    assert (copy.trial, copy.slot.replicate) == (0, 1)
    history.append(Ended(copy.number, Outcome(RunState.SUCCEEDED, (0.45,))))
    assert ask(spec, history).reason == "target"


def test_the_end_waits_for_runs_that_may_have_to_be_repeated():
    spec, history = study(fidelity=None, replicates={"max": 2, "top": 1}, budget={"max_trials": 2}), History()
    ask_many(spec, history, 2)
    assert isinstance(ask(spec, history), Wait)
    history.append(Ended(0, Outcome(RunState.SUCCEEDED, (0.5,))))
    (copy,), _ = ask_many(spec, history, 1)
    assert copy.trial == 0
    assert isinstance(ask(spec, history), Wait)
    history.append(Ended(1, Outcome(RunState.SUCCEEDED, (0.1,))))
    (other,), _ = ask_many(spec, history, 1)
    assert other.trial == 1
    for number in (copy.number, other.number):
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (0.3,))))
    assert isinstance(ask(spec, history), Done)


def test_several_objectives_repeat_the_front():
    metrics = [{"name": "a", "direction": "minimize"}, {"name": "b", "direction": "minimize"}]
    spec = study("random", replicates={"max": 2, "top": 3}, budget={"max_trials": 12}, metrics=metrics)

    def two(run):
        x = run.config["x"]
        return Outcome(RunState.SUCCEEDED, (x, (1 - x) ** 2) if run.trial % 2 else (x + 1, (1 - x) ** 2 + 1))

    history = simulate(spec, two).history
    assert all(trial % 2 for trial, count in runs_per_trial(history).items() if count == 2)


def test_rules_that_compare_trials_leave_replicates_alone():
    given = {"name": "random", "stop": {"rule": "median", "trials": 1}}
    spec = StudySpec.from_json(
        {"space": {"parameters": PARAMETERS}, "algorithm": given, "metrics": LOSS, "replicates": {"max": 2, "top": 1}}
    )
    history = History()
    for value in (0.1, 0.5):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Reported(run.number, 1, (value,)))
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (value,))))
    (copy, new), _ = ask_many(spec, history, 2)
    assert (copy.slot.replicate, new.slot.replicate) == (1, 0)
    for run in (copy, new):
        history.append(Reported(run.number, 1, (9.0,)))
    assert should_stop(spec, history, copy.number) is None
    assert isinstance(should_stop(spec, history, new.number), Stop)
