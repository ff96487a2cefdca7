"""The grid: which points it has, in which order, and that it ends."""

import pytest

from search import Added, Done, History, Outcome, Run, RunState, StudySpec, ask, ask_many
from search.samplers.grid import grid_values
from search.simulation import simulate
from spaces import Categorical, Float, Integer, Ordinal

LR = {"name": "lr", "type": "float", "low": 1e-5, "high": 1e-1, "log": True}
BATCH = {"name": "batch", "type": "categorical", "choices": [16, 32, 64]}


def study(*parameters, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": list(parameters)},
            "algorithm": {"name": "grid", **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "seed": seed,
        }
    )


def configs(spec, workers=1):
    played = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (0.0,)), workers)
    assert played.end.reason == "exhausted"
    return [dict(run.config) for run in played.history.runs]


@pytest.mark.parametrize(
    ("parameter", "points", "expected"),
    [
        (Float("lr", 1e-5, 1e-1, log=True), 5, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (Float("x", 0, 1), 3, [0.0, 0.5, 1.0]),
        (Float("x", 0, 4), 1, [2.0]),
        (Float("x", 0.0, 0.5, step=0.25), 5, [0.0, 0.25, 0.5]),
        (Integer("n", 1, 3), 5, [1, 2, 3]),
        (Integer("n", 1, 100), 2, [1, 100]),
        (Ordinal("o", (1, 2, 4, 8)), 2, [1, 2, 4, 8]),
        (Categorical("c", ("a", "b", "c")), 2, ["a", "b", "c"]),
    ],
)
def test_values_of_a_parameter(parameter, points, expected):
    values = grid_values(parameter.domain, points)
    assert values == pytest.approx(expected) if parameter.domain.numeric else values == expected
    for value in values:
        assert parameter.domain.objection(value) is None


def test_all_combinations_once():
    found = configs(study(LR, BATCH, {"name": "on", "type": "bool"}, points=2))
    assert len(found) == 12
    assert {(c["lr"], c["batch"], c["on"]) for c in found} == {
        (lr, batch, on) for lr in (1e-5, 1e-1) for batch in (16, 32, 64) for on in (False, True)
    }


def test_conditional_parameters_multiply_only_where_they_are_active():
    when = {"parameter": "depth", "ge": 2}
    depth = {"name": "depth", "type": "int", "low": 1, "high": 3}
    found = configs(study({"name": "skip", "type": "bool", "when": when}, depth, LR, points=3))
    assert len(found) == 3 + 2 * 2 * 3
    assert len({tuple(config.items()) for config in found}) == len(found)
    assert all(("skip" in config) == (config["depth"] >= 2) for config in found)


def test_the_order_is_the_seeds():
    orders = [configs(study(LR, BATCH, seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(map(str, orders[0])) == sorted(map(str, orders[2]))
    assert orders[0] == configs(study(LR, BATCH), workers=4)


def test_open_runs_are_visited_and_the_end_is_the_grids_own():
    spec, history = study(LR), History()
    runs, end = ask_many(spec, history, 10)
    assert len({run.config["lr"] for run in runs}) == 5
    assert end == Done("exhausted", "all 5 configs of the grid have been tried")


def test_configs_that_came_from_elsewhere_are_skipped():
    spec, history = study(LR, points=2), History()
    history.append(Added(Run(0, 0, {"lr": 1e-5})))
    history.append(Added(Run(1, 1, {"lr": 0.003})))
    run = ask(spec, history)
    assert run.config["lr"] == pytest.approx(0.1)
    history.append(Added(run))
    assert isinstance(ask(spec, history), Done)


def test_a_grid_too_large_to_list_is_drawn_without_repetition():
    many = [{"name": f"x{i}", "type": "float", "low": 0, "high": 1} for i in range(20)]
    spec = study(*many)
    runs, _ = ask_many(spec, History(), 200)
    assert len({spec.space.key(run.config) for run in runs}) == 200
    assert {value for run in runs for value in run.config.values()} == {0.0, 0.25, 0.5, 0.75, 1.0}
