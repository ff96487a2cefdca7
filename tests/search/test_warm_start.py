"""What another study's results do to a new one: first configs, priors, and the guard against sources that mislead."""

import numpy as np
import pytest

from search import Ended, History, Optimizer, Outcome, RunState, StudySpec, as_source, ask_many
from search.simulation import simulate
from search.sources import MAX_SOURCES, projected, read_sources
from search.streams import stream
from search.warm_start import Guide, guide, informed
from spaces import InvalidInput, Space

PARAMETERS = [
    {"name": "x", "type": "float", "low": 0, "high": 1},
    {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
    {"name": "y", "type": "int", "low": 1, "high": 50, "when": {"parameter": "kind", "equals": "a"}},
]
LOSS = [{"name": "loss", "direction": "minimize"}]
FIDELITY = {"name": "epochs", "low": 1, "high": 9}


def study(sources, algorithm="random", parameters=PARAMETERS, fidelity=None, **more):
    space = {"parameters": parameters} | ({"fidelity": fidelity} if fidelity else {})
    given = {"space": space, "algorithm": {"name": algorithm}, "metrics": LOSS, "warm_start": sources}
    return StudySpec.from_json(given | more)


def source(loss, count=40, name="before", seed=0):
    """A study of `count` uniform configs that found these losses."""
    space, rng = Space.from_json({"parameters": PARAMETERS}), np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(count)]
    return {"study": name, "configs": [{"config": config, "loss": loss(config)} for config in configs]}


def bowl(config):
    return (config["x"] - 0.3) ** 2 + 0.1 * (config["kind"] == "a")


def negated(config):
    return -bowl(config)


def play(spec, loss=bowl):
    return simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (loss(run.config),))).history


def seeds(history):
    return [run for run in history.runs if run.origin["rule"] == "warm-start"]


def test_the_best_configs_are_every_other_trial_at_first():
    given = source(bowl)
    best = sorted(given["configs"], key=lambda entry: entry["loss"])
    history = play(study([given], budget={"max_runs": 40}))
    assert [run.trial for run in seeds(history)] == list(range(0, 20, 2)), "a quarter of the budget"
    assert [run.config for run in seeds(history)] == [entry["config"] for entry in best[:10]]
    assert seeds(history)[1].origin == {
        "rule": "warm-start", "probabilities": {"warm-start": 1.0}, "study": "before", "place": 2,
    }  # fmt: skip


def test_sources_take_turns_and_nothing_is_tried_twice():
    first, second = source(bowl, name="one"), source(bowl, name="two", seed=1)
    second["configs"].append(min(first["configs"], key=lambda entry: entry["loss"]))
    spec = study([first, second], budget={"max_runs": 60})
    history = play(spec)
    names = [run.origin["study"] for run in seeds(history)]
    assert names[:2] == ["one", "two"]
    assert abs(names.count("one") - names.count("two")) <= 1
    keys = [spec.space.key(run.config) for run in history.runs]
    assert len(keys) == len(set(keys))


def test_the_worse_half_and_failures_are_not_tried():
    given = {"study": "s", "configs": [{"config": {"x": x, "kind": "b"}, "loss": loss} for x, loss in
             [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0), (0.4, None), (0.5, 4.0)]]}  # fmt: skip
    history = play(study([given], budget={"max_runs": 20}), lambda config: config["x"])
    assert [run.config["x"] for run in seeds(history)] == [0.1, 0.2]
    failed = {"study": "s", "configs": [{"config": {"x": 0.4, "kind": "b"}, "loss": None}]}
    assert seeds(play(study([failed], budget={"max_runs": 5}))) == []


def test_an_identical_source_is_trusted_and_a_negated_one_is_not():
    same, wrong = source(bowl, name="same"), source(negated, name="wrong")
    weights = {}
    for seed in range(5):
        one = study([same, wrong], seed=seed)
        history = History()
        for count in range(1, 31):
            (run,), _ = ask_many(one, history, 1)
            history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (bowl(run.config),))))
            weights[seed, count] = guide(one.space, one.warm_start, history).weights
        assert weights[seed, 4] == (0.5, 0.5)
        assert weights[seed, 5][0] > 0.5
        assert weights[seed, 10][0] > 0.5
        assert weights[seed, 10][1] < 0.1
        assert {run.origin["study"] for run in seeds(history) if run.trial >= 10} == {"same"}


