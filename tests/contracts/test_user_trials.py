"""What every algorithm does with what people add: enqueued configs, told trials, and invalidations."""

import pytest

from search import (
    ALGORITHMS,
    Added,
    Done,
    Ended,
    History,
    Outcome,
    RunState,
    StudySpec,
    Wait,
    ask,
    ask_many,
    enqueue,
    incumbents,
    invalidate,
    spent,
    told,
)
from search.observations import CANCELLED, SUCCEEDED, observations
from search.replay import Record, Verified, verify
from search.streams import stream
from search.testbed import ANYWHERE, LIGHT, affordable

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
        {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 9},
}
LOSS = {"name": "loss", "direction": "minimize"}
SIZE = {"name": "size", "direction": "minimize"}

SOON = {
    **{name: {"initial": 4} for name in ("gp", "smac", "smac-hyperband", "dngo")},
    **{name: {"startup": 4} for name in ("tpe", "optuna-tpe", "optuna-gp")},
    **{name: {"population": 4} for name in ("evolution", "neuroevolution", "nsga2", "pbt", "optuna-cmaes")},
    "local": {"initial": 3},
    "grid": {"points": 100},  # as many as there are trials
}
"""Options with which algorithms learn from a few trials."""

every_algorithm = pytest.mark.parametrize("algorithm", ANYWHERE)
every_one_with_several_metrics = pytest.mark.parametrize(
    "algorithm", [name for name in ANYWHERE if ALGORITHMS[name].several_metrics]
)
every_one_without_forks = pytest.mark.parametrize("algorithm", [n for n in ANYWHERE if not ALGORITHMS[n].forks])


def study(algorithm, metrics=(LOSS,), **more):
    options = {**LIGHT.get(algorithm, {}), **SOON.get(algorithm, {})}
    given = {"space": SPACE, "algorithm": {"name": algorithm, **options}, "metrics": list(metrics)}
    return StudySpec.from_json(given | {"budget": {"max_runs": affordable(algorithm, 40)}} | more)


def value(config, fidelity):
    return (config["x"] - 0.3) ** 2 + config.get("y", 25) / 100 + 1 / fidelity


class People:
    """Does what people may do, at random, and what workers do; checks at each step what is true of any history."""

    def __init__(self, spec, seed, workers):
        self.spec, self.workers = spec, workers
        self.history, self.rng = History(), stream(seed, 0, "people")
        self.invalid_since = {}
        self.taken = set()

    def play(self):
        """To the end of the study; the answer that ended it."""
        while True:
            self.interfere()
            answer = self.start()
            if not self.history.open_count:
                assert isinstance(answer, Done)
                return answer
            self.end(int(self.rng.choice(list(self.history.open))))

    def start(self):
        """Fills the workers; why they are not full."""
        while self.history.open_count < self.workers:
            answer = ask(self.spec, self.history)
            assert answer == ask(self.spec, History(self.history.events))
            if isinstance(answer, Wait | Done):
                return answer
            self.check(answer)
            self.history.append(Added(answer))
        return None

    def check(self, run):
        if run.resume_from is not None:
            assert self.history.runs[run.resume_from].trial not in self.invalid_since
            return
        assert run.trial not in self.invalid_since  # nor is it repeated
        if run.origin["rule"] == "enqueued":
            assert run.config == self.history.waiting[0].config
            assert run.origin["number"] == self.history.waiting[0].number
        elif not run.slot.replicate:
            assert self.spec.space.key(run.config) not in self.taken
        self.taken.add(self.spec.space.key(run.config))

    def end(self, number):
        run = self.history.runs[number]
        failed = stream(4, number, "fate").random() < 0.2
        loss = value(run.config, run.fidelity) + run.slot.replicate / 50
        losses = (loss, run.config["x"])[: len(self.spec.metrics)]
        outcome = Outcome(RunState.FAILED, failure="error") if failed else Outcome(RunState.SUCCEEDED, losses)
        self.history.append(Ended(number, outcome))

    def interfere(self):
        draw, rng, early = self.rng.random(), self.rng, spent(self.history).runs < self.spec.budget.max_runs // 2
        if draw < 0.2 and early:
            repeats = self.history.runs and rng.random() < 0.3
            config = self.history.runs[-1].config if repeats else self.spec.space.sample(rng)
            self.history.append(enqueue(self.spec, self.history, config))
        elif draw < 0.4:
            self.tell(self.spec.space.sample(rng), float(rng.choice([1, 2, 3, 9])))
        elif draw < 0.6 and self.history.trial_count:
            trial = int(rng.integers(self.history.trial_count))
            self.history.append(invalidate(self.history, trial))
            self.invalid_since.setdefault(trial, len(self.history.runs))

    def tell(self, config, fidelity):
        metrics = {"loss": value(config, fidelity), "size": config["x"]}
        fate = {"failure": "oom"} if self.rng.random() < 0.2 else {"metrics": metrics}
        run, outcome = told(self.spec, self.history, config, fidelity=fidelity, **fate)
        self.history.append(Added(run))
        self.history.append(Ended(run.number, outcome))
        self.taken.add(self.spec.space.key(config))


