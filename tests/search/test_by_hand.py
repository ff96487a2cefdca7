"""What people add: configs to try, trials from elsewhere, and that a trial does not count."""

import pytest

from search import (
    Added,
    Ended,
    Enqueued,
    History,
    Invalidated,
    Optimizer,
    Outcome,
    Reported,
    RunState,
    Slot,
    StudySpec,
    ask,
    ask_many,
    enqueue,
    invalidate,
    should_stop,
    spent,
    told,
)
from search.observations import observations
from search.points import points
from search.revision import carried
from search.simulation import simulate
from spaces import Freeze, InvalidInput, revise

X = {"name": "x", "type": "float", "low": 0, "high": 1}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b"]}
DEPTH = {"name": "depth", "type": "int", "low": 1, "high": 8, "when": {"parameter": "kind", "equals": "b"}}
EPOCHS = {"name": "epochs", "low": 1, "high": 9}
LOSS = {"name": "loss", "direction": "minimize"}


def study(algorithm="random", parameters=(X,), fidelity=None, metrics=(LOSS,), replicates=None, **budget):
    return StudySpec.from_json(
        {
            "space": {"parameters": list(parameters), **({"fidelity": fidelity} if fidelity else {})},
            "algorithm": {"name": algorithm} if isinstance(algorithm, str) else algorithm,
            "metrics": list(metrics),
            "replicates": replicates,
            "budget": budget,
        }
    )


def add(spec, history, *args, **more):
    run, outcome = told(spec, history, *args, **more)
    history.append(Added(run))
    history.append(Ended(run.number, outcome))
    return run


def start(spec, history):
    run = ask(spec, history)
    history.append(Added(run))
    return run


def end(history, run, loss):
    history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (loss,))))


# --- enqueued configs


def test_enqueued_configs_are_served_in_order_before_the_sampler_is_asked():
    spec, history = study(), History()
    for x in (0.25, 0.75):
        history.append(enqueue(spec, history, {"x": x}))
    assert [wish.number for wish in history.waiting] == [0, 1]
    runs, _ = ask_many(spec, history, 3)
    assert [run.config["x"] for run in runs[:2]] == [0.25, 0.75]
    assert [run.origin for run in runs[:2]] == [{"rule": "enqueued", "number": n} for n in (0, 1)]
    assert runs[2].origin["rule"] == "uniform"
    assert not history.waiting
    assert len(history.enqueued) == 2


def test_an_enqueued_config_is_written_as_the_space_writes_it():
    spec = study(parameters=(X, KIND, DEPTH))
    event = enqueue(spec, History(), {"depth": 3, "kind": "b", "x": 1})
    assert event == Enqueued(0, {"x": 1.0, "kind": "b", "depth": 3})
    assert list(event.config) == ["x", "kind", "depth"]
    assert type(event.config["x"]) is float


def test_an_enqueued_config_that_is_not_of_the_space_is_refused_as_a_whole():
    with pytest.raises(InvalidInput) as caught:
        enqueue(study(parameters=(X, KIND, DEPTH)), History(), {"x": 2, "kind": "a", "depth": 3, "y": 1})
    assert {problem.path for problem in caught.value.problems} == {("x",), ("depth",), ("y",)}


def test_an_enqueued_config_takes_the_place_of_the_next_trial_and_not_that_of_a_promotion():
    spec, history = study("hyperband", fidelity=EPOCHS), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:
        end(history, run, run.config["x"])
    history.append(enqueue(spec, history, {"x": 0.5}))
    assert [start(spec, history).origin["rule"] for _ in range(4)] == ["promote"] * 3 + ["enqueued"]
    assert history.runs[-1].slot == Slot(1, 1, 3)


def test_an_enqueued_config_names_the_parents_of_its_place():
    spec, history = study("dehb", fidelity=EPOCHS), History()
    while not (request := ask(spec, history)).origin.get("parents"):
        history.append(Added(request))
        end(history, request, request.config["x"])
    history.append(enqueue(spec, history, {"x": 0.5}))
    served = ask(spec, history)
    assert served.origin["parents"][0] == request.origin["target"]
    assert (served.slot, served.config) == (request.slot, {"x": 0.5})