def test_failures_of_a_source_count_as_its_worst():
    def loss(config):
        return None if config["x"] > 0.6 else bowl(config)

    spec = study([source(loss)])
    (read,) = spec.warm_start
    assert all(rank == 1.0 for config, rank in zip(read.configs, read.ranks, strict=True) if config["x"] > 0.6)
    assert read.ranks[0] == 0.0
    assert list(read.ranks) == sorted(read.ranks)


def test_a_config_is_brought_into_the_space_or_left_out():
    space = Space.from_json({"parameters": PARAMETERS})
    assert projected(space, {"x": 3.0, "kind": "b", "old": 1}) == {"x": 1.0, "kind": "b"}
    assert projected(space, {"kind": "a", "y": 99}) == {"x": 0.5, "kind": "a", "y": 50}
    assert projected(space, {"x": 0.2, "kind": "b", "y": 7}) == {"x": 0.2, "kind": "b"}
    assert projected(space, {"x": 0.2, "kind": "c"}) is None
    assert projected(space, {"x": "much", "kind": "b"}) is None
    assert projected(space, {"x": 0.2, "kind": "a", "y": 3.5}) is None


def test_constraints_of_the_space_hold():
    forbidden = {"forbid": {"parameter": "kind", "equals": "b"}}
    space = Space.from_json({"parameters": PARAMETERS, "constraints": [forbidden]})
    assert projected(space, {"x": 0.2, "kind": "b"}) is None
    assert projected(space, {"x": 0.2, "kind": "a", "y": 3}) == {"x": 0.2, "kind": "a", "y": 3}


def test_the_prior_is_a_good_config_with_low_confidence_where_there_is_none():
    (read,) = study([source(bowl, count=200)]).warm_start
    parameters = [{**PARAMETERS[0], "prior": {"mode": 0.9}}, *PARAMETERS[1:]]
    space = informed(Space.from_json({"parameters": parameters}), [read])
    assert space["x"].prior.mode == 0.9, "the user's own"
    assert (space["kind"].prior.mode, space["kind"].prior.confidence) == ("b", "low")
    assert space["y"].prior is None, "not active in it"
    mode = informed(Space.from_json({"parameters": PARAMETERS}), [read]).prior_mode()
    assert bowl(mode) < 0.01
    assert informed(space, []) is space


def test_algorithms_that_need_a_prior_take_the_sources_for_one():
    spec = study([source(bowl)], "priorband", fidelity=FIDELITY, budget={"max_runs": 30})
    history = play(spec)
    assert history.runs[0].origin["rule"] == "prior-mode"
    assert bowl(history.runs[0].config) < 0.05
    with pytest.raises(InvalidInput, match="needs a prior"):
        study([], "priorband", fidelity=FIDELITY)
    assert study([source(bowl)], "auto", fidelity=FIDELITY).algorithm.name == "priorband"


def test_a_source_that_misleads_loses_its_say_in_the_prior():
    spec = study([source(negated)], "priorband", fidelity=FIDELITY, budget={"max_runs": 80})
    history = play(spec)
    assert guide(spec.space, spec.warm_start, history).weights == (0.0,)
    assert not guide(spec.space, spec.warm_start, history).space.has_prior


