"""DEHB as it plays: the subpopulations, who is promoted, who evolves from whom, and the operators themselves."""

from collections import Counter
from math import inf

import numpy as np
import pytest

from search import ALGORITHMS, Ended, History, Outcome, RunState, StudySpec, ask_many
from search.actions import Promote
from search.samplers.de import crossed, genome, mutant
from search.schedulers.dehb import Dehb, Member, Subpopulation, _Brackets
from search.simulation import simulate
from search.streams import Streams, stream
from spaces import Space

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "n", "type": "int", "low": 1, "high": 5},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
        {"name": "seed", "type": "constant", "value": 1},
    ]
}  # fmt: skip
CYCLE = 128
"""Trials of the first cycle of 1..81, eta 3, floor."""


def study(high=81, space=SPACE, seed=0, budget=None, **options):
    return StudySpec.from_json(
        {
            "space": {**space, "fidelity": {"name": "epochs", "low": 1, "high": high}},
            "algorithm": {"name": "dehb", **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget or {},
            "seed": seed,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (run.config["x"] + 1 / run.fidelity,))


def brackets(history):
    """How many runs each bracket has on each rung, as text."""
    found = Counter((run.slot.bracket, run.slot.rung) for run in history.runs)
    last = max(run.slot.bracket for run in history.runs)
    return [" ".join(str(found[b, r]) for r in range(5) if found[b, r]) for b in range(last + 1)]


def view(history, spec):
    scheduler = ALGORITHMS["dehb"].scheduler(spec.space, spec.algorithm.options)
    return history.view(scheduler, lambda: _Brackets(scheduler), sees="schedule")


def test_a_mutant_is_one_point_plus_a_share_of_the_difference_of_two():
    three = np.array([[0.2, 0.9], [0.8, 0.1], [0.4, 0.7]])
    assert mutant(three, 0.5, stream(0, 0, "")) == pytest.approx([0.4, 0.6])


def test_a_mutant_that_leaves_the_cube_is_drawn_anew_where_it_does():
    three = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.0], [0.1, 0.5, 0.9]])
    found = np.array([mutant(three, 0.5, stream(0, number, "")) for number in range(2000)])
    assert (found[:, 1] == 0.5).all()
    for column in (0, 2):
        assert np.histogram(found[:, column], bins=4, range=(0, 1))[0] == pytest.approx([500] * 4, abs=90)


def test_crossover_takes_at_least_one_gene_and_all_of_them_at_rate_one():
    target, other = np.zeros(6), np.ones(6)
    rng = stream(0, 0, "")
    assert crossed(target, other, 1.0, rng).tolist() == other.tolist()
    assert {crossed(target, other, 0.0, rng).sum() for _ in range(50)} == {1}
    taken = np.mean([crossed(target, other, 0.5, rng).sum() for _ in range(2000)])
    assert taken == pytest.approx(3.5, abs=0.1), "one for sure, the five others by half"


def test_subpopulations_are_as_large_as_the_largest_bracket_needs():
    spec = study()
    assert [len(each.places) for each in view(History(), spec).subpopulations] == [81, 27, 9, 6, 5]


@pytest.mark.parametrize("workers", [1, 4, 16, 200])
def test_the_first_cycle_has_the_runs_of_hyperband(workers):
    history = simulate(study(budget={"max_trials": CYCLE}), succeed, workers).history
    assert brackets(history) == ["81 27 9 3 1", "27 9 3 1", "9 3 1", "6 2", "5"]
    assert len(history.runs) == 187


def test_later_brackets_have_the_same_sizes_and_are_all_new_trials():
    history = simulate(study(high=9, budget={"max_runs": 40}), succeed).history
    assert brackets(history) == ["9 3 1", "3 1", "3"] * 2
    later = [run for run in history.runs if run.slot.bracket > 2]
    assert all(run.resume_from is None for run in later)
    assert {run.origin["rule"] for run in later} == {"offspring"}


def test_every_place_is_taken_after_the_first_cycle_and_stays_taken():
    spec = study(high=27)
    history = simulate(study(high=27, budget={"max_trials": 46}), succeed).history
    for each in view(history, spec).subpopulations:
        assert None not in each.places
    for run in simulate(study(high=27, budget={"max_trials": 120}), succeed).history.runs:
        if run.slot.bracket > 3:
            assert run.origin["rule"] == "offspring"


def test_a_rung_promotes_the_best_of_the_subpopulation_below_whatever_their_bracket():
    """Bracket 0 promotes 3 of its 9; what bracket 1 evolves on rung 1 competes for the places of these."""
    spec, history = study(high=9), History()
    for _ in range(13):
        (run,), _ = ask_many(spec, history, 1)
        history.append(Ended(run.number, succeed(run)))
    assert brackets(history) == ["9 3 1"]
    newcomers = ask_many(spec, history, 3)[0]
    assert [run.slot.rung for run in newcomers] == [1, 1, 1]
    for run in newcomers:
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (100.0,))))
    (promoted,), _ = ask_many(spec, history, 1)
    assert promoted.resume_from is not None
    assert history.runs[promoted.resume_from].slot.bracket == 0, "the newcomers lost their places"
    second = sorted(run.config["x"] for run in history.runs if run.slot.bracket == 0 and run.slot.rung == 1)[1]
    assert promoted.config["x"] == second, "the best has been at the top already"


