"""PriorBand: when each rule is used and how often, on numbers worked out by hand; bad priors do little harm."""

from collections import Counter

import numpy as np
import pytest

from search import Added, Ended, History, Optimizer, Outcome, Run, RunState, Slot, StudySpec, ask, ask_many
from search.actions import Sample
from search.samplers.priorband import PriorBand, Shares, bracket_cost, share_of_first, uniform_share
from search.schedulers.brackets import OUTSIDE, ladder
from search.simulation import simulate
from search.streams import Streams
from search.testbed import Hartmann
from spaces import InvalidInput, Space

LINE = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}}]}
MIXED = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 1, "log": True, "prior": {"mode": 1e-2}},
        {"name": "n", "type": "int", "low": 1, "high": 9, "prior": {"mode": 7}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"], "prior": {"mode": "b"}},
        {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
        {"name": "z", "type": "float", "low": 0, "high": 1},
    ]
}
AXIS = {"name": "epochs", "low": 1, "high": 27}


def given(space, axis=AXIS, **more):
    return {
        "space": {**space, "fidelity": axis}, "metrics": [{"name": "loss", "direction": "minimize"}],
        "budget": {"max_runs": 200}, **more,
    }  # fmt: skip


def study(space=LINE, seed=0, budget=None, axis=AXIS, **options):
    return StudySpec.from_json(
        given(space, axis, algorithm={"name": "priorband", **options}, budget=budget or {}, seed=seed)
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (abs(run.config.get("x", 0.2) - 0.2) + 1 / run.fidelity,))


def played(*runs, axis=AXIS):
    """A history of trials with one run each: (x, loss or None for a failure, rung[, bracket])."""
    fidelities = ladder(axis["low"], axis["high"], 3, integer=axis.get("type") != "float")
    history = History()
    for number, (x, loss, rung, *bracket) in enumerate(runs):
        slot = Slot(bracket[0] if bracket else 0, rung, fidelities[rung])
        history.append(Added(Run(number, number, {"x": x}, slot)))
        outcome = Outcome(RunState.FAILED) if loss is None else Outcome(RunState.SUCCEEDED, (loss,))
        history.append(Ended(number, outcome))
    return history


def sampler(space=LINE, axis=AXIS, **options):
    return PriorBand(Space.from_json({**space, "fidelity": axis}), **options)


@pytest.mark.parametrize(
    ("eta", "expected"),
    [(3, (0.5, 0.25, 0.1, 0.035714, 0.012195)), (2, (0.5, 0.333333, 0.2, 0.111111, 0.058824))],
)
def test_the_share_of_uniform_draws_falls_with_the_absolute_rung(eta, expected):
    assert [uniform_share("geometric", eta, rung, 4) for rung in range(5)] == pytest.approx(expected, abs=1e-6)


def test_the_other_styles_of_uniform_draws():
    assert [uniform_share("linear", 3, rung, 4) for rung in (0, 2, 4)] == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert uniform_share("linear", 3, 0, 0) == 1 / 2
    assert {uniform_share("50-50", 3, rung, 4) for rung in range(5)} == {0.5}


@pytest.mark.parametrize(
    ("low", "high", "integer", "cost"),
    [(1, 81, True, 297), (1, 27, True, 81), (1, 9, True, 21), (3, 100, False, 300)],
)
def test_a_bracket_from_the_lowest_rung_costs(low, high, integer, cost):
    assert bracket_cost(ladder(low, high, 3, integer), 3, "floor") == pytest.approx(cost)


def test_the_first_trial_is_the_mode_at_the_highest_fidelity_outside_the_brackets():
    runs, _ = ask_many(study(MIXED), History(), 30)
    first = runs[0]
    assert first.config == {"lr": 1e-2, "n": 7, "kind": "b", "z": 0.5}
    assert first.slot == Slot(OUTSIDE, 3, 27)
    assert first.origin["rule"] == "prior-mode"
    assert [run.slot.bracket for run in runs[1:]] == [0] * 27 + [1] * 2, "bracket 0 is whole without it"


def test_the_outside_trial_is_never_promoted_and_promotes_nobody():
    history = simulate(study(budget={"max_trials": 50}), succeed, workers=3).history
    outside = [run for run in history.runs if run.slot.bracket == OUTSIDE]
    assert [run.number for run in outside] == [0]
    assert all(run.resume_from != 0 for run in history.runs)
    first = Counter(run.slot.rung for run in history.runs if run.slot.bracket == 0)
    assert first == {0: 27, 1: 9, 2: 3, 3: 1}


def test_the_mode_may_come_first_on_the_lowest_rung_instead():
    runs, _ = ask_many(study(MIXED, first="lowest"), History(), 28)
    assert runs[0].slot == Slot(0, 0, 1)
    assert runs[0].config == {"lr": 1e-2, "n": 7, "kind": "b", "z": 0.5}
    assert Counter(run.slot.bracket for run in runs) == {0: 27, 1: 1}