def finish(spec, seed, workers):
    """A study that people meddle with, played to its end and checked as a whole."""
    people = People(spec, seed, workers)
    end, history = people.play(), people.history
    own = [run for run in history.runs if not run.told]
    assert end.reason == "budget"
    assert len(own) == spent(history).runs == spec.budget.max_runs
    assert len({run.trial for run in own}) == spent(history).trials

    served = [run for run in own if run.origin["rule"] == "enqueued"]
    assert [run.config for run in served] + [wish.config for wish in history.waiting] == [
        wish.config for wish in history.enqueued
    ]
    # a population trains for long before another one begins
    assert not history.waiting or ALGORITHMS[spec.algorithm.name].forks

    leaders = [history.runs[number] for number in incumbents(spec, history)]
    assert not any(history.invalidated(run.trial) for run in leaders)
    record = Record(spec, history.events, finished=True)
    assert verify(record) == Verified(len(own), 0)
    assert people.invalid_since
    assert any(run.told for run in history.runs)
    return history


@every_algorithm
@pytest.mark.parametrize(("seed", "workers"), [(1, 1), (2, 4), (3, 4)])
def test_a_study_that_people_meddle_with_runs_to_its_end(algorithm, seed, workers):
    assert finish(study(algorithm), seed, workers).enqueued


@every_one_with_several_metrics
def test_so_does_one_with_several_metrics(algorithm):
    finish(study(algorithm, metrics=(LOSS, SIZE)), 5, 3)


@every_one_without_forks
def test_so_does_one_with_replicates(algorithm):
    spec = study(algorithm, replicates={"max": 2, "top": 2})
    people = People(spec, 6, 3)
    people.play()
    assert spent(people.history).runs <= spec.budget.max_runs
    record = Record(spec, people.history.events, finished=True)
    assert verify(record) == Verified(spent(people.history).runs, 0)


@every_algorithm
def test_dropping_views_at_once_changes_nothing(algorithm, monkeypatch):
    def played():
        people = People(study(algorithm, budget={"max_runs": affordable(algorithm, 25)}), 7, 3)
        people.play()
        return people.history.events

    kept = played()
    monkeypatch.setattr("search.history.MOST_VIEWS", 1)
    assert played() == kept


@every_algorithm
def test_a_study_whose_results_are_all_invalidated_goes_on_to_its_end(algorithm):
    spec = study(algorithm)
    people, left = People(spec, 8, 4), set()
    people.interfere = lambda: None
    while people.start() is None or people.history.open_count:
        number = min(people.history.open)
        people.end(number)
        trial = people.history.runs[number].trial
        people.history.append(invalidate(people.history, trial))
        people.invalid_since.setdefault(trial, len(people.history.runs))
        left.add(trial)
    assert spent(people.history).runs == spec.budget.max_runs
    assert incumbents(spec, people.history) == []
    assert len(left) == people.history.trial_count  # none of them went on


@every_one_without_forks
def test_enqueued_configs_are_served_where_no_other_is_left_but_not_beyond_the_budget(algorithm):
    parameter = {"name": "x", "type": "int", "low": 0, "high": 1, "prior": {"mode": 1}}
    space = {"parameters": [parameter], "fidelity": SPACE["fidelity"]}
    spec, history = study(algorithm, space=space, budget={"max_trials": 4}), History()

    def play():
        while True:
            runs, answer = ask_many(spec, history, 1)
            if not runs:
                return answer.reason
            history.append(Ended(runs[0].number, Outcome(RunState.SUCCEEDED, (1.0 + runs[0].config["x"],))))

    def begun():
        return [run.config["x"] for run in history.runs if run.resume_from is None]

    assert play() == "exhausted"
    assert sorted(begun()) == [0, 1]
    for _ in range(3):
        history.append(enqueue(spec, history, {"x": 1}))
    assert play() == "budget"
    assert begun()[2:] == [1, 1]
    assert [wish.number for wish in history.waiting] == [2]


@every_algorithm
def test_what_was_told_is_learned_and_leads_and_costs_nothing(algorithm):
    spec, history = study(algorithm, budget={"max_trials": 3}), History()
    config = {"x": 0.3, "kind": "a", "y": 1}
    run, outcome = told(spec, history, config, {"loss": -5.0})
    for event in (Added(run), Ended(0, outcome)):
        history.append(event)
    assert incumbents(spec, history) == [0]
    assert observations(spec.space, history).state.tolist() == [SUCCEEDED]
    while runs := ask_many(spec, history, 1)[0]:
        assert runs[0].config != config
        history.append(Ended(runs[0].number, Outcome(RunState.SUCCEEDED, (value(runs[0].config, runs[0].fidelity),))))
    assert spent(history).trials == 3
    assert incumbents(spec, history) == [0]

    history.append(invalidate(history, 0))
    assert incumbents(spec, history)
    assert 0 not in incumbents(spec, history)
    assert observations(spec.space, history).state[0] == CANCELLED