def test_a_newcomer_takes_the_place_when_it_is_as_good():
    places = Subpopulation(1)
    for run, (loss, expected) in enumerate([(2.0, 0), (3.0, 0), (2.0, 2), (inf, 2), (1.0, 4)]):
        places.claim(run, trial=run)
        places.settle(Member(loss, run, run))
        assert places.holder.run == expected


def test_places_are_competed_for_in_turn_in_the_order_of_starts():
    places = Subpopulation(2)
    for run in range(4):
        places.claim(run, trial=run)
    for run, loss in ((3, 0.3), (2, 0.2), (1, 0.1), (0, 0.5)):
        places.settle(Member(loss, run, run))
    assert [member.run for member in places.places] == [2, 1]


def test_failures_hold_no_place_and_are_never_promoted():
    def fails(run):
        return succeed(run) if run.trial % 3 else Outcome(RunState.FAILED, failure="error")

    spec = study(high=9)
    history = simulate(study(high=9, budget={"max_trials": 60}), fails, workers=3).history
    trials = {member.trial for each in view(history, spec).subpopulations for member in each.ranked}
    assert all(trial % 3 for trial in trials)
    assert all(history.runs[run.resume_from].trial % 3 for run in history.runs if run.resume_from is not None)


def test_when_everything_fails_it_goes_on_with_uniform_draws():
    history = simulate(study(high=9, budget={"max_runs": 60}), lambda run: Outcome(RunState.FAILED), 4).history
    assert {run.origin["rule"] for run in history.runs} == {"uniform"}
    assert brackets(history)[:6] == ["9", "3", "3", "9 3 1", "3 1", "3"]


def test_parents_are_the_holder_and_as_many_of_the_best_below_as_the_rung_has_places():
    spec = study(high=27, budget={"max_trials": 150})
    events = simulate(spec, succeed).history.events
    scheduler = ALGORITHMS["dehb"].scheduler(spec.space, spec.algorithm.options)
    sizes = {0: (27, 9, 3, 1), 1: (9, 3, 1), 2: (6, 2), 3: (4,)}
    history, checked = History(), 0
    for event in events:
        if not isinstance(event, Ended) and event.run.slot.bracket > 3:
            lowest, rung = event.run.slot.bracket % 4, event.run.slot.rung
            populations = view(history, spec).subpopulations
            source = populations[rung if rung == lowest else rung - 1].ranked
            best = [member.trial for member in source[: sizes[lowest][rung - lowest]]]
            action = scheduler.next(history, True, Streams(0, history.trial_count))
            assert action.slot == event.run.slot
            target, *pool = action.parents
            assert target == populations[rung].holder.trial
            assert pool[: len(best)] == best
            assert len(set(pool)) == len(pool) == max(len(best), 3)
            checked += 1
        history.append(event)
    assert checked > 50


def test_the_origin_names_target_and_parents_which_are_older():
    history = simulate(study(high=9, budget={"max_runs": 60}), succeed).history
    offspring = [run for run in history.runs if run.origin["rule"] == "offspring"]
    for run in offspring:
        assert len(set(run.origin["parents"])) == 3
        assert max(run.origin["target"], *run.origin["parents"]) < run.trial
    assert len(offspring) > 20


def test_a_genome_is_what_was_decoded_with_the_genes_that_the_config_does_not_tell():
    space = Space.from_json(SPACE)
    seen = set()
    history = simulate(study(high=9, budget={"max_runs": 80}), succeed).history
    for run in history.runs:
        if run.resume_from is None:
            point = genome(space, history, run.trial)
            assert space.decode(point) == pytest.approx(run.config)
            assert "x" not in run.origin["genes"], "a float is told by the config"
            assert ("y" in run.origin["genes"]) == ("y" not in run.config)
            assert "seed" not in run.origin["genes"]
            seen.add(point[1])
    assert len(seen) > 40, "five values, but as many genes as individuals"


def test_an_offspring_of_full_crossover_is_the_mutant():
    """With CR = 1 the genome is r1 + F (r2 - r3) of the parents that the origin names, where that is inside."""
    floats = {"parameters": SPACE["parameters"][:1]}
    spec = study(high=9, space=floats, crossover=1.0, budget={"max_runs": 60})
    history, compared = simulate(spec, succeed).history, 0
    for run in history.runs:
        if run.origin["rule"] == "offspring":
            one, two, three = (history.runs[history.runs_of(t)[0]].config["x"] for t in run.origin["parents"])
            expected = one + 0.5 * (two - three)
            if 0 <= expected <= 1:
                assert run.config["x"] == pytest.approx(expected)
                compared += 1
    assert compared > 10


def test_without_new_trials_the_first_cycle_shrinks_and_promotes():
    scheduler, history = Dehb(1, 9, True), History()
    spec = study(high=9)
    for run in ask_many(spec, history, 4)[0]:
        history.append(Ended(run.number, succeed(run)))
    action = scheduler.next(history, False, Streams(0, 4))
    assert isinstance(action, Promote)
    assert history.runs[action.run].config["x"] == min(run.config["x"] for run in history.runs)


def test_it_is_better_than_random_search(median_regret):
    """MF-Hartmann6; measured over 30 seeds: 1.03 and 0.94 at 12 and 24 full runs, random search 2.41 and 1.93."""
    marks = (12, 24)
    evolved = median_regret({"name": "dehb"}, marks, seeds=10)
    drawn = median_regret({"name": "random"}, marks, seeds=10)
    assert (evolved < drawn).all()
