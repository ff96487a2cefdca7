"""Grid, Sobol and local search in spaces with constraints: only allowed configs, all of them where there are few."""

import pytest

from search import History, Outcome, RunState, StudySpec, ask_many
from search.simulation import simulate

INTEGERS = [{"name": name, "type": "int", "low": 0, "high": 4} for name in "ab"]
FLOATS = [{"name": name, "type": "float", "low": 0, "high": 1} for name in "abcdefgh"]

every_one = pytest.mark.parametrize("algorithm", ["grid", "sobol", "local"])


def study(algorithm, parameters, constraint, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters, "constraints": [constraint]},
            "algorithm": {"name": algorithm, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
        }
    )


@every_one
@pytest.mark.parametrize("workers", [1, 4])
def test_a_finite_space_is_tried_whole(algorithm, workers):
    spec = study(algorithm, INTEGERS, {"linear": {"a": 1, "b": 1}, "le": 3})
    played = simulate(spec, lambda run: Outcome(RunState.SUCCEEDED, (run.config["a"] - run.config["b"],)), workers)
    assert played.end.reason == "exhausted"
    assert sorted((run.config["a"], run.config["b"]) for run in played.history.runs) == [
        (a, b) for a in range(5) for b in range(5) if a + b <= 3
    ]


@every_one
@pytest.mark.parametrize("bound", [3.0, 0.3])
def test_an_infinite_space_is_searched_where_it_is_allowed(algorithm, bound):
    """A tight bound leaves one grid point in 400,000, and one draw in 10^9."""
    spec = study(algorithm, FLOATS, {"linear": dict.fromkeys("abcdefgh", 1), "le": bound})
    runs, _ = ask_many(spec, History(), 30)
    assert all(spec.space.allows(run.config) for run in runs)
    assert len({spec.space.key(run.config) for run in runs}) == 30
