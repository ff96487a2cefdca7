"""ASHA and asynchronous Hyperband as they play: exact promotions, the bracket law, and how a study ends."""

from collections import Counter

import pytest

from search import Ended, History, Optimizer, Outcome, RunState, StudySpec, Wait, ask, ask_many
from search.schedulers.brackets import bracket_law
from search.simulation import simulate
from search.streams import stream

SPACE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}


def study(algorithm="asha", high=9, seed=0, budget=None, **options):
    return StudySpec.from_json(
        {
            "space": {**SPACE, "fidelity": {"name": "epochs", "low": 1, "high": high}},
            "algorithm": {"name": algorithm, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget or {},
            "seed": seed,
        }
    )


def by_trial(sign):
    """The loss grows (or sinks) with the number of the trial."""
    return lambda run: Outcome(RunState.SUCCEEDED, (float(sign * run.trial),))


def at_random(seed):
    """Each trial has a loss of its own, the same at every fidelity."""
    return lambda run: Outcome(RunState.SUCCEEDED, (float(stream(seed, run.trial, "loss").random()),))


def jobs(history):
    return [(run.trial, run.slot.rung) for run in history.runs]


def sizes(history):
    counts = Counter(run.slot.rung for run in history.runs)
    return [counts[rung] for rung in sorted(counts)]


def test_the_jobs_of_one_worker_when_later_trials_are_worse():
    history = simulate(study(budget={"max_runs": 13}), by_trial(1)).history
    assert jobs(history) == [
        (0, 0), (1, 0), (2, 0), (0, 1), (3, 0), (4, 0), (5, 0), (1, 1), (6, 0), (7, 0), (8, 0), (2, 1), (0, 2),
    ]  # fmt: skip
    assert sizes(history) == [9, 3, 1]


def test_improving_trials_are_promoted_beyond_one_in_eta():
    assert sizes(simulate(study(budget={"max_runs": 13}), by_trial(-1)).history) == [7, 4, 2]


def test_promoted_trials_count_when_the_best_third_is_taken():
    """Leaving them out before taking a third of the rest would give rungs of 78, 76, 74 and 72 runs."""
    total = Counter()
    for seed in range(30):
        history = simulate(study(high=27, budget={"max_runs": 300}, seed=seed), at_random(seed)).history
        total.update(run.slot.rung for run in history.runs)
    assert [total[rung] / 30 for rung in range(4)] == pytest.approx([193, 70, 26, 10], abs=1.5)


@pytest.mark.parametrize("eta", [2, 3, 2.5])
def test_a_promoted_trial_is_among_the_best_of_its_rung(eta):
    spec, history = study(high=27, eta=eta), History()
    losses = {}
    for _ in range(200):
        run = ask(spec, history)
        if run.resume_from is None:
            assert not any(_promotable(history, losses, rung, eta) for rung in losses)
        else:
            rung = history.runs[run.resume_from].slot.rung
            assert _promotable(history, losses, rung, eta)[0] == run.trial
            assert not any(_promotable(history, losses, above, eta) for above in losses if above > rung)
        ask_many(spec, history, 1)
        loss = float(stream(3, run.number, "loss").random())
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (loss,))))
        losses.setdefault(run.slot.rung, {})[run.trial] = loss


def _promotable(history, losses, rung, eta):
    """By the definition: the best 1/eta of all that completed the rung, less those that went up."""
    if history.runs and rung in {run.slot.rung for run in history.runs if run.fidelity == 27}:
        return []
    ranked = sorted(losses[rung], key=lambda trial: (losses[rung][trial], trial))
    gone = {run.trial for run in history.runs if run.slot.rung == rung + 1}
    return [trial for trial in ranked[: int(len(ranked) / eta + 1e-9)] if trial not in gone]


def test_failed_runs_are_not_counted_in_a_rung():
    spec, history = study(), History()
    for failed in (True, False, False, True):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, Outcome(RunState.FAILED) if failed else by_trial(1)(run)))
    assert ask(spec, history).resume_from is None, "two of four succeeded: none is the best third"
    (run,), _ = ask_many(spec, history, 1)
    history.append(Ended(run.number, by_trial(1)(run)))
    assert ask(spec, history).trial == 1