def test_a_space_without_priors_is_refused_with_advice():
    plain = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
    with pytest.raises(InvalidInput) as refused:
        study(plain)
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert "prior" in problem.message
    assert "hyperband" in problem.message


def test_the_incumbent_counts_after_a_full_run_of_the_brackets_and_one_bracket_of_fidelity():
    """One bracket of 1..27 costs 81."""
    enough = [(0.1, 1.0, 3)] * 3
    assert sampler().standing(played(*enough)).active
    assert not sampler().standing(played(*enough[:2], (0.1, 1.0, 2), (0.1, 1.0, 2))).active, "72 spent"
    assert not sampler().standing(played(*[(0.1, 1.0, 2)] * 10)).active, "90 spent, but nothing at 27"
    outside = [(0.1, 1.0, 3, OUTSIDE), *[(0.1, 1.0, 2)] * 10]
    assert not sampler().standing(played(*outside)).active, "the mode outside the brackets is no proof"
    assert sampler().standing(played(*outside, (0.1, 1.0, 3))).active


def test_the_outside_trial_and_failures_are_spent():
    standing = sampler().standing(played((0.1, 1.0, 3, OUTSIDE), (0.1, None, 3), (0.1, 1.0, 0)))
    assert standing.spent == 27 + 27 + 1, "the lowest rung costs its fidelity and not its number, 0"


def test_a_promoted_trial_costs_where_it_has_been_furthest():
    history = played((0.1, 1.0, 0), (0.2, 2.0, 0))
    history.append(Added(Run(2, 0, {"x": 0.1}, Slot(0, 1, 3), resume_from=0)))
    history.append(Ended(2, Outcome(RunState.SUCCEEDED, (5.0,))))
    standing = sampler().standing(history)
    assert standing.spent == 3 + 1
    assert standing.incumbent == 1, "trial 0 is judged by its 5.0 at 3, not by its 1.0 at 1"


def test_fractional_fidelities_that_sum_to_the_cost_on_paper_are_enough():
    axis = {"name": "share", "type": "float", "low": 0.1, "high": 0.9}
    band = sampler(axis=axis)
    cost = bracket_cost(ladder(0.1, 0.9, 3, integer=False), 3, "ceil")
    assert cost == pytest.approx(9 * 0.1 + 3 * 0.2 + 0.6)
    history = played(*[(0.1, 1.0, 0)] * 9, *[(0.1, 1.0, 1)] * 1, (0.1, 1.0, 2), axis=axis)
    assert band.standing(history).spent == pytest.approx(cost)
    assert band.standing(history).active


def test_before_activation_the_rest_is_the_priors():
    band, history = sampler(), played(*[(0.1, 1.0, 0)] * 20)
    for rung, uniform in enumerate((0.5, 0.25, 0.1)):
        assert band.shares(rung, history) == Shares(uniform, 1 - uniform, 0.0)
    rules = [band.sample(Sample(Slot(0, 0, 1)), history, Streams(1, trial))[1]["rule"] for trial in range(2000)]
    assert Counter(rules)["prior"] == pytest.approx(1000, abs=80)
    assert "incumbent" not in rules


def test_the_split_of_the_worked_example():
    """Prior TN(0.5, 0.25), incumbent 0.9: S is 5.053222 against 12.842816 for 0.85, 0.8, 0.6 (best first)."""
    space = Space.from_json({**LINE, "fidelity": AXIS})
    around = space.prior_around({"x": 0.9})
    for best, share in (([0.85, 0.8, 0.6], 0.282365), ([0.5, 0.45, 0.6], 0.701745)):
        points = np.array(best)[:, None]
        assert share_of_first(space.prior.log_density(points), around.log_density(points)) == pytest.approx(
            share, abs=1e-6
        )
    scores = [
        float(np.array([3, 2, 1]) @ np.exp(law.log_density(np.array([[0.85], [0.8], [0.6]]))))
        for law in (space.prior, around)
    ]
    assert scores == pytest.approx([5.053222, 12.842816], abs=1e-6)


def test_the_shares_of_the_worked_example_on_rung_two():
    """The three best at the top are 0.85, 0.8, 0.6; a run at 9 with a lower loss makes 0.9 the incumbent."""
    history = played((0.85, 1.0, 3), (0.8, 2.0, 3), (0.6, 3.0, 3), (0.9, 0.5, 2))
    assert sampler().standing(history).incumbent == 3
    shares = sampler().shares(2, history)
    assert (shares.uniform, shares.prior, shares.incumbent) == pytest.approx((0.1, 0.254129, 0.645871), abs=1e-6)


