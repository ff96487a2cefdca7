"""A stopping rule in a study: read with the algorithm, checked with the space, refused with what can be used."""

import pytest

from search import STOPPING_RULES, StopSpec, StudySpec
from spaces import InvalidInput

FIDELITY = {"name": "epochs", "low": 1, "high": 27}


def study(stop, algorithm="random", fidelity=FIDELITY, metrics=("loss",)):
    space = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
    return StudySpec.from_json(
        {
            "space": space | ({"fidelity": fidelity} if fidelity else {}),
            "algorithm": {"name": algorithm, "stop": stop},
            "metrics": [{"name": name, "direction": "minimize"} for name in metrics],
        }
    )


def problem(*given, **more):
    with pytest.raises(InvalidInput) as raised:
        study(*given, **more)
    (found,) = raised.value.problems
    return found


def test_options_are_complete():
    assert study({"rule": "median", "trials": 3}).algorithm.stop == StopSpec("median", {"trials": 3, "grace": 0})


def test_no_rule():
    assert study(None).algorithm.stop is None


@pytest.mark.parametrize(
    ("stop", "path", "says"),
    [
        ("median", ("stop",), 'such as {"rule": "median"}'),
        ([], ("stop",), "known rules"),
        ({}, ("stop", "rule"), "is required"),
        ({"rule": "medain"}, ("stop", "rule"), 'did you mean "median"'),
        ({"rule": 3}, ("stop", "rule"), "unknown stopping rule 3"),
        ({"rule": "median", "trails": 3}, ("stop", "trails"), 'did you mean "trials"'),
        ({"rule": "median", "trials": 0}, ("stop", "trials"), "at least 1"),
        ({"rule": "threshold"}, ("stop", "value"), "is required"),
        ({"rule": "asha-stop", "cutoff": "best"}, ("stop", "cutoff"), '"quantile", "rank"'),
        ({"rule": "curve", "probability": 1.5}, ("stop", "probability"), "above 0 and at most 1"),
    ],
)
def test_bad_input_is_named_with_its_path(stop, path, says):
    found = problem(stop)
    assert found.path == ("algorithm", *path)
    assert says in found.message


@pytest.mark.parametrize("rule", [name for name, row in STOPPING_RULES.items() if row.compares])
def test_rules_that_compare_trials_are_refused_beside_an_algorithm_that_does(rule):
    found = problem({"rule": rule}, "asha")
    assert found.path == ("algorithm", "stop", "rule")
    assert '"patience"' in found.message
    assert '"median"' not in found.message
    assert problem({"rule": rule}, metrics=("loss", "seconds")).path == ("algorithm", "stop", "rule")


def test_rules_about_the_run_alone_go_with_every_algorithm():
    assert study({"rule": "patience"}, "hyperband").algorithm.stop
    assert study({"rule": "threshold", "value": 2}, "asha").algorithm.stop


def test_extrapolation_needs_to_know_the_end():
    assert problem({"rule": "curve"}, fidelity=None).path == ("algorithm", "stop", "horizon")
    assert study({"rule": "curve", "horizon": 50}, fidelity=None).algorithm.stop.options["horizon"] == 50