def test_a_population_takes_an_enqueued_config_where_the_space_has_no_other():
    bit = {"name": "x", "type": "int", "low": 0, "high": 1}
    spec = study({"name": "pbt", "population": 4}, parameters=(bit,), fidelity=EPOCHS, max_runs=60)
    history = History()
    runs, _ = ask_many(spec, history, 4)
    assert [run.config["x"] for run in sorted(runs, key=lambda run: run.config["x"])] == [0, 1]
    history.append(enqueue(spec, history, {"x": 1}))
    assert start(spec, history).origin == {"rule": "enqueued", "number": 0}


# --- told trials


def test_a_told_trial_counts_as_a_result_and_not_for_the_budget():
    spec, history = study(max_runs=2, max_trials=2, max_fidelity=2), History()
    run = add(spec, history, {"x": 0.5}, {"loss": 1})
    assert (run.told, run.slot.bracket, run.origin) == (True, -1, {"rule": "told"})
    assert (spent(history).runs, spent(history).trials, spent(history).fidelity) == (0, 0, 0)
    assert len(ask_many(spec, history, 5)[0]) == 2
    assert spent(history).trials == 2
    assert points(spec.space, history).taken({"x": 0.5})


def test_a_told_trial_has_the_highest_fidelity_unless_it_says_another():
    spec = study("hyperband", fidelity=EPOCHS)
    whole, _ = told(spec, History(), {"x": 0.5}, {"loss": 1})
    half, _ = told(spec, History(), {"x": 0.5}, {"loss": 1}, 4.0)
    assert (whole.fidelity, whole.partial) == (9, False)
    assert (half.fidelity, half.partial) == (4, True)
    assert type(half.fidelity) is int


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        (({"x": 2}, {"loss": 1}, 10), {("config", "x"), ("fidelity",)}),
        (({"x": 0.5}, {}), {("metrics",)}),
        (({"x": 0.5},), {("metrics",)}),
        (({"x": 0.5}, {"loss": "low"}, 2.5), {("metrics",), ("fidelity",)}),
        (({"x": 0.5}, {"loss": 1}, True), {("fidelity",)}),
        (({"x": 0.5}, {"loss": 1}, float("nan")), {("fidelity",)}),
        ((["x"], {"loss": 1}), {("config",)}),
    ],
)
def test_a_told_trial_is_refused_with_all_problems(given, paths):
    with pytest.raises(InvalidInput) as caught:
        told(study("hyperband", fidelity=EPOCHS), History(), *given)
    assert {problem.path for problem in caught.value.problems} == paths


def test_a_fidelity_is_refused_where_the_space_has_none():
    with pytest.raises(InvalidInput, match="fidelity: the space has no fidelity"):
        told(study(), History(), {"x": 0.5}, {"loss": 1}, 3)


def test_a_told_trial_may_have_failed():
    spec = study()
    assert told(spec, History(), {"x": 0.5}, failure="oom")[1] == Outcome(RunState.FAILED, failure="oom")
    assert told(spec, History(), {"x": 0.5}, {"loss": float("nan")})[1].failure == "diverged"
    with pytest.raises(InvalidInput, match="not both"):
        told(spec, History(), {"x": 0.5}, {"loss": 1}, failure="oom")


@pytest.mark.parametrize("algorithm", ["hyperband", "asha", "mo-asha", "dehb", "pbt"])
def test_schedules_do_not_see_told_trials(algorithm):
    spec = study(algorithm, fidelity=EPOCHS, max_runs=40)

    def slots(*given):
        history = History()
        for loss in given:
            add(spec, history, {"x": loss}, {"loss": loss}, 1)
        for _ in range(40):
            run = start(spec, history)
            end(history, run, run.number / 100)
        return [run.slot for run in history.runs if not run.told]

    assert slots() == slots(0.0, 0.5)


