"""Evolution as it plays: who is in the population, who is a parent, and that it finds better configs than chance."""

from collections import Counter

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
    ask,
    ask_many,
    best,
    contenders,
    told,
)
from search.samplers.evolution import Generations, Queue, elite_count
from search.simulation import simulate
from search.streams import stream
from search.testbed import Hartmann

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "n", "type": "int", "low": 1, "high": 9},
        {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
    ]
}
HARTMANN = Hartmann()

both = pytest.mark.parametrize("name", ["evolution", "neuroevolution"])


def study(name, space=SPACE, seed=0, max_runs=None, **options):
    return StudySpec.from_json(
        {
            "space": space,
            "algorithm": {"name": name, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": {"max_runs": max_runs},
            "seed": seed,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (abs(run.config["x"] - 0.3) + run.config["n"],))


def rules(history):
    return Counter(run.origin["rule"] for run in history.runs)


def folded(view, losses):
    """The view after one trial per loss, each ended before the next was added; None is a failure."""
    history = History()
    for number, loss in enumerate(losses):
        for event in (
            Added(Run(number, number, {})),
            Ended(number, Outcome(RunState.FAILED) if loss is None else Outcome(RunState.SUCCEEDED, (loss,))),
        ):
            history.append(event)
            view.apply(event, history)
    return view


def loss_of(history, trial):
    return history.outcome(trial).loss


@both
def test_the_first_population_is_drawn_and_the_rest_are_children(name):
    history = simulate(study(name, max_runs=50, population=12), succeed).history
    assert [run.origin["rule"] == "uniform" for run in history.runs] == [True] * 12 + [False] * 38


@both
def test_open_runs_count_for_the_first_population(name):
    """16 workers: the 12 that are drawn are under way when the next are asked for, which then have no parents yet."""
    spec, history = study(name, population=12), History()
    runs, _ = ask_many(spec, history, 12)
    history.append(Ended(0, succeed(runs[0])))
    (child,), _ = ask_many(spec, history, 1)
    assert child.origin["rule"] != "uniform"
    assert set(child.origin.get("parents", [child.origin.get("parent")])) == {0}


@both
def test_failed_draws_are_made_up_for(name):
    def fails(run):
        return Outcome(RunState.FAILED) if run.trial < 6 else succeed(run)

    history = simulate(study(name, max_runs=40, population=10), fails).history
    assert rules(history)["uniform"] == 16
    assert all(run.origin["rule"] == "uniform" for run in history.runs[:16])


@both
def test_with_failures_only_it_goes_on_drawing(name):
    history = simulate(study(name, max_runs=40, population=10), lambda run: Outcome(RunState.FAILED), 4).history
    assert rules(history) == {"uniform": 40}


@both
def test_parents_are_successes_and_a_mutation_differs_from_them(name):
    def erratic(run):
        return succeed(run) if stream(0, run.number, "").random() < 0.7 else Outcome(RunState.FAILED)

    history = simulate(study(name, max_runs=120, population=10), erratic, workers=4).history
    children = [run for run in history.runs if run.origin["rule"] == "mutation" and "left" not in run.origin]
    for run in children:
        (parent,) = run.origin.get("parents", [run.origin.get("parent")])
        assert history.outcome(parent).state is RunState.SUCCEEDED
        config = history.runs[parent].config
        assert sum(run.config[gene] != config[gene] for gene in config) == 1
    assert len(children) > 40


def test_the_population_is_the_latest_and_its_size_constant():
    queue = folded(Queue(3, "oldest"), [1.0, 5.0, None, 4.0, 6.0, 7.0])
    assert queue.members == [(4.0, 3), (6.0, 4), (7.0, 5)], "the global best, 1.0, is evicted after three more births"
    assert queue.succeeded == 5
    assert folded(Queue(3, "worst"), [1.0, 5.0, None, 4.0, 6.0, 7.0]).members == [(1.0, 0), (5.0, 1), (4.0, 3)]


def test_the_evicted_best_is_still_the_best_of_the_study():
    def only_one(run):
        return Outcome(RunState.SUCCEEDED, (0.0 if run.trial == 3 else 1.0 + run.trial,))

    spec = study("evolution", max_runs=40, population=5)
    history = simulate(spec, only_one).history
    assert best(spec, history) == 3
    assert {run.origin["parent"] for run in history.runs[20:]}.isdisjoint({3})


def test_a_tournament_of_all_takes_the_best_and_one_of_one_drifts():
    history = simulate(study("evolution", max_runs=60, population=8, tournament=8), succeed).history
    for run in history.runs[8:]:
        members = range(run.number - 8, run.number)
        assert run.origin["parent"] == min(members, key=lambda trial: (loss_of(history, trial), trial))
    drift = simulate(study("evolution", max_runs=400, population=8, tournament=1), succeed).history
    ranks = []
    for run in drift.runs[8:]:
        order = sorted(range(run.number - 8, run.number), key=lambda trial: (loss_of(drift, trial), trial))
        ranks.append(order.index(run.origin["parent"]))
    assert Counter(ranks).keys() == set(range(8))
    assert sum(ranks) / len(ranks) == pytest.approx(3.5, abs=0.4)


def test_members_join_in_the_order_of_completion():
    history = simulate(
        study("evolution", max_runs=30, population=4), succeed, 4, lambda run: 1.0 if run.number % 4 else 5.0
    ).history
    queue = history.view("queue", lambda: Queue(4, "oldest"))
    order = [event.run for event in history.events if isinstance(event, Ended)]
    assert [trial for _, trial in queue.members] == order[-4:]
    assert order != sorted(order)


def test_a_generation_keeps_its_elites_and_is_replaced_when_all_children_have_succeeded():
    def generations(*losses):
        return folded(Generations(4, 0.3), losses)

    assert elite_count(4, 0.3) == 2
    assert generations(4.0, 3.0).members == [(3.0, 1), (4.0, 0)], "as far as it is known"
    first = generations(4.0, 3.0, 2.0, 1.0)
    assert (first.number, [loss for loss, _ in first.members]) == (0, [1.0, 2.0, 3.0, 4.0])
    assert generations(4.0, 3.0, 2.0, 1.0, 9.0, None).number == 0
    second = generations(4.0, 3.0, 2.0, 1.0, 9.0, None, 1.5)
    assert (second.number, [loss for loss, _ in second.members]) == (1, [1.0, 1.5, 2.0, 9.0])


@pytest.mark.parametrize(("population", "share", "elites"), [(20, 0.1, 2), (10, 0.1, 1), (30, 0.1, 3), (5, 0.0, 0)])
def test_elites_are_a_share_rounded_up(population, share, elites):
    assert elite_count(population, share) == elites
    assert elite_count(2, 0.9) == 1, "somebody is new"


@pytest.mark.parametrize("elites", [0.1, 0.0])
def test_the_best_of_a_generation_never_gets_worse_if_there_are_elites(elites):
    losses = [float(stream(1, number, "").random()) for number in range(200)]
    view, bests = Generations(8, elites), []
    history = History()
    for number, loss in enumerate(losses):
        for event in (Added(Run(number, number, {})), Ended(number, Outcome(RunState.SUCCEEDED, (loss,)))):
            history.append(event)
            view.apply(event, history)
        if view.number >= 0:
            bests.append(view.members[0][0])
    assert len(view.members) == 8
    assert (bests == sorted(bests, reverse=True)) == (elites > 0)


def test_ranks_weigh_the_best_most():
    spec = study("neuroevolution", population=4, selection="rank", crossover=0)
    history = simulate(
        study("neuroevolution", max_runs=4, population=4, selection="rank", crossover=0), succeed
    ).history
    order = sorted(range(4), key=lambda trial: loss_of(history, trial))
    counts = Counter(order.index(run.origin["parents"][0]) for run in ask_many(spec, history, 1000)[0])
    assert [counts[rank] for rank in range(4)] == pytest.approx([400, 300, 200, 100], abs=60)


def test_crossover_has_its_probability_and_two_parents():
    history = simulate(study("neuroevolution", max_runs=500, crossover=0.3), succeed).history
    children = [run for run in history.runs if run.origin["rule"] != "uniform"]
    assert rules(history)["crossover"] / len(children) == pytest.approx(0.3, abs=0.06)
    for run in children:
        assert run.origin["probabilities"] == {"mutation": 0.7, "crossover": 0.3}
        if "left" not in run.origin:
            assert len(run.origin["parents"]) == {"mutation": 1, "crossover": 2}[run.origin["rule"]]


@pytest.mark.parametrize(
    ("options", "half"),
    [
        ({"name": "evolution", "tournament": 5}, True),
        ({"name": "evolution"}, True),
        ({"name": "neuroevolution"}, False),
    ],
)
def test_it_is_better_than_random_search(options, half):
    """Hartmann6 without a fidelity, 100 runs, medians: 0.33 (evolution), 0.67 (neuroevolution), random search 1.57."""
    space = {"parameters": HARTMANN.space["parameters"]}

    def median(algorithm):
        found = []
        for seed in range(15):
            spec = study(**algorithm, space=space, seed=seed, max_runs=100)
            history = simulate(spec, HARTMANN.run).history
            found.append(loss_of(history, best(spec, history)))
        return sorted(found)[7]

    assert median(options) < median({"name": "random"}) / (2 if half else 1)


def test_the_tournament_is_a_fifth_of_the_population_if_not_given():
    options = {option.name: option.default for option in ALGORITHMS["evolution"].options}
    assert options == {"population": 20, "tournament": None, "removes": "oldest"}
    given = simulate(study("evolution", max_runs=40, tournament=4), succeed).history
    assert given.events == simulate(study("evolution", max_runs=40), succeed).history.events


def test_a_child_may_begin_with_the_weights_of_its_first_parent():
    spec = study("neuroevolution", max_runs=60, population=6, inherit=True)
    history, kept = History(), {}
    while not isinstance(found := ask(spec, history), Done):
        kept[found.number] = contenders(spec, history)
        for event in (Added(found), Ended(found.number, succeed(found))):
            history.append(event)
    children = [run for run in history.runs if "parents" in run.origin]
    assert len(children) > 40
    for run in children:
        assert run.origin["inherits"] == run.origin["parents"][0]
        assert run.resume_from is None
        assert run.origin["inherits"] in kept[run.number], "it was still there"
    assert len(kept[59]) < 20, "not all are kept"
    plain = simulate(study("neuroevolution", max_runs=60, population=6), succeed).history
    assert [run.config for run in plain.runs] == [run.config for run in history.runs]
    assert not any("inherits" in run.origin for run in plain.runs)


def test_what_open_runs_begin_with_is_kept_and_what_was_told_has_no_weights():
    spec, history = study("neuroevolution", population=2, inherit=True, tournament=1), History()
    for number in range(2):
        run, outcome = told(spec, history, {"x": 0.1 * number, "n": 1, "kind": "a"}, {"loss": 1.0})
        history.append(Added(run))
        history.append(Ended(run.number, outcome))
    (child,), _ = ask_many(spec, history, 1)
    assert child.origin["parents"][0] in (0, 1)
    assert "inherits" not in child.origin
    history.append(Ended(2, Outcome(RunState.SUCCEEDED, (0.5,))))
    runs, _ = ask_many(spec, history, 30)
    heirs = [run for run in runs if run.origin.get("inherits") == 2]
    assert heirs
    for number in range(3, 13):  # generations later
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (0.4 - number / 100,))))
    assert 2 in contenders(spec, history)
    for number in range(13, 33):
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (0.4 - number / 100,))))
    assert 2 not in contenders(spec, history)