def test_nan_is_never_promoted():
    opt = Optimizer(
        {**SPACE, "fidelity": {"name": "epochs", "low": 1, "high": 9}}, [{"name": "loss", "direction": "minimize"}],
        {"name": "asha"}, {"max_trials": 20},
    )  # fmt: skip
    while run := opt.ask():
        assert run.slot.rung == 0
        opt.tell(run, {"loss": float("nan")})
    assert opt.done


def test_no_worker_waits_and_no_promotion_is_given_twice():
    spec, history = study(), History()
    runs, answer = ask_many(spec, history, 50)
    assert (len(runs), answer) == (50, None)
    for run in runs:
        history.append(Ended(run.number, by_trial(1)(run)))
    promoted, _ = ask_many(spec, history, 20)
    assert [run.trial for run in promoted if run.slot.rung == 1] == list(range(16))
    assert [run.slot.rung for run in promoted[16:]] == [0] * 4


def test_the_last_trials_go_up_when_no_others_may_begin():
    played = simulate(study(budget={"max_trials": 4}), by_trial(1))
    assert jobs(played.history) == [(0, 0), (1, 0), (2, 0), (0, 1), (3, 0), (0, 2)]
    assert played.end.reason == "budget"


def test_the_last_ones_go_up_only_when_nothing_below_can_overtake_them():
    spec, history = study(budget={"max_trials": 2}), History()
    ask_many(spec, history, 2)
    history.append(Ended(1, Outcome(RunState.SUCCEEDED, (1.0,))))
    assert isinstance(ask(spec, history), Wait)
    history.append(Ended(0, Outcome(RunState.SUCCEEDED, (0.5,))))
    run = ask(spec, history)
    assert (run.trial, run.slot.rung) == (0, 1)


def test_the_bracket_law():
    assert bracket_law(4, 3) == pytest.approx([0.569420, 0.237258, 0.105448, 0.052724, 0.035149], abs=5e-7)
    assert bracket_law(3, 3) == pytest.approx([0.551020, 0.244898, 0.122449, 0.081633], abs=5e-7)
    assert bracket_law(0, 3) == pytest.approx([1])


def test_asynchronous_hyperband_draws_brackets_by_the_law():
    runs, _ = ask_many(study("async-hyperband", high=81), History(), 3000)
    counts = Counter(run.slot.bracket for run in runs)
    assert [counts[bracket] / 3000 for bracket in range(5)] == pytest.approx(list(bracket_law(4, 3)), abs=0.03)
    assert {(run.slot.bracket, run.slot.rung, run.fidelity) for run in runs} == {
        (bracket, bracket, 3**bracket) for bracket in range(5)
    }


def test_fewer_brackets_are_the_lowest_ones():
    runs, _ = ask_many(study("async-hyperband", high=81, brackets=2), History(), 200)
    assert {run.slot.bracket for run in runs} == {0, 1}
    assert {run.slot.bracket for run in ask_many(study("async-hyperband", brackets=99), History(), 200)[0]} == {0, 1, 2}


@pytest.mark.parametrize("workers", [1, 4])
def test_brackets_promote_apart(workers):
    history = simulate(study("async-hyperband", high=27, budget={"max_runs": 300}), at_random(1), workers).history
    for run in history.runs:
        if run.resume_from is not None:
            below = history.runs[run.resume_from]
            assert (run.slot.bracket, run.slot.rung) == (below.slot.bracket, below.slot.rung + 1)
    assert len({run.slot.bracket for run in history.runs if run.fidelity == 27}) == 4


def test_the_origin_of_a_promotion():
    history = simulate(study(budget={"max_runs": 4}), by_trial(1)).history
    assert history.runs[3].origin == {"rule": "promote", "rank": 1, "of": 3, "from_run": 0, "loss": 0.0}
