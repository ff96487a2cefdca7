"""Halving beyond the usual tables: R = 243 and R = 1000 run by run, ties, and what failed runs and workers change."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest

from search import Ended, History, Outcome, RunState, StudySpec, ask_many
from search.schedulers.brackets import ladder, sizes
from search.simulation import simulate
from search.streams import stream

CEIL = {
    243: "243@1 81@3 27@9 9@27 3@81 1@243 | 98@3 32@9 10@27 3@81 1@243 | 41@9 13@27 4@81 1@243 | 18@27 6@81 2@243"
    " | 9@81 3@243 | 6@243",
    1000: "1000@1 100@10 10@100 1@1000 | 134@10 13@100 1@1000 | 20@100 2@1000 | 4@1000",
}
FLOOR = {
    243: "243@1 81@3 27@9 9@27 3@81 1@243 | 81@3 27@9 9@27 3@81 1@243 | 27@9 9@27 3@81 1@243 | 18@27 6@81 2@243"
    " | 9@81 3@243 | 6@243",
    1000: "1000@1 100@10 10@100 1@1000 | 100@10 10@100 1@1000 | 20@100 2@1000 | 4@1000",
}


def study(high, algorithm="hyperband", budget=None, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": {
                "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
                "fidelity": {"name": "epochs", "low": 1, "high": high},
            },
            "algorithm": {"name": algorithm, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget or {},
            "seed": seed,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (run.config["x"] + 1 / run.fidelity,))


def written(history, rungs):
    counts = Counter((run.slot.bracket, run.slot.rung, run.fidelity) for run in history.runs)
    brackets = {}
    for (bracket, _, fidelity), count in sorted(counts.items()):
        brackets.setdefault(bracket, []).append(f"{count}@{fidelity}")
    return " | ".join(" ".join(brackets[bracket]) for bracket in range(rungs))


@pytest.mark.parametrize(("high", "eta"), [(243, 3), (1000, 10)])
@pytest.mark.parametrize(("rounding", "tables"), [("ceil", CEIL), ("floor", FLOOR)])
@pytest.mark.parametrize("workers", [1, 30])
def test_a_cycle_as_it_is_played(high, eta, rounding, tables, workers):
    trials = sum(int(bracket.split("@")[0]) for bracket in tables[high].split(" | "))
    spec = study(high, budget={"max_trials": trials}, eta=eta, rounding=rounding)
    history = simulate(spec, succeed, workers).history
    assert written(history, len(ladder(1, high, eta, True))) == tables[high]


@pytest.mark.parametrize(
    ("low", "high", "scratch", "continued"),
    [(1, 81, 405, 297), (1, 27, 108, 81), (1, 9, 27, 21), (3.0, 100.0, 400, 300)],
)
def test_what_the_broadest_bracket_costs(low, high, scratch, continued):
    rungs = ladder(low, high, 3, integer=isinstance(high, int))
    runs = sizes(len(rungs) - 1, len(rungs) - 1, 3, "floor")
    assert sum(n * r for n, r in zip(runs, rungs, strict=True)) == pytest.approx(scratch)
    new = [rungs[0], *(above - below for below, above in pairwise(rungs))]
    assert sum(n * r for n, r in zip(runs, new, strict=True)) == pytest.approx(continued)


def test_the_ceiling_is_of_the_product():
    """ceil(5 * 27 / 4) = 34; the ceiling of 5 / 4, times 27, would be 54."""
    assert sizes(4, 3, 3, "ceil")[0] == 34
    for top in range(8):
        for halvings in range(top + 1):
            for eta in (2, 3, 4, 10):
                exact = Fraction(top + 1, halvings + 1) * eta**halvings
                first = sizes(top, halvings, eta, "ceil")[0]
                assert exact <= first < exact + 1


def test_ties_in_a_rung_go_to_the_lower_trial_whichever_ended_first():
    spec, history = study(9, "asha"), History()
    runs, _ = ask_many(spec, history, 6)
    for run in reversed(runs):
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (1.0,))))
    assert [run.trial for run in ask_many(spec, history, 2)[0]] == [0, 1]


def test_two_workers_are_never_given_the_same_promotion():
    for name in ("hyperband", "asha", "async-hyperband", "successive-halving"):
        spec = study(27, name, {"max_runs": 200})
        history = simulate(spec, succeed, 16, lambda run: float(stream(1, run.number, "time").random())).history
        resumed = [run.resume_from for run in history.runs if run.resume_from is not None]
        assert len(resumed) == len(set(resumed)) > 20


def test_a_rung_of_failures_does_not_count_in_the_third_that_goes_up():
    """Six of nine fail: a rung of three successes promotes one."""
    spec, history = study(9, "asha"), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:
        outcome = Outcome(RunState.FAILED, failure="lost") if run.number % 3 else succeed(run)
        history.append(Ended(run.number, outcome))
    following, _ = ask_many(spec, history, 3)
    assert [run.slot.rung for run in following] == [1, 0, 0]


def test_the_bracket_of_a_trial_does_not_depend_on_the_workers():
    def brackets(workers):
        spec = study(81, "async-hyperband", {"max_trials": 80})
        history = simulate(spec, succeed, workers, lambda run: float(stream(workers, run.number, "t").random())).history
        return [history.runs[history.runs_of(trial)[0]].slot.bracket for trial in range(80)]

    assert brackets(1) == brackets(4) == brackets(16)


def test_hyperband_is_where_random_search_is_after_36_full_runs_before_it_has_spent_six(median_regret):
    """MF-Hartmann6, medians of 30 seeds elsewhere: Hyperband 1.58 at 6, random search 1.89 at 36."""
    hyperband = median_regret({"name": "hyperband", "rounding": "floor"}, (6, 12, 24), seeds=15)
    random = median_regret({"name": "random"}, (12, 24, 36), seeds=15)
    assert hyperband[0] < random[2]
    assert (hyperband[1:] < random[:2]).all()
    assert hyperband == pytest.approx([1.584, 1.389, 1.082], rel=0.3)
    assert random == pytest.approx([2.361, 2.107, 1.891], rel=0.2)