def test_the_score_of_the_incumbent_has_the_width_of_the_prior_and_the_mutation_its_own():
    """The two laws are compared by their centres alone; the step of a mutation is 0.25 whatever the confidence."""
    sure = {"parameters": [{**LINE["parameters"][0], "prior": {"mode": 0.5, "confidence": "high"}}]}
    space = Space.from_json({**sure, "fidelity": AXIS})
    history = played((0.5, 1.0, 3), (0.4, 2.0, 3), (0.6, 3.0, 3))
    band = PriorBand(space)
    assert band.shares(3, history).prior == pytest.approx(band.shares(3, history).incumbent), "same centre, same law"
    drawn = []
    for trial in range(1500):
        config, origin = band.sample(Sample(Slot(0, 3, 27)), history, Streams(1, trial))
        if origin["rule"] == "incumbent":
            assert origin["incumbent"] == 0
            drawn.append(config["x"])
    assert np.std(drawn) == pytest.approx(0.219906, abs=0.015), "of TN(0.5, 0.25); of the prior's 0.125 it is 0.125"


def test_the_best_are_those_of_the_highest_rung_with_eta_or_more():
    def best(*runs):
        return sampler().standing(played(*runs)).best(3)

    low = [(0.1, float(loss), 0) for loss in range(20)]
    assert best(*low[:2]) == []
    assert best(*low[:3]) == [0, 1, 2]
    assert best(*low, (0.1, 9.0, 1), (0.1, 8.0, 1)) == [0, 1, 2, 3, 4, 5], "two on rung 1 are too few; 20 // 3 = 6"
    assert best(*low, (0.1, 9.0, 1), (0.1, 8.0, 1), (0.1, 7.0, 1)) == [22, 21, 20], "exactly eta are enough"
    assert best(*low, *[(0.1, 9.0 - i, 1) for i in range(4)]) == [23, 22, 21], "and more than eta too"
    assert best(*low[:3], (0.1, None, 1), (0.1, None, 1), (0.1, None, 1)) == [0, 1, 2], "failures are none of them"


def test_the_outside_trial_counts_for_the_incumbent_and_the_best():
    standing = sampler().standing(played((0.5, 0.1, 3, OUTSIDE), (0.2, 1.0, 3), (0.3, 2.0, 3)))
    assert standing.incumbent == 0
    assert standing.best(3) == [0, 1, 2]


def test_constant_and_decaying_shares():
    history = played(*[(0.1, 1.0, 3)] * 3)
    assert sampler(inc_style="constant").shares(3, history).prior == pytest.approx(27 / 28 * 3 / 4)
    for full_runs, share in ((3, 1 / 2), (5, 1 / 2), (6, 1 / 4), (9, 1 / 8)):
        history = played(*[(0.1, 1.0, 3)] * full_runs)
        assert sampler(inc_style="decay").shares(3, history).prior == pytest.approx(27 / 28 * share)


def test_shares_of_densities_that_vanish_in_doubles():
    low, lower = np.full(4, -5000.0), np.full(4, -5000.0 - np.log(3))
    assert share_of_first(low, lower) == pytest.approx(0.75)
    assert share_of_first(np.full(2, -np.inf), np.full(2, -np.inf)) == 0.5


def test_the_rules_follow_their_probabilities_and_the_seed():
    history = played((0.85, 1.0, 3), (0.8, 2.0, 3), (0.6, 3.0, 3), (0.9, 0.5, 2))
    request, band = Sample(Slot(0, 1, 3)), sampler()
    drawn = [band.sample(request, history, Streams(0, trial)) for trial in range(1500)]
    shares = drawn[0][1]["probabilities"]
    counts = Counter(origin["rule"] for _, origin in drawn)
    for rule, share in shares.items():
        assert counts[rule] / 1500 == pytest.approx(share, abs=0.04)
    assert drawn[:20] == [band.sample(request, history, Streams(0, trial)) for trial in range(20)]
    assert drawn[:20] != [band.sample(request, history, Streams(1, trial)) for trial in range(20)]


def test_neighbours_of_the_incumbent_are_legal_and_change_half_of_it():
    space = Space.from_json({**MIXED, "fidelity": AXIS})
    config = {"lr": 0.01, "n": 5, "kind": "b", "z": 0.5}
    history = History()
    for number in range(3):
        history.append(Added(Run(number, number, config if number == 0 else space.default(), Slot(0, 3, 27))))
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (float(number),))))
    band, kept, born = PriorBand(space), Counter(), []
    for trial in range(1200):
        child, origin = band.sample(Sample(Slot(0, 3, 27)), history, Streams(0, trial))
        space.validate(child)
        if origin["rule"] == "incumbent":
            kept["all"] += 1
            kept.update(name for name in config if child.get(name) == config[name])
            born += [child["y"]] if "y" in child else []
    for name in ("lr", "kind", "z"):
        assert kept[name] / kept["all"] == pytest.approx(0.47, abs=0.06), "1/2, less the draws in which nothing moved"
    assert kept["n"] > kept["lr"], "an integer may stay in its cell"
    assert np.mean(born) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", ["random", "priorband"])
