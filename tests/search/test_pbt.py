"""Population based training as it plays: who goes on, who copies whom, and what comes of it."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from search import Added, Ended, History, Optimizer, Outcome, RunState, StudySpec, as_source, ask, ask_many, schedule
from search.ledger import spent
from search.schedulers.pbt import quantile_size, segment_ends
from search.simulation import simulate
from search.streams import stream
from spaces import Fidelity, InvalidInput

LR = {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": True}
LOSS = [{"name": "loss", "direction": "minimize"}]
FAILED = Outcome(RunState.FAILED, failure="error")


def study(parameters=(LR,), high=10, seed=0, budget=None, population=4, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": list(parameters), "fidelity": {"name": "epochs", "low": 1, "high": high}},
            "algorithm": {"name": "pbt", "population": population, **options},
            "metrics": LOSS,
            "budget": budget or {},
            "seed": seed,
        }
    )


def success(loss):
    return Outcome(RunState.SUCCEEDED, (float(loss),))


def begin(spec, losses):
    """A history in which the first members have ended their first segment with these losses (None: a failure)."""
    history = History()
    runs, _ = ask_many(spec, history, len(losses))
    for run, loss in zip(runs, losses, strict=True):
        history.append(Ended(run.number, FAILED if loss is None else success(loss)))
    return history


def is_fork(run, history):
    return run.resume_from is not None and history.runs[run.resume_from].trial != run.trial


@pytest.mark.parametrize(
    ("members", "size"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (10, 3), (20, 5)]
)
def test_the_size_of_a_quarter(members, size):
    assert quantile_size(members, 0.25) == size


def test_the_best_and_the_worst_never_meet():
    for quantile in (0.01, 0.1, 0.2, 0.3, 0.5):
        for members in range(2, 100):
            assert 1 <= quantile_size(members, quantile) <= members / 2
    assert quantile_size(20, 0.1) == 2
    assert quantile_size(30, 0.1) == 3


@pytest.mark.parametrize(
    ("low", "high", "interval", "ends"),
    [
        (1, 10, None, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        (1, 27, None, (3, 6, 9, 12, 15, 18, 21, 24, 27)),
        (1, 5, None, (1, 2, 3, 4, 5)),
        (3, 10, None, (3, 6, 9, 10)),
        (1, 10, 4, (4, 8, 10)),
        (1, 10, 2.5, (3, 6, 9, 10)),
        (1, 10, 10, (10,)),
        (1, 10, 99, (10,)),
        (0.1, 1.0, None, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        (1 / 3, 1.0, None, (1 / 3, 2 / 3, 1.0)),
    ],
)
def test_segments_end_at_multiples_of_the_interval_and_at_the_maximum(low, high, interval, ends):
    found = segment_ends(Fidelity("f", low, high), interval)
    assert found == pytest.approx(ends)
    assert found[-1] == high
    assert min(found) >= low
    assert all(isinstance(end, type(high)) for end in found)


def test_the_worst_of_four_goes_on_from_the_best_with_a_config_near_its():
    spec = study(resample=0)
    history = begin(spec, [0.3, 0.1, 0.4, 0.2])
    runs, _ = ask_many(spec, history, 4)
    kept = [run for run in runs if not is_fork(run, history)]
    assert [(run.trial, run.resume_from, run.fidelity) for run in kept] == [(0, 0, 2), (1, 1, 2), (3, 3, 2)]
    assert all(run.config == history.runs[run.resume_from].config for run in kept)
    (fork,) = [run for run in runs if is_fork(run, history)]
    assert (fork.trial, fork.resume_from, fork.fidelity, fork.slot.bracket) == (4, 1, 2, 0)
    donor = history.runs[1].config["lr"]
    assert fork.config["lr"] in (min(donor * 1.2, 1.0), max(donor * 0.8, 1e-5))
    factor = fork.origin["explored"]["lr"]
    assert fork.origin == {
        "rule": "exploit",
        "probabilities": {"exploit": 1.0},
        "rank": 4,
        "of": 4,
        "replaces": 2,
        "from_run": 1,
        "donors": 1,
        "loss": 0.1,
        "explored": {"lr": factor},
    }
    assert kept[0].origin == {"rule": "continue", "rank": 3, "of": 4, "from_run": 0, "loss": 0.3}


def test_donors_are_the_best_quarter_alike():
    donors = Counter()
    for seed in range(200):
        spec = study(population=8, seed=seed)
        history = begin(spec, range(8))
        forks = [run for run in ask_many(spec, history, 8)[0] if is_fork(run, history)]
        assert [run.origin["replaces"] for run in forks] == [6, 7]
        donors.update(run.resume_from for run in forks)
    assert set(donors) == {0, 1}
    assert min(donors.values()) > 160


def test_nobody_copies_one_that_is_no_better():
    spec = study()
    history = begin(spec, [0.5] * 4)
    assert not any(is_fork(run, history) for run in ask_many(spec, history, 4)[0])


def test_no_member_waits_for_another():
    """Every member goes on as soon as its segment has ended, compared with what is known by then."""
    spec, history = study(), History()
    ask_many(spec, history, 4)
    history.append(Ended(0, success(0.9)))
    (first,) = ask_many(spec, history, 1)[0]
    assert (first.trial, first.origin["rank"], first.origin["of"]) == (0, 1, 1)
    history.append(Ended(1, success(0.1)))
    (second,) = ask_many(spec, history, 1)[0]
    assert (second.trial, second.origin["rank"], second.origin["of"]) == (1, 1, 2)
    history.append(Ended(2, success(0.95)))
    (third,) = ask_many(spec, history, 1)[0]
    assert (third.trial, third.resume_from, third.origin["rank"], third.origin["of"]) == (4, 1, 3, 3)


def test_who_is_far_behind_is_no_measure():
    """The others are compared at a step that is at least the own one less the interval."""
    spec, history = study(), History()
    ask_many(spec, history, 4)
    for number in (0, 1):
        history.append(Ended(number, success(number)))
    for step in (2, 3):
        runs, _ = ask_many(spec, history, 2)
        assert [run.fidelity for run in runs] == [step] * 2
        for run in runs:
            history.append(Ended(run.number, success(run.trial)))
    history.append(Ended(2, success(0.5)))  # at step 1, with the others at step 3
    late, *others = ask_many(spec, history, 3)[0]
    assert (late.fidelity, late.origin["of"]) == (2, 3), "it is compared with those ahead"
    assert {run.origin["of"] for run in others} == {2}, "and those ahead not with it"


def test_a_loser_goes_on_where_the_donor_is():
    spec, history = study(population=2), History()
    ask_many(spec, history, 2)
    history.append(Ended(0, success(0.1)))
    for _ in range(3):
        run = ask(spec, history)
        assert run.trial == 0
        history.append(Added(run))
        history.append(Ended(run.number, success(0.1)))
    history.append(Ended(1, success(0.2)))
    before = spent(history).fidelity
    (fork,) = ask_many(spec, history, 1)[0]
    assert (fork.resume_from, fork.fidelity) == (4, 5)
    assert spent(history).fidelity == before + 1, "what was learned is not paid for again"


def test_a_failed_member_is_replaced_by_a_clone_of_the_best():
    spec = study(population=4)
    history = begin(spec, [0.3, 0.1, None, 0.2])
    runs, _ = ask_many(spec, history, 4)
    clones = [run for run in runs if run.origin["rule"] == "replace"]
    assert [(run.trial, run.resume_from, run.origin["replaces"]) for run in clones] == [(4, 1, 2)]
    assert [run.origin["rule"] for run in runs].count("exploit") == 0, "the failed one was the worst"
    history.append(Ended(clones[0].number, FAILED))  # and once more
    again = ask(spec, history)
    assert (again.trial, again.resume_from, again.origin["replaces"]) == (5, 1, clones[0].number)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.STOPPED, RunState.CANCELLED])
def test_before_there_is_anybody_to_clone_a_new_one_is_drawn(state):
    spec, history = study(), History()
    ask_many(spec, history, 4)
    history.append(Ended(1, Outcome(state)))
    run = ask(spec, history)
    assert (run.trial, run.resume_from, run.slot.bracket, run.slot.rung) == (4, None, 0, 0)


def test_after_all_have_failed_it_begins_anew():
    spec = study(population=2)
    history = begin(spec, [0.1, 0.2])
    for run in ask_many(spec, history, 2)[0]:
        history.append(Ended(run.number, FAILED))
    runs, _ = ask_many(spec, history, 2)
    assert [(run.resume_from, run.slot.bracket, run.fidelity) for run in runs] == [(None, 0, 1)] * 2


def test_a_member_at_the_end_passes_nothing_on():
    spec = study(high=2, population=2)
    history = begin(spec, [0.1, 0.2])
    (winner,) = ask_many(spec, history, 1)[0]
    history.append(Ended(winner.number, success(0.05)))
    (last,) = ask_many(spec, history, 1)[0]
    assert (last.trial, last.resume_from, last.origin["rule"]) == (1, 1, "continue")
    history.append(Ended(last.number, FAILED))
    assert ask(spec, history).slot.bracket == 1, "the population is over"


def test_further_workers_begin_a_further_population():
    spec, history = study(population=4), History()
    runs, _ = ask_many(spec, history, 10)
    assert [run.slot.bracket for run in runs] == [0] * 4 + [1] * 4 + [2] * 2
    for run in runs:
        history.append(Ended(run.number, success(run.number)))
    after, _ = ask_many(spec, history, 2)
    assert [run.slot.bracket for run in after] == [0, 0], "the oldest goes first"


def test_a_population_costs_as_much_as_its_members():
    spec = study(budget={"max_fidelity": 40})
    played = simulate(spec, lambda run: success(run.config["lr"] / 10 + 1 / run.fidelity), workers=4)
    assert [run.slot.bracket for run in played.history.runs] == [0] * 40
    assert sum(run.fidelity == 10 for run in played.history.runs) == 4
    assert spent(played.history).fidelity == 40
    assert (played.makespan, played.end.reason) == (10, "budget")


def test_when_no_new_trials_may_begin_members_go_on_as_they_are():
    spec = study(budget={"max_trials": 6})
    history = simulate(spec, lambda run: success(run.config["lr"]), workers=2).history
    assert history.trial_count == 6
    assert sum(is_fork(run, history) for run in history.runs) == 2
    assert sum(run.fidelity == 10 for run in history.runs) == 4


def test_a_space_of_few_points_is_no_limit_to_forks():
    choice = {"name": "lr", "type": "categorical", "choices": [0.1, 0.01, 0.001]}
    spec = study(parameters=[choice])
    played = simulate(spec, lambda run: success(run.config["lr"] + 1 / run.fidelity), workers=2)
    assert played.end.reason == "exhausted"
    history = played.history
    begun = [run.config["lr"] for run in history.runs if run.resume_from is None]
    assert sorted(begun) == [0.001, 0.01, 0.1]
    assert any(is_fork(run, history) for run in history.runs)
    assert history.open_count == 0


def test_the_schedule_of_the_best_is_its_configs_one_after_the_other():
    spec = study(budget={"max_fidelity": 40})
    history = simulate(spec, lambda run: success(abs(math.log(run.config["lr"]) + run.fidelity))).history
    full = [run.number for run in history.runs if run.fidelity == 10]
    assert any(len(schedule(history, number)) > 1 for number in full)
    for number in full:
        segments = schedule(history, number)
        assert (segments[0].begin, segments[-1].end, segments[-1].run) == (0, 10, number)
        assert all(one.end == other.begin for one, other in pairwise(segments))


def test_forks_are_no_source_for_other_studies():
    """What came of a schedule says little about its last config."""
    spec = study(budget={"max_fidelity": 80})
    history = simulate(spec, lambda run: success(run.config["lr"])).history
    forked = [run.config for run in history.runs if history.forked(run.trial)]
    assert forked
    source = as_source("before", history)
    assert source["configs"]
    assert all(entry["config"] not in forked for entry in source["configs"])


def test_advice_for_populations_that_cannot_learn():
    def advice(parameters=(LR,), **more):
        return [problem.path for problem in study(parameters, **more).advice if problem.path[0] == "algorithm"]

    assert advice() == []
    assert advice(interval=10) == [("algorithm", "interval")]
    spec = study([{**LR, "mutable": False}])
    assert any("none of them is mutable" in problem.message for problem in spec.advice)
    with pytest.raises(InvalidInput) as caught:
        study(quantile=0.6)
    assert caught.value.problems[0].path == ("algorithm", "quantile")


class Drifting:
    """A training whose best learning rate falls with its progress, over two and a half decades.

    Every epoch takes away a share of what is left of the loss: 8 % at the best rate, less at others, with a width of
    half a decade. No constant rate gets below 0.054 in 100 epochs.
    """

    epochs = 100

    def __init__(self):
        self.left = {}

    def __call__(self, run):
        loss, begun = self.left.get(run.resume_from, (1.0, 0))
        for epoch in range(begun, run.fidelity):
            best = -0.5 - 2.5 * epoch / self.epochs
            loss *= 1 - 0.08 * math.exp(-(((math.log10(run.config["lr"]) - best) / 0.5) ** 2))
        self.left[run.number] = (loss, run.fidelity)
        return success(loss)


@pytest.mark.parametrize("workers", [1, 4])
def test_where_the_best_learning_rate_changes_a_schedule_beats_any_constant(workers):
    def best(algorithm, seed):
        spec = StudySpec.from_json(
            {
                "space": {"parameters": [LR], "fidelity": {"name": "epochs", "low": 1, "high": Drifting.epochs}},
                "algorithm": {"name": algorithm},
                "metrics": LOSS,
                "budget": {"max_fidelity": 16 * Drifting.epochs},
                "seed": seed,
            }
        )
        history = simulate(spec, Drifting(), workers).history
        return min(history.outcome(run.number).loss for run in history.runs if run.fidelity == Drifting.epochs)

    by_schedule, by_constant = ([best(name, seed) for seed in range(10)] for name in ("pbt", "random"))
    assert min(by_constant) > 0.05
    assert np.median(by_schedule) < np.median(by_constant) / 2
    assert np.mean(np.log(by_schedule)) < np.mean(np.log(by_constant)) - 0.7


def test_it_maximises_too():
    opt = Optimizer(
        {"parameters": [LR], "fidelity": {"name": "epochs", "low": 1, "high": 4}},
        [{"name": "gain", "direction": "maximize"}],
        {"name": "pbt", "population": 4},
        {"max_fidelity": 16},
    )
    while run := opt.ask():
        opt.tell(run, {"gain": run.config["lr"] * run.fidelity})
    forks = [run for run in opt.history.runs if is_fork(run, opt.history)]
    assert forks
    for run in forks:
        assert -run.origin["loss"] > opt.history.runs[run.origin["replaces"]].config["lr"]


def test_answers_do_not_depend_on_when_the_view_was_made():
    def erratic(run):
        draw = stream(1, run.number, "fate").random()
        return FAILED if draw < 0.2 else success(draw)

    spec = study(population=3, budget={"max_fidelity": 100})
    history = simulate(spec, erratic, workers=5).history
    kept = History()
    for position, event in enumerate(history.events):
        assert ask(spec, History(history.events[:position])) == ask(spec, kept)
        kept.append(event)
