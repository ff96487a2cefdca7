"""`auto`: every line of its table, what it writes into the study, and that what it chooses can serve the study."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import ALGORITHMS, Optimizer, StudySpec
from search.testbed import ANYWHERE
from spaces import InvalidInput

LOSS = {"name": "loss", "direction": "minimize"}
COST = {"name": "cost", "direction": "minimize"}
DEEP, SHALLOW = {"name": "epochs", "low": 1, "high": 27}, {"name": "epochs", "low": 20, "high": 30}
X = {"name": "x", "type": "float", "low": 0, "high": 1}
BELIEVED = {**X, "prior": {"mode": 0.3}}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]}
SIDE = {"name": "side", "type": "categorical", "choices": ["left", "right", "both"]}
CHILD = {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}}
COUNT = {"name": "n", "type": "int", "low": 1, "high": 60}


def study(parameters=(X,), metrics=(LOSS,), fidelity=None, algorithm=None, **more):
    space = {"parameters": list(parameters)} | ({"fidelity": fidelity} if fidelity else {})
    return StudySpec.from_json({"space": space, "metrics": list(metrics), "algorithm": algorithm, **more})


def runs(count):
    return {"budget": {"max_runs": count}}


def full_runs(count):
    """A budget that pays for so many runs of a DEEP study to the end, or for many more short ones."""
    return {"budget": {"max_fidelity": count * DEEP["high"]}}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"parameters": [KIND, SIDE]}, "random"),
        ({"parameters": [COUNT], **runs(80)}, "random"),
        ({"parameters": [COUNT], **runs(40)}, "gp"),
        ({**runs(12), "parallelism": 4}, "sobol"),
        ({**runs(12), "parallelism": 4, "parameters": [X, KIND, CHILD]}, "random"),
        ({**runs(12), "parallelism": 4, "parameters": [BELIEVED]}, "gp"),
        ({**runs(5), "parameters": [BELIEVED]}, "tpe"),
        ({**runs(6), "parameters": [BELIEVED]}, "gp"),
        ({**runs(8), "parameters": [BELIEVED, *({**X, "name": f"x{i}"} for i in range(7))]}, "tpe"),
        (runs(5), "sobol"),
        ({**runs(5), "parameters": [X, KIND, CHILD]}, "random"),
        (runs(6), "gp"),
        ({"metrics": [LOSS, COST], "fidelity": DEEP, **full_runs(30)}, "mo-asha"),
        ({"metrics": [LOSS, COST], "fidelity": DEEP, **runs(30)}, "tpe"),
        ({"metrics": [LOSS, COST], "fidelity": DEEP, **runs(300), "parallelism": 16}, "mo-asha"),
        ({"metrics": [LOSS, COST], "fidelity": DEEP, **runs(300)}, "tpe"),
        ({"metrics": [LOSS, COST], **runs(30)}, "tpe"),
        ({"metrics": [LOSS, COST], **runs(5000)}, "nsga2"),
        ({"metrics": [LOSS, {**COST, "at_most": 5}], **runs(30)}, "gp"),
        ({"parameters": [BELIEVED], "fidelity": DEEP}, "priorband"),
        ({"parameters": [BELIEVED], "fidelity": DEEP, **runs(81)}, "gp"),
        ({"parameters": [BELIEVED], "fidelity": DEEP, **runs(82)}, "priorband"),
        ({"fidelity": DEEP, "parallelism": 64}, "asha"),
        ({"fidelity": DEEP}, "bohb"),
        ({"fidelity": DEEP, **full_runs(15)}, "asha"),
        ({"fidelity": DEEP, **full_runs(16)}, "gp"),
        ({"fidelity": DEEP, **full_runs(49), "parameters": [X, KIND, SIDE]}, "bohb"),
        ({"fidelity": DEEP, **full_runs(50), "parameters": [X, KIND, SIDE]}, "tpe"),
        ({"fidelity": DEEP, **full_runs(30), "parallelism": 10}, "bohb"),
        ({"fidelity": DEEP, **full_runs(60), "parameters": [X, KIND, CHILD]}, "gp"),
        ({"fidelity": DEEP, **full_runs(500)}, "tpe"),
        ({"fidelity": DEEP, **runs(12)}, "gp"),
        ({"fidelity": SHALLOW, **runs(50)}, "gp"),
        ({"parameters": [BELIEVED, KIND, CHILD], **runs(50)}, "gp"),
        ({"parameters": [X, KIND, CHILD], **runs(50)}, "gp"),
        ({"parameters": [X, KIND, SIDE], **runs(50)}, "tpe"),
        ({"parameters": [{**X, "name": f"x{i}"} for i in range(21)], **runs(50)}, "tpe"),
        ({**runs(50), "parallelism": 8}, "gp"),
        ({**runs(50), "parallelism": 9}, "tpe"),
        ({**runs(50), "parallelism": 9, "parameters": [BELIEVED]}, "tpe"),
        (runs(500), "tpe"),
        ({}, "tpe"),
        ({"fidelity": DEEP, **runs(500), "algorithm": {"name": "auto", "stop": {"rule": "median"}}}, "tpe"),
    ],
)
def test_the_table(given, name):
    spec = study(**given)
    assert spec.algorithm.name == name
    assert spec.algorithm.chosen_because


def test_the_reason_is_a_sentence_about_the_study():
    because = study(fidelity=DEEP).algorithm.chosen_because
    assert because.startswith("runs can be compared at 4 fidelities")
    assert because.endswith("without a limit on runs results at each of them are worth learning from")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"fidelity": DEEP, **full_runs(60)}, "there is time to train many configs to the end"),
        ({"fidelity": DEEP, **runs(12)}, "of only 12 runs hardly one would be trained on to the end"),
        ({"fidelity": SHALLOW, **runs(50)}, "the fidelities are too close"),
        (runs(50), "there is no fidelity"),
    ],
)
def test_a_model_that_is_slow_to_ask_says_so(given, reason):
    spec = study(**given)
    assert spec.algorithm.name == "gp"
    assert spec.algorithm.chosen_because.startswith(reason)
    assert "each suggestion takes a second or several" in spec.algorithm.chosen_because


def test_with_a_prior_and_hardly_any_runs_its_mode_is_tried_first():
    assert Optimizer({"parameters": [BELIEVED]}, [LOSS], budget={"max_runs": 1}).ask().config == {"x": 0.3}


def test_what_is_stored_is_the_choice_and_reads_the_same():
    spec = study(fidelity=DEEP, algorithm={"name": "auto", "stop": {"rule": "patience", "reports": 3}})
    stored = spec.algorithm.to_json()
    assert (stored["name"], stored["eta"], stored["stop"]["rule"]) == ("bohb", 3, "patience")
    assert study(fidelity=DEEP, algorithm=stored).algorithm == spec.algorithm


@pytest.mark.parametrize("name", ANYWHERE)
def test_every_algorithm_is_stored_with_all_its_options(name):
    spec = study([BELIEVED], fidelity=DEEP, algorithm={"name": name})
    assert spec.algorithm.chosen_because is None
    assert study([BELIEVED], fidelity=DEEP, algorithm=spec.algorithm.to_json()) == spec


def test_auto_has_no_options():
    with pytest.raises(InvalidInput) as caught:
        study(algorithm={"name": "auto", "eta": 3})
    assert caught.value.problems[0].path == ("algorithm", "eta")
    with pytest.raises(InvalidInput) as caught:
        study(algorithm={"name": "atuo"})
    assert 'did you mean "auto"' in caught.value.problems[0].message


def test_a_study_that_cannot_be_chosen_for_has_its_own_problems_only():
    with pytest.raises(InvalidInput) as caught:
        StudySpec.from_json({"space": {"parameters": []}, "metrics": []})
    assert {problem.path[0] for problem in caught.value.problems} == {"space", "metrics"}


def test_an_optimizer_needs_no_algorithm():
    opt = Optimizer({"parameters": [X]}, [LOSS])
    assert opt.study.algorithm.name == "tpe"
    assert opt.ask().config


parameters = st.lists(st.sampled_from([X, KIND, SIDE, COUNT]), min_size=1, max_size=4, unique_by=lambda p: p["name"])


@settings(max_examples=60, deadline=None)
@given(
    parameters,
    st.booleans(),
    st.sampled_from([None, DEEP, SHALLOW]),
    st.integers(1, 3),
    st.sampled_from([None, 5, 50, 5000]),
    st.sampled_from([1, 4, 64]),
)
def test_whatever_it_chooses_serves_the_study(parameters, believed, fidelity, objectives, budget, parallelism):
    if believed:
        parameters = [{**p, "prior": {"mode": p.get("choices", [1])[0]}} for p in parameters]
    metrics = [{"name": f"m{index}", "direction": "minimize"} for index in range(objectives)]
    limit = {} if budget is None else runs(budget)
    spec = study(parameters, metrics, fidelity, parallelism=parallelism, **limit)
    assert spec.algorithm.name in ALGORITHMS  # or it would have been refused