def test_a_constant_and_a_branch_that_is_never_active_change_nothing(name):
    """Trial by trial the same values, by uniform draws, by the prior and around the incumbent."""
    idle = [
        {"name": "seed", "type": "constant", "value": 1},
        {
            "name": "idle", "type": "float", "low": 0, "high": 1,
            "when": {"not": {"parameter": "seed", "equals": 1}},
        },
    ]  # fmt: skip
    plain = StudySpec.from_json({**given(MIXED), "algorithm": {"name": name}})
    wider = StudySpec.from_json({**given({"parameters": MIXED["parameters"] + idle}), "algorithm": {"name": name}})

    def configs(spec):
        def loss(run):
            return Outcome(RunState.SUCCEEDED, (abs(run.config["lr"] - 0.03) + run.config["z"] + 1 / run.fidelity,))

        return [run.config for run in simulate(spec, loss).history.runs]

    assert configs(wider) == [{**config, "seed": 1} for config in configs(plain)]


def test_with_failures_only_it_goes_on():
    history = simulate(study(budget={"max_trials": 60}), lambda run: Outcome(RunState.FAILED), 4).history
    assert {run.origin["rule"] for run in history.runs} == {"prior-mode", "prior", "uniform"}


def test_with_a_budget_below_one_full_run_the_mode_begins_the_first_bracket():
    spec = study(budget={"max_fidelity": 10})
    history = simulate(spec, succeed).history
    first = history.runs[0]
    assert (first.origin["rule"], first.slot.bracket, first.fidelity) == ("prior-mode", 0, 1)
    assert sum(run.slot.rung == 0 for run in history.runs) > 5
    assert ask(study(budget={"max_fidelity": 27}), History()).fidelity == 27


def test_any_optimizer_can_use_it():
    opt = Optimizer({**MIXED, "fidelity": AXIS}, [{"name": "loss", "direction": "minimize"}], {"name": "priorband"})
    for _ in range(120):
        run = opt.ask()
        opt.tell(run, {"loss": abs(np.log10(run.config["lr"]) + 3) + run.config["z"]})
    assert "incumbent" in {run.origin["rule"] for run in opt.history.runs}


HARTMANN = Hartmann()
OPTIMUM = (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)


def with_prior(mode):
    space = HARTMANN.space
    told = [{**p, "prior": {"mode": float(value)}} for p, value in zip(space["parameters"], mode, strict=True)]
    return {**space, "parameters": told}


@pytest.fixture(scope="module")
def bad_mode():
    points = np.random.default_rng(0).random((5000, 6))
    return points[np.argmax([HARTMANN.value(point) for point in points])]


def test_a_good_prior_is_far_better_than_hyperband_and_a_bad_one_is_recovered_from(median_regret, bad_mode):
    """Measured over 30 seeds at 6 / 12 / 24 full runs: good 0.34 / 0.31 / 0.27, bad 1.90 / 0.71 / 0.40, Hyperband
    1.43 / 1.31 / 1.16."""
    marks = (6, 12, 24)
    good_mode = np.clip(np.array(OPTIMUM) + 0.05 * np.array([1, -1, 1, -1, 1, -1]), 0, 1)
    plain = median_regret({"name": "hyperband"}, marks, seeds=10)
    good = median_regret({"name": "priorband"}, marks, seeds=10, space=with_prior(good_mode))
    bad = median_regret({"name": "priorband"}, marks, seeds=10, space=with_prior(bad_mode))
    assert (good <= plain / 2).all()
    assert (bad[1:] <= plain[1:]).all()
    assert bad[0] <= 1.5 * plain[0]


def test_the_prior_keeps_its_share_when_it_is_good_and_loses_it_when_it_is_bad(bad_mode):
    """The average share of the prior in what is not uniform, once the incumbent counts: about 0.50 and 0.03."""

    def share(mode):
        found = []
        for seed in range(4):
            spec = study(with_prior(mode), seed, {"max_fidelity": 2400}, {"name": "z", "low": 1, "high": 100})
            for run in simulate(spec, HARTMANN.run).history.runs:
                chances = run.origin.get("probabilities", {})
                if chances.get("incumbent"):
                    found.append(chances["prior"] / (1 - chances["uniform"]))
        return np.mean(found)

    assert share(OPTIMUM) > 0.3
    assert share(bad_mode) < 0.1
