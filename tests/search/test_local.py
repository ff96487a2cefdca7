"""Local search: climbs move to strictly better neighbours, never try one twice, and start again when stuck."""

import pytest

from search import Ended, History, Optimizer, Outcome, RunState, StudySpec, ask, ask_many
from search.simulation import simulate

GOAL = {"a": 7, "b": 2, "c": 5}
INTEGERS = [{"name": name, "type": "int", "low": 0, "high": 9} for name in GOAL]
CLIMB = {"initial": 1, "epsilon": 0, "integers": "adjacent"}


def study(parameters=INTEGERS, seed=0, budget=None, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters},
            "algorithm": {"name": "local", **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget or {"max_runs": 100},
            "seed": seed,
        }
    )


def bowl(run):
    return Outcome(RunState.SUCCEEDED, (float(sum((run.config[name] - goal) ** 2 for name, goal in GOAL.items())),))


def centres(history):
    """The trials that a climb moved to, of the first climb."""
    best, moves = float("inf"), []
    for run in history.runs:
        if run.number and run.origin["rule"] == "uniform":
            break
        if history.outcome(run.number).loss < best:
            best = history.outcome(run.number).loss
            moves.append(run)
    return moves


@pytest.mark.parametrize("seed", range(8))
def test_a_bowl_is_descended_one_step_at_a_time(seed):
    history = simulate(study(seed=seed, **CLIMB), bowl).history
    first, *moves = centres(history)
    assert len(moves) == sum(abs(first.config[name] - goal) for name, goal in GOAL.items())
    assert moves[-1].config == GOAL if moves else first.config == GOAL


def test_a_neighbour_differs_from_its_parent_in_one_parameter():
    history = simulate(study(**CLIMB), bowl).history
    for run in history.runs:
        if run.origin["rule"] == "neighbour":
            parent = history.runs[run.origin["parent"]].config
            (change,) = [abs(run.config[name] - parent[name]) for name in GOAL if run.config[name] != parent[name]]
            assert change == 1


def test_when_the_neighbours_are_used_up_another_climb_begins():
    history = simulate(study(**CLIMB), bowl).history
    starts = [run.number for run in history.runs if run.origin["rule"] == "uniform"]
    assert len(starts) > 1
    assert all(history.runs[number].origin["probabilities"] == {"uniform": 1.0} for number in starts)
    before = history.runs[: starts[1]]
    for name in GOAL:  # every neighbour of the goal was tried
        for move in (-1, 1):
            assert {**GOAL, name: GOAL[name] + move} in [run.config for run in before]


def test_equal_is_not_better():
    history = simulate(study(**CLIMB), lambda run: Outcome(RunState.SUCCEEDED, (1.0,))).history
    parents = {run.origin["parent"] for run in history.runs if run.origin["rule"] == "neighbour"}
    starts = {run.trial for run in history.runs if run.origin["rule"] == "uniform"}
    assert parents <= starts


def test_failed_neighbours_are_visited_and_never_a_centre():
    def objective(run):
        return bowl(run) if run.number % 2 == 0 else Outcome(RunState.FAILED, failure="error")

    spec = study(**CLIMB)
    history = simulate(spec, objective).history
    keys = [spec.space.key(run.config) for run in history.runs]
    assert len(keys) == len(set(keys))
    for run in history.runs:
        if run.origin["rule"] == "neighbour":
            assert history.outcome(run.origin["parent"]).state is RunState.SUCCEEDED


def test_a_late_result_of_an_old_centre_is_taken_up():
    spec, history = study(**CLIMB), History()
    (first,), _ = ask_many(spec, history, 1)
    history.append(Ended(0, bowl(first)))
    ask_many(spec, history, 2)
    history.append(Ended(2, Outcome(RunState.SUCCEEDED, (0.5,))))
    assert ask(spec, history).origin["parent"] == 2
    history.append(Ended(1, Outcome(RunState.SUCCEEDED, (0.25,))))
    assert ask(spec, history).origin["parent"] == 1


def test_the_best_of_the_initial_trials_is_climbed_from():
    history = simulate(study(initial=10, epsilon=0), bowl).history
    assert [run.origin["rule"] for run in history.runs[:10]] == ["uniform"] * 10
    best = min(range(10), key=lambda number: history.outcome(number).loss)
    assert history.runs[10].origin["parent"] == best


def test_random_steps_come_as_often_as_asked_for():
    history = simulate(study(epsilon=0.3, budget={"max_runs": 400}), bowl).history
    later = [run.origin for run in history.runs[10:] if len(run.origin["probabilities"]) == 2]
    share = sum(origin["rule"] == "uniform" for origin in later) / len(later)
    assert share == pytest.approx(0.3, abs=0.08)


def test_better_than_random_on_floats():
    space = {"parameters": [{"name": f"x{i}", "type": "float", "low": 0, "high": 1} for i in range(4)]}

    def regret(name, seed):
        opt = Optimizer(space, [{"name": "loss", "direction": "minimize"}], {"name": name}, {"max_runs": 150}, seed)
        while run := opt.ask():
            opt.tell(run, {"loss": sum((value - 0.3) ** 2 for value in run.config.values())})
        return opt.best().metrics["loss"]

    assert sum(regret("local", seed) < regret("random", seed) for seed in range(10)) >= 8
