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
        exact = OBJECTIVE.test(assignment(function, config))
        assert result.metrics == pytest.approx(exact)
        assert exact.keys() == FUNCTIONS[function].outputs.keys()
        for name in exact:
            errors = [abs(report.metrics[name] - exact[name]) for report in reports]
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
        loss = FUNCTIONS[function].outputs["loss"].evaluate
        assert loss(point) == pytest.approx(minimum, abs=1e-4)
        nearby = [[v + d for v in point] for d in (-0.01, 0.01)]
        assert all(loss(other) >= minimum - 1e-4 for other in nearby)

    def test_open_ended_functions_take_all_the_coordinates_there_are(self):
        assert OBJECTIVE.test(assignment("sphere", {"x0": 1, "x1": 2, "x2": 3}))["loss"] == 14
        assert OBJECTIVE.test(assignment("sphere", {"x0": 1, "x2": 3}))["loss"] == 1


class TestSeveralOutputs:
    @pytest.mark.parametrize(("function", "front"), [("zdt1", math.sqrt), ("zdt2", lambda f1: f1**2)])
    @pytest.mark.parametrize("dimension", [2, 5, 30])
    def test_the_front_of_zdt_is_where_all_but_the_first_are_0(self, function, front, dimension):
        for f1 in (0, 0.25, 1):
            on, off = dict.fromkeys([f"x{i}" for i in range(dimension)], 0.0), dict.fromkeys(["x1"], 0.5)
            at = OBJECTIVE.test(assignment(function, on | {"x0": f1}))
            assert at == pytest.approx({"f1": f1, "f2": 1 - front(f1)})
            assert OBJECTIVE.test(assignment(function, on | off | {"x0": f1}))["f2"] > at["f2"]

    def test_zdt_away_from_its_front(self):
        config = {"x0": 0.25, "x1": 1.0, "x2": 0.0}  # g = 1 + 9 / 2
        assert OBJECTIVE.test(assignment("zdt1", config))["f2"] == pytest.approx(5.5 - math.sqrt(0.25 * 5.5))
        assert OBJECTIVE.test(assignment("zdt2", config))["f2"] == pytest.approx(5.5 - 0.25**2 / 5.5)

    @given(x0=st.floats(-1e6, 1e6), x1=st.floats(-1e6, 1e6))
    def test_beyond_its_domain_zdt_is_as_at_the_edge(self, x0, x1):
        edge = {"x0": min(max(x0, 0), 1), "x1": min(max(x1, 0), 1)}
        for function in ("zdt1", "zdt2"):
            found = OBJECTIVE.test(assignment(function, {"x0": x0, "x1": x1}))
            assert found == OBJECTIVE.test(assignment(function, edge))

    @pytest.mark.parametrize(
        ("point", "f1", "f2"), [((0, 0), 0, 50), ((3, 3), 72, 8), ((4, 3), 100, 5), ((5, 3), 136, 4)]
    )
    def test_the_front_of_binh_and_korn_keeps_its_constraints(self, point, f1, f2):
        found = OBJECTIVE.test(assignment("binh-korn", {"x0": point[0], "x1": point[1]}))
        assert (found["f1"], found["f2"]) == (f1, f2)
        assert found["g1"] <= 25
        assert found["g2"] >= 7.7

    def test_the_constraints_of_binh_and_korn_bind(self):
        assert OBJECTIVE.test(assignment("binh-korn", {"x0": 0, "x1": 1}))["g1"] == 26
        assert OBJECTIVE.test(assignment("binh-korn", {"x0": 8, "x1": -3}))["g2"] == 0

    def test_low_fidelities_mislead_each_output_in_its_own_way(self):
        points = [{"x0": 0.05 * i, "x1": 0.3} for i in range(20)]
        low = [run(assignment("binh-korn", p, fidelity=("epochs", 1, 9)))[1].metrics for p in points]
        exact = [OBJECTIVE.test(assignment("binh-korn", p)) for p in points]
        waves = [[a[name] - b[name] for a, b in zip(low, exact, strict=True)] for name in ("g1", "g2")]
        assert min(waves[0]) > 0
        assert waves[0] != pytest.approx(waves[1])


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
        assert problem.message == 'unknown metric of sphere "accuracy" (known: "loss")'

    def test_the_metrics_are_those_of_the_function(self):
        metrics = [{"name": "f1", "direction": "minimize"}, {"name": "g1", "at_most": 25}, {"name": "f3"}]
        (problem,) = check(study([X0, X1], {"function": "binh-korn"}, metrics))
        assert problem.location == "metrics[2].name"
        assert 'known: "f1", "f2", "g1", "g2"' in problem.message

    @pytest.mark.parametrize("metrics", [None, "loss", [3], [{}], [{"name": 3}]])
    def test_what_is_no_list_of_metrics_is_left_to_its_reader(self, metrics):
        assert check({**study([X0], {"function": "sphere"}), "metrics": metrics}) == []

    def test_every_problem_is_told_and_a_broken_space_is_left_to_its_reader(self):
        broken = study([X0 | {"low": 99}], {"function": "sphere", "failure_rate": 2}, [{"name": "acc"}])
        assert [p.location for p in check(broken)] == ["objective.failure_rate", "metrics[0].name"]

    def test_of_an_unknown_function_nothing_more_is_known(self):
        broken = study([KIND], {"function": "sfere", "failure_rate": 2}, [{"name": "acc"}])
        assert [p.location for p in check(broken)] == ["objective.function", "objective.failure_rate"]

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
