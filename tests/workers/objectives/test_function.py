"""The objective `function` acts like a training (fidelity, checkpoints, stops, failures) and says what it cannot do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.objectives import OBJECTIVES, check
from workers.objectives.function import FunctionObjective
from workers.objectives.functions import FUNCTIONS
from workers.protocol import Assignment, Report

OBJECTIVE = FunctionObjective()
POINT = {"x0": 0.3, "x1": -0.7}


def assignment(function="sphere", config=POINT, fidelity=None, seed=0, **fields):
    options = fields.pop("options", {})
    return Assignment(
        "key", {"type": "function", "function": function, **options}, config, seed, fidelity=fidelity, **fields
    )


def run(work, stop_after=None):
    """(reports, result), stopped after so many reports if told."""
    training = OBJECTIVE.train(work)
    reports = []
    try:
        step = next(training)
        while True:
            reports.append(step)
            step = training.send("stop" if len(reports) == stop_after else None)
    except StopIteration as end:
        return reports, end.value


def steps(reports):
    return [report.step for report in reports]


class TestTraining:
    def test_reports_every_whole_step_up_to_the_fidelity(self):
        reports, result = run(assignment(fidelity=("epochs", 3, 9)))
        assert steps(reports) == [1, 2, 3]
        assert result.metrics == reports[-1].metrics
        assert not result.checkpointed

    def test_a_fidelity_between_two_whole_steps_is_reported_too(self):
        assert steps(run(assignment(fidelity=("fraction", 2.5, 9.0)))[0]) == [1, 2, 2.5]
        assert steps(run(assignment(fidelity=("fraction", 0.25, 1.0)))[0]) == [0.25]

    def test_without_a_fidelity_it_is_one_exact_step(self):
        reports, result = run(assignment())
        assert reports == [Report(1, {"loss": pytest.approx(0.3**2 + 0.7**2)})]
        assert result.metrics == reports[0].metrics

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_error_of_a_low_fidelity_vanishes_at_the_highest(self, function):
        config = {f"x{i}": 0.1 * (i + 1) for i in range(6)}
        reports, result = run(assignment(function, config, fidelity=("epochs", 9, 9)))
        exact = OBJECTIVE.test(assignment(function, config))["loss"]
        errors = [abs(report.metrics["loss"] - exact) for report in reports]
        assert result.metrics["loss"] == pytest.approx(exact)
        assert errors == sorted(errors, reverse=True)
        assert (errors[0] > 0) == (function != "noop")

    def test_a_low_fidelity_does_not_rank_all_points_as_the_function_does(self):
        points = [{"x0": 2.5 + 0.07 * i, "x1": 2.0 + 0.03 * i} for i in range(20)]  # around a minimum
        low = [run(assignment("branin", p, fidelity=("epochs", 1, 9)))[1].metrics["loss"] for p in points]
        exact = [OBJECTIVE.test(assignment("branin", p))["loss"] for p in points]
        assert sorted(range(20), key=low.__getitem__) != sorted(range(20), key=exact.__getitem__)

    def test_parameters_that_the_function_does_not_read_change_nothing(self):
        other = {**POINT, "optimizer": "sgd", "y": 3}
        assert run(assignment(config=other)) == run(assignment(config=POINT))

    @given(first=st.integers(1, 8), last=st.integers(1, 9), x=st.floats(-5, 5))
    def test_a_resumed_run_equals_an_uninterrupted_one(self, tmp_path_factory, first, last, x):
        path = tmp_path_factory.mktemp("checkpoints") / "a" / "first.json"
        config = {"x0": x}
        first = min(first, last)
        whole, result = run(assignment(config=config, fidelity=("epochs", last, 9)))
        head, paused = run(assignment(config=config, fidelity=("epochs", first, 9), checkpoint=path))
        tail, resumed = run(assignment(config=config, fidelity=("epochs", last, 9), resume_from=path))
        assert paused.checkpointed
        assert head + tail == whole
        assert resumed == result
        assert [file.name for file in path.parent.iterdir()] == ["first.json"]

    def test_a_stopped_run_saves_where_it_is_and_can_go_on(self, tmp_path):
        path = tmp_path / "stopped.json"
        head, result = run(assignment(fidelity=("epochs", 9, 9), checkpoint=path), stop_after=4)
        assert steps(head) == [1, 2, 3, 4]
        assert result.checkpointed
        assert result.metrics == head[-1].metrics
        tail, _ = run(assignment(fidelity=("epochs", 9, 9), resume_from=path))
        assert steps(tail) == [5, 6, 7, 8, 9]

    def test_failures_are_drawn_once_per_trial(self):
        def fails(seed, x, fidelity):
            work = assignment(config={"x0": x}, seed=seed, fidelity=fidelity, options={"failure_rate": 0.3})
            try:
                run(work)
            except RuntimeError:
                return True
            return False

        trials = [(seed, seed / 100) for seed in range(200)]
        short = [fails(*trial, ("epochs", 1, 9)) for trial in trials]
        assert short == [fails(*trial, ("epochs", 9, 9)) for trial in trials]
        assert 30 <= sum(short) <= 90
        assert short != [fails(seed + 1, x, ("epochs", 1, 9)) for seed, x in trials]


class TestFunctions:
    @pytest.mark.parametrize(
        ("function", "point", "minimum"),
        [
            ("noop", [], 0.0),
            ("sphere", [0.0, 0.0, 0.0, 0.0], 0.0),
            ("rosenbrock", [1.0, 1.0, 1.0], 0.0),
            ("branin", [-math.pi, 12.275], 0.397887),
            ("branin", [math.pi, 2.275], 0.397887),
            ("branin", [9.42478, 2.475], 0.397887),
            ("hartmann3", [0.114614, 0.555649, 0.852547], -3.86278),
            ("hartmann6", [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573], -3.32237),
        ],
    )
    def test_the_known_minima(self, function, point, minimum):
        assert FUNCTIONS[function].evaluate(point) == pytest.approx(minimum, abs=1e-4)
        nearby = [[v + d for v in point] for d in (-0.01, 0.01)]
        assert all(FUNCTIONS[function].evaluate(other) >= minimum - 1e-4 for other in nearby)

    def test_open_ended_functions_take_all_the_coordinates_there_are(self):
        assert OBJECTIVE.test(assignment("sphere", {"x0": 1, "x1": 2, "x2": 3}))["loss"] == 14
        assert OBJECTIVE.test(assignment("sphere", {"x0": 1, "x2": 3}))["loss"] == 1


def study(parameters, objective, metrics=({"name": "loss", "direction": "minimize"},)):
    return {
        "space": {"parameters": parameters},
        "objective": {"type": "function"} | objective,
        "metrics": list(metrics),
    }


X0 = {"name": "x0", "type": "float", "low": -5, "high": 10}
X1 = {"name": "x1", "type": "int", "low": 0, "high": 15}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b"]}


class TestCheck:
    @pytest.mark.parametrize(
        ("parameters", "objective"),
        [
            ([X0, X1], {"function": "branin", "seconds_per_step": 0.5, "failure_rate": 0.1}),
            ([X1, KIND, X0], {"function": "branin"}),
            ([{"name": "x0", "type": "ordinal", "choices": [1, 2, 4]}, X1], {"function": "sphere"}),
            ([{"name": "x0", "type": "constant", "value": 3}], {"function": "sphere"}),
            ([KIND], {"function": "noop", "seconds_per_step": 0}),
        ],
    )
    def test_what_is_fine(self, parameters, objective):
        assert check(study(parameters, objective)) == []

    @pytest.mark.parametrize(
        ("parameters", "objective", "location", "message"),
        [
            ([X0, X1], {}, "objective.function", "hartmann6"),
            ([X0, X1], {"function": "brannin"}, "objective.function", 'did you mean "branin"'),
            ([X0, X1], {"function": 3}, "objective.function", "unknown function 3"),
            ([X0, X1], {"function": "branin", "failure": 1}, "objective.failure", "failure_rate"),
            ([X0, X1], {"function": "branin", "failure_rate": 1.1}, "objective.failure_rate", "0 to 1"),
            ([X0, X1], {"function": "branin", "failure_rate": True}, "objective.failure_rate", "0 to 1"),
            ([X0, X1], {"function": "branin", "seconds_per_step": -1}, "objective.seconds_per_step", "seconds"),
            ([X0, X1], {"function": "branin", "seconds_per_step": math.nan}, "objective.seconds_per_step", "seconds"),
            ([X0], {"function": "branin"}, "space.parameters", "x1"),
            ([X0], {"function": "rosenbrock"}, "space.parameters", "x1"),
            ([KIND | {"name": "x0"}], {"function": "sphere"}, "space.parameters[0].type", "number"),
            ([{"name": "x0", "type": "bool"}], {"function": "sphere"}, "space.parameters[0].type", "number"),
            (
                [{"name": "x0", "type": "constant", "value": "a"}],
                {"function": "sphere"},
                "space.parameters[0]",
                "number",
            ),
            (
                [KIND, X0 | {"when": {"parameter": "kind", "equals": "a"}}],
                {"function": "sphere"},
                "space.parameters[1].when",
                "conditional",
            ),
        ],
    )
    def test_what_is_not_fine_is_said_where_it_is(self, parameters, objective, location, message):
        (problem,) = check(study(parameters, objective))
        assert problem.location.startswith(location)
        assert message in problem.message

    def test_a_metric_that_it_does_not_report(self):
        metrics = [{"name": "loss", "direction": "minimize"}, {"name": "accuracy", "direction": "maximize"}]
        (problem,) = check(study([X0], {"function": "sphere"}, metrics))
        assert problem.location == "metrics[1].name"
        assert "'loss'" in problem.message

    def test_every_problem_is_told_and_a_broken_space_is_left_to_its_reader(self):
        broken = study([X0 | {"low": 99}], {"function": "sfere", "failure_rate": 2}, [{"name": "acc"}])
        assert [p.location for p in check(broken)] == [
            "objective.function",
            "objective.failure_rate",
            "metrics[0].name",
        ]

    @pytest.mark.parametrize(
        ("objective", "location"),
        [
            ({}, "objective"),
            ({"objective": None}, "objective"),
            ({"objective": "train"}, "objective"),
            ({"objective": {}}, "objective.type"),
            ({"objective": {"type": "trian"}}, "objective.type"),
            ({"objective": {"type": ["train"]}}, "objective.type"),
        ],
    )
    def test_a_study_without_a_known_objective_learns_the_known_ones(self, objective, location):
        (problem,) = check({"space": {"parameters": [X0]}, **objective})
        assert problem.location == location
        assert all(name in problem.message for name in OBJECTIVES)
