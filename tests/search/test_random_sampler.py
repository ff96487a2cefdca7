import numpy as np
import pytest
from scipy.stats import kstest

from search import History, StudySpec, ask_many

PARAMETERS = [
    {"name": "lr", "type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    {"name": "x", "type": "float", "low": -1, "high": 3},
    {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
    {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
]
NEVER = {"all": [{"parameter": "kind", "equals": "a"}, {"parameter": "kind", "equals": "b"}]}


def configs(parameters, k, seed=0):
    study = StudySpec.from_json(
        {
            "space": {"parameters": parameters},
            "algorithm": {"name": "random"},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "seed": seed,
        }
    )
    runs, _ = ask_many(study, History(), k)
    return [run.config for run in runs], study.space


def test_every_dimension_is_uniform_in_its_own_scale():
    drawn, space = configs(PARAMETERS, 2000)
    points = np.array([space.encode(config) for config in drawn])
    for axis in (0, 1, 3):
        values = points[:, axis]
        assert kstest(values[~np.isnan(values)], "uniform").pvalue > 1e-3
    assert abs(np.mean([config["kind"] == "a" for config in drawn]) - 0.5) < 0.05


@pytest.mark.parametrize(
    "added",
    [
        {"name": "z", "type": "constant", "value": 1},
        {"name": "z", "type": "float", "low": 0, "high": 1, "when": NEVER},
    ],
)
def test_a_parameter_that_decides_nothing_changes_no_draw(added):
    plain, _ = configs(PARAMETERS, 20)
    more, _ = configs([*PARAMETERS, added], 20)
    assert [{name: value for name, value in config.items() if name != "z"} for config in more] == plain