def test_a_source_with_no_config_of_this_space_is_advised_against():
    foreign = {"study": "other", "configs": [{"config": {"kind": "z"}, "loss": 1.0}]}
    spec = study([foreign], budget={"max_runs": 12})
    assert spec.warm_start[0].left_out == 1
    assert "none of its 1 configs" in spec.advice[0].message
    assert len(play(spec).runs) == 12
    assert play(study([{"study": "empty", "configs": []}], budget={"max_runs": 3})).runs


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("before", ("warm_start",)),
        (["before"], ("warm_start", 0)),
        ([{"study": "", "configs": []}], ("warm_start", 0, "study")),
        ([{"study": "s"}], ("warm_start", 0, "configs")),
        ([{"study": "s", "configs": [], "weight": 1}], ("warm_start", 0, "weight")),
        ([{"study": "s", "configs": [{}]}], ("warm_start", 0, "configs", 0)),
        ([{"study": "s", "configs": [{"config": {}, "loss": "low"}]}], ("warm_start", 0, "configs", 0, "loss")),
        ([{"study": "s", "configs": [{"config": {}, "loss": float("nan")}]}], ("warm_start", 0, "configs", 0, "loss")),
        ([{"study": "s", "configs": [{"config": {}, "los": 1}]}], ("warm_start", 0, "configs", 0, "los")),
    ],
)
def test_bad_input(given, path):
    with pytest.raises(InvalidInput) as caught:
        study(given)
    assert caught.value.problems[0].path == path


def test_a_finished_study_becomes_a_source():
    space = {"parameters": PARAMETERS, "fidelity": FIDELITY}
    opt = Optimizer(space, [{"name": "gain", "direction": "maximize"}], {"name": "hyperband"}, {"max_trials": 40})
    while run := opt.ask():
        if stream(1, run.trial, "fate").random() < 0.2:
            opt.fail(run)
        else:
            opt.tell(run, {"gain": -bowl(run.config) - 1 / run.fidelity})
    given = as_source("before", opt.history)
    losses = [entry["loss"] for entry in given["configs"]]
    finite = [loss for loss in losses if loss is not None]
    assert finite == sorted(finite)
    assert len(finite) >= 10
    assert losses[len(finite) :] == [None] * (len(losses) - len(finite))
    again = Optimizer(space, LOSS, {"name": "hyperband"}, {"max_trials": 12}, warm_start=[given])
    assert again.ask().config == given["configs"][0]["config"]


def test_a_study_of_several_objectives_passes_on_its_fronts():
    metrics = [{"name": "a", "direction": "minimize"}, {"name": "b", "direction": "minimize"}]
    opt = Optimizer({"parameters": PARAMETERS}, metrics, {"name": "random"}, {"max_trials": 30})
    while run := opt.ask():
        opt.tell(run, {"a": run.config["x"], "b": (run.config["x"] - 0.5) ** 2})
    given = as_source("before", opt.history)
    front = [found.config for found in opt.front()]
    assert [entry["config"] for entry in given["configs"] if entry["loss"] == 0] == sorted(
        front, key=lambda config: [run.config for run in opt.history.runs].index(config)
    )
    assert as_source("empty", History()) == {"study": "empty", "configs": []}


def test_results_at_different_fidelities_are_not_compared():
    """At the low fidelity all is the other way round; as soon as five have come to the high one, they decide."""
    spec = study([source(bowl)], "hyperband", fidelity=FIDELITY, budget={"max_runs": 60})
    history = simulate(
        spec,
        lambda run: Outcome(RunState.SUCCEEDED, (bowl(run.config) if run.fidelity == 9 else -bowl(run.config),)),
    ).history
    assert sum(run.fidelity == 9 for run in history.runs) >= 10
    assert guide(spec.space, spec.warm_start, history).weights[0] > 0.5


def test_the_guide_is_a_fold():
    spec = study([source(bowl), source(negated, name="wrong")], "tpe", budget={"max_runs": 30})
    history = play(spec)
    fresh = History(history.events).view("anew", lambda: Guide(spec.space, spec.warm_start))
    assert fresh.weights == guide(spec.space, spec.warm_start, history).weights


def test_too_many_studies_and_the_same_one_twice_are_refused():
    sources = [{"study": f"s{number}", "configs": []} for number in range(MAX_SOURCES)]
    problems = []
    read_sources(sources, None, problems)
    assert problems == []
    read_sources([*sources, {"study": "one more", "configs": []}], None, problems)
    read_sources([sources[0], sources[0]], None, problems)
    assert [(problem.path, problem.message) for problem in problems] == [
        (("warm_start",), "takes at most 10 studies, got 11"),
        (("warm_start", 1), 'the study "s0" is listed already'),
    ]