def test_the_mode_of_the_priors_is_still_tried_first_unless_it_was_told():
    believed = {**X, "prior": {"mode": 0.4}}
    spec = study("priorband", parameters=(believed,), fidelity=EPOCHS)
    history = History()
    add(spec, history, {"x": 0.9}, {"loss": 1})
    assert ask(spec, history).origin["rule"] == "prior-mode"
    add(spec, history, {"x": 0.4}, {"loss": 1})
    assert ask(spec, history).origin["rule"] != "prior-mode"


def test_results_at_less_than_the_highest_fidelity_join_no_population():
    spec = study({"name": "evolution", "population": 2}, fidelity=EPOCHS)
    history = History()
    for x in (0.1, 0.2):
        add(spec, history, {"x": x}, {"loss": -9}, 1)
    assert ask(spec, history).origin["rule"] == "uniform"
    for x in (0.3, 0.4):
        add(spec, history, {"x": x}, {"loss": 1})
    run = ask(spec, history)
    assert run.origin["rule"] == "mutation"
    assert run.origin["parent"] in (2, 3)


def test_told_trials_join_the_generation_at_hand_of_nsga2():
    spec = study({"name": "nsga2", "population": 4}, metrics=(LOSS, {"name": "size", "direction": "minimize"}))
    history = History()
    for _ in range(10):
        run = start(spec, history)
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (run.config["x"], 1 - run.config["x"]))))
    assert history.runs[9].origin["generation"] == 2
    add(spec, history, {"x": 0.5}, {"loss": -1, "size": -1})
    while (run := start(spec, history)).origin["generation"] == 2:
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, (run.config["x"], 1 - run.config["x"]))))
    assert 10 in run.origin["parents"]


def test_a_told_trial_at_the_top_is_repeated_where_replicates_are_wanted():
    spec, history = study(replicates={"max": 2, "top": 1}, max_runs=10), History()
    add(spec, history, {"x": 0.5}, {"loss": -1})
    end(history, start(spec, history), 0.5)
    run = ask(spec, history)
    assert (run.trial, run.slot.replicate, run.origin["rule"], run.told) == (0, 1, "replicate", False)


# --- invalidated trials


def test_the_results_of_an_invalidated_trial_count_for_nothing():
    opt = Optimizer({"parameters": [X]}, [LOSS], {"name": "random"}, seed=1)
    runs = [opt.ask() for _ in range(3)]
    for run, loss in zip(runs[:2], (1.0, 2.0), strict=True):
        opt.tell(run, {"loss": loss})
    opt.invalidate(0)
    assert (opt.best().run, [one.run for one in opt.front()]) == (1, [1])
    assert opt.history.outcome(0) == Outcome(RunState.CANCELLED)
    assert opt.history.recorded(0) == Outcome(RunState.SUCCEEDED, (1.0,))
    assert points(opt.study.space, opt.history).taken(runs[0].config)
    opt.invalidate(2)
    opt.tell(runs[2], {"loss": 0.0})  # it was open, and is over now
    assert opt.best().run == 1
    assert (opt.history.outcome(2).state, opt.history.open_count) == (RunState.CANCELLED, 0)
    with pytest.raises(InvalidInput, match="there is no trial 3; 3 were started"):
        opt.invalidate(3)


def test_invalidating_a_trial_again_is_nothing_new():
    spec, history = study(), History()
    add(spec, history, {"x": 0.5}, {"loss": 1})
    for _ in range(2):
        history.append(invalidate(history, 0))
    assert list(history.events)[2:] == [Invalidated(0)]


def test_an_invalidated_target_is_not_reached():
    spec, history = study(target=0.5, max_runs=9), History()
    end(history, start(spec, history), 0.1)
    assert ask(spec, history).reason == "target"
    history.append(invalidate(history, 0))
    assert ask(spec, history).number == 1


@pytest.mark.parametrize("algorithm", ["hyperband", "asha", "mo-asha"])
def test_who_was_next_goes_up_instead_of_an_invalidated_trial(algorithm):
    spec, history = study(algorithm, fidelity=EPOCHS), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:
        end(history, run, run.number / 10)
    assert ask(spec, history).trial == 0
    history.append(invalidate(history, 0))
    assert ask(spec, history).trial == 1


def test_what_an_invalidated_trial_had_come_to_stays_open_and_others_go_on():
    spec, history = study({"name": "hyperband", "max_open_brackets": 1}, fidelity=EPOCHS), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:
        end(history, run, run.number / 10)
    promoted, _ = ask_many(spec, history, 3)
    history.append(invalidate(history, 0))
    assert list(history.open) == [run.number for run in promoted]
    for run in promoted:
        end(history, run, run.number / 10)
    assert ask(spec, history).trial == 1
    for trial in (1, 2):
        history.append(invalidate(history, trial))
    assert ask(spec, history).slot == Slot(1, 1, 3)  # nobody is left, so the next bracket begins


def test_an_invalidated_member_is_replaced_by_a_clone_of_another():
    spec = study({"name": "pbt", "population": 4}, fidelity=EPOCHS, max_runs=99)
    history = History()
    runs, _ = ask_many(spec, history, 4)
    for run in runs:
        end(history, run, run.number / 10)
    history.append(invalidate(history, 0))
    fork = ask(spec, history)
    assert (fork.origin["rule"], fork.origin["replaces"], fork.trial) == ("replace", 0, 4)
    assert fork.resume_from != 0


def test_a_place_does_not_keep_the_loss_of_an_invalidated_trial_that_it_had():
    spec = study({"name": "pbt", "population": 2, "quantile": 0.5}, fidelity=EPOCHS, max_runs=99)
    history = History()
    runs, _ = ask_many(spec, history, 2)
    end(history, runs[0], 0.2)
    end(history, runs[1], 0.1)
    fork = start(spec, history)
    assert fork.resume_from == 1
    history.append(invalidate(history, 0))
    history.append(invalidate(history, 1))
    assert ask(spec, history).origin["rule"] == "uniform"  # nobody has a result, so nobody is cloned


def test_the_curve_of_an_invalidated_trial_is_not_compared_with():
    spec = study({"name": "random", "stop": {"rule": "asha-stop"}}, fidelity=EPOCHS)
    history = History()
    runs, _ = ask_many(spec, history, 3)
    for run, loss in zip(runs, (0.1, 0.2, 0.3), strict=True):
        history.append(Reported(run.number, 1, (loss,)))
    assert should_stop(spec, history, 2) is not None
    end(history, runs[0], 0.1)
    for trial in (0, 1):
        history.append(invalidate(history, trial))
    assert should_stop(spec, history, 2) is None


def test_a_trial_whose_replicates_were_run_may_be_invalidated():
    spec = study({"name": "tpe", "startup": 3}, replicates={"max": 2, "top": 1}, max_runs=12)
    history = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x"],))).history
    repeated = next(run.trial for run in history.runs if run.slot.replicate)
    history.append(invalidate(history, repeated))
    observed = observations(spec.space, history)
    assert set(observed.state[observed.trial == repeated]) == {4}


# --- a revised space


def test_what_people_added_is_carried_into_a_revised_space():
    spec = study(parameters=(X, KIND), max_runs=20)
    history = History()
    for config in ({"x": 0.1, "kind": "a"}, {"x": 0.2, "kind": "b"}, {"x": 0.3, "kind": "a"}):
        history.append(enqueue(spec, history, config))
    start(spec, history)
    add(spec, history, {"x": 0.7, "kind": "b"}, {"loss": 0})
    add(spec, history, {"x": 0.8, "kind": "a"}, {"loss": 1})
    history.append(invalidate(history, 2))
    changes = [Freeze("kind", "a")]
    after = carried(history, changes, revise(spec.space, changes))
    assert [wish.config["x"] for wish in after.waiting] == [0.3]
    assert [run.told for run in after.runs] == [False, True]
    assert after.runs[1].origin == {"rule": "told", "from_run": 2}
    assert after.invalidated(1)
    assert spent(after).runs == 1
