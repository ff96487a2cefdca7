"""Each stopping rule by its numbers: what stops, what goes on at the boundary, and what the answer says."""

import math

import pytest

from search import Added, Ended, History, Outcome, Reported, Run, RunState, StudySpec, reported, should_stop
from search.history import Slot
from search.stopping.asha import AshaStop

nan = math.nan


def study(stop, direction="maximize", fidelity=None):
    space = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]}
    return StudySpec.from_json(
        {
            "space": space | ({"fidelity": {"name": "epochs", "low": 1, "high": fidelity}} if fidelity else {}),
            "algorithm": {"name": "random", "stop": stop},
            "metrics": [{"name": "score", "direction": direction}],
        }
    )


class Played:
    """A history of runs given by their curves, a value per step 1, 2, ..."""

    def __init__(self, spec):
        self.spec, self.history = spec, History()

    def run(self, *values, state=None, steps=None):
        """Adds a run with these reports, ended in this state; open without one. Answers its number."""
        number = len(self.history.runs)
        fidelity = self.spec.space.fidelity.high if self.spec.space.fidelity else None
        self.history.append(Added(Run(number, number, {"x": number / 1000}, Slot(fidelity=fidelity))))
        for step, value in zip(steps or range(1, len(values) + 1), values, strict=True):
            self.history.append(reported(self.spec, number, step, {"score": value}))
        if state:
            last = self.history.curve(number)[-1].losses if state is RunState.SUCCEEDED else ()
            self.history.append(Ended(number, Outcome(state, last)))
        return number

    def verdict(self, *values, **more):
        return should_stop(self.spec, self.history, self.run(*values, **more))

    def stops(self, *values, **more):
        return self.verdict(*values, **more) is not None


def others(values, spec=None, state=RunState.SUCCEEDED):
    played = Played(spec or study({"rule": "median"}))
    for value in values:
        played.run(value, value, value, state=state)
    return played


class TestMedian:
    def test_below_the_median_of_five_averages_stops_and_at_it_goes_on(self):
        played = others([0.9, 0.8, 0.7, 0.6, 0.5])
        assert played.stops(0.5, 0.69, 0.4)
        assert not played.stops(0.5, 0.70, 0.4), "the best so far counts, not the last"

    def test_four_trials_are_too_few(self):
        assert not others([0.9, 0.8, 0.7, 0.6]).stops(0.1)
        spec = study({"rule": "median", "trials": 4})
        assert others([0.9, 0.8, 0.7, 0.6], spec).stops(0.1)

    def test_the_others_count_by_their_running_average(self):
        played = Played(study({"rule": "median", "trials": 1}))
        played.run(0.25, 0.5, 0.75, state=RunState.SUCCEEDED)
        assert not played.stops(0.125, 0.375)
        assert played.stops(0.125, 0.37)
        assert played.stops(0.125, 0.375, 0.4)

    def test_an_even_number_has_its_median_between(self):
        played = others([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
        assert played.stops(0.64)
        assert not played.stops(0.66)

    def test_stopped_trials_count_up_to_their_own_step(self):
        played = others([0.9, 0.8, 0.7, 0.6])
        played.run(0.1, state=RunState.STOPPED)
        assert played.verdict(0.65).detail["of"] == 5
        assert not played.stops(0.1, 0.1), "at step 2 there are four"

    def test_failed_and_open_trials_do_not_count(self):
        played = others([0.9] * 4)
        played.run(0.9, state=RunState.FAILED)
        played.run(0.9)
        assert not played.stops(0.1)

    def test_steps_need_not_agree(self):
        played = Played(study({"rule": "median", "trials": 1}))
        played.run(0.2, 0.6, steps=(5, 10), state=RunState.SUCCEEDED)
        assert not played.stops(0.0, steps=(4,)), "nothing is known of the other at step 4"
        assert played.stops(0.1, steps=(7,))
        assert not played.stops(0.3, steps=(7,))
        assert not played.stops(0.0, steps=(11,)), "the other never came to step 11"

    def test_a_run_without_a_number_stops_once_there_are_trials_to_judge_it_by(self):
        assert not others([0.9] * 4).stops(nan)
        assert others([0.9] * 5).stops(nan, nan)
        assert not others([0.5] * 5).stops(nan, 0.6)

    def test_grace(self):
        played = others([0.9] * 5, study({"rule": "median", "grace": 3}))
        assert not played.stops(0.1, 0.1)
        assert played.stops(0.1, 0.1, 0.1)

    def test_what_the_answer_says(self):
        stop = others([0.9, 0.8, 0.7, 0.6, 0.5]).verdict(0.25)
        assert (stop.rule, stop.outcome) == ("median", Outcome(RunState.STOPPED))
        assert (stop.detail["step"], stop.detail["loss"], stop.detail["threshold"]) == (1, -0.25, -0.7)
        assert stop.detail["counterfactual"] == "goes on with a best loss of at most -0.7"


class TestAshaStop:
    @pytest.mark.parametrize(
        ("losses", "quantile", "rank"),
        [
            ([1.0], 1.0, 1.0),
            ([1.0, 4.0], 2.0, 1.0),
            ([1.0, 2.0, 3.0], 1 + 2 / 3, 1.0),
            ([1.0, 2.0, 3.0, 4.0], 2.0, 1.0),
            ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2 + 2 / 3, 2.0),
            ([1.0, math.inf], math.inf, 1.0),
        ],
    )
    def test_the_thresholds(self, losses, quantile, rank):
        assert AshaStop(cutoff="quantile").threshold(losses) == pytest.approx(quantile)
        assert AshaStop(cutoff="rank").threshold(losses) == rank

    def test_the_first_goes_on_and_a_worse_second_stops(self):
        for cutoff in ("quantile", "rank"):
            played = Played(study({"rule": "asha-stop", "cutoff": cutoff}, "minimize"))
            assert not played.stops(5.0)
            assert played.stops(6.0)
            assert not played.stops(4.0)

    def test_each_rung_is_judged_once(self):
        played = Played(study({"rule": "asha-stop"}, "minimize"))
        played.run(1.0, 1.0, 1.0, 1.0)
        assert played.stops(2.0)
        assert not played.stops(2.0, 2.0), "step 2 is no rung"
        assert played.stops(2.0, 2.0, 2.0)
        assert not played.stops(*[2.0] * 4)

    def test_a_report_beyond_a_rung_is_judged_there(self):
        played = Played(study({"rule": "asha-stop"}, "minimize"))
        played.run(1.0, 3.0, steps=(2, 4))
        assert played.verdict(2.0, steps=(2,)).detail["rung"] == 1
        assert played.verdict(2.0, steps=(3,)).detail["rung"] == 1, "the lowest of those it has come to"

    def test_open_ended_and_failed_runs_count(self):
        played = Played(study({"rule": "asha-stop"}, "minimize"))
        for state in (None, RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED):
            played.run(1.0, state=state)
        assert played.verdict(2.0).detail["of"] == 5

    def test_no_number_stops_unless_it_is_alone(self):
        played = Played(study({"rule": "asha-stop"}, "minimize"))
        assert not played.stops(nan)
        stop = played.verdict(nan)
        assert (stop.detail["loss"], stop.detail["threshold"]) == (None, None)

    def test_rungs_begin_at_the_lowest_fidelity(self):
        spec = study({"rule": "asha-stop", "eta": 2}, "minimize", fidelity=8)
        played = Played(spec)
        played.run(1.0, 1.0, 1.0, 1.0)
        assert [played.stops(*[2.0] * step) for step in range(1, 9)] == [
            True, True, False, True, False, False, False, False,
        ]  # fmt: skip

    def test_fractions_reach_their_rungs(self):
        assert list(AshaStop(grace=0.1).rungs(0.3)) == pytest.approx([0.1, 0.3])


class TestPatience:
    def test_reports_without_improvement_in_a_row(self):
        played = Played(study({"rule": "patience", "reports": 2}, "minimize"))
        assert not played.stops(3.0, 2.0, 2.0)
        assert played.stops(3.0, 2.0, 2.0, 2.5)
        assert not played.stops(3.0, 2.0, 2.0, 1.9)
        assert not played.stops(3.0, 2.0, 2.5, 1.9, 2.0)

    def test_improvements_below_delta_do_not_count(self):
        played = Played(study({"rule": "patience", "reports": 2, "delta": 0.5}, "minimize"))
        assert played.stops(3.0, 2.75, 2.625)
        assert not played.stops(3.0, 2.75, 2.5)

    def test_a_run_that_has_converged_has_a_result(self):
        stop = Played(study({"rule": "patience", "reports": 1})).verdict(0.8, 0.75)
        assert stop.outcome == Outcome(RunState.SUCCEEDED, (-0.75,))

    def test_one_that_has_diverged_has_none(self):
        stop = Played(study({"rule": "patience", "reports": 2})).verdict(0.8, nan, nan)
        assert stop.outcome == Outcome(RunState.STOPPED)
        assert stop.detail["loss"] is None
        assert Played(study({"rule": "patience", "reports": 2})).stops(nan, nan)


class TestThreshold:
    @pytest.mark.parametrize(("direction", "good", "bad"), [("maximize", 0.5, 0.49), ("minimize", 0.5, 0.51)])
    def test_in_the_metrics_own_direction(self, direction, good, bad):
        played = Played(study({"rule": "threshold", "value": 0.5}, direction))
        assert not played.stops(good)
        assert played.stops(bad)
        assert not played.stops(good, bad)

    def test_by_a_step(self):
        played = Played(study({"rule": "threshold", "value": 0.5, "grace": 3}))
        assert not played.stops(0.1, 0.1)
        assert played.stops(0.1, 0.1, 0.1)

    def test_no_number_is_not_good_enough(self):
        assert Played(study({"rule": "threshold", "value": 0.0})).stops(nan)


class TestCurve:
    SPEC = study({"rule": "curve", "every": 10}, fidelity=100)

    def curve(self, limit, steps):
        return [limit - 0.5 * step**-0.5 for step in range(1, steps + 1)]

    def played(self, best):
        played = Played(self.SPEC)
        played.run(best, state=RunState.SUCCEEDED)
        return played

    def test_a_curve_that_will_end_below_the_best_result_stops(self):
        stop = self.played(0.85).verdict(*self.curve(0.8, 20))
        assert stop.detail["probability"] < 0.05
        assert stop.detail["loss"] == pytest.approx(-0.75, abs=0.05)
        assert stop.detail["threshold"] == -0.85

    def test_one_that_may_end_above_goes_on(self):
        assert not self.played(0.74).stops(*self.curve(0.8, 20))

    def test_nothing_to_beat_and_nothing_to_judge_by(self):
        assert not Played(self.SPEC).stops(*self.curve(0.1, 20))
        played = Played(study({"rule": "curve", "every": 1}, fidelity=100))
        played.run(0.99, state=RunState.SUCCEEDED)
        assert not played.stops(0.1, 0.2)

    def test_judged_at_every_tenth_report_only(self):
        played = self.played(0.95)
        assert not played.stops(*self.curve(0.8, 19))
        assert played.stops(*self.curve(0.8, 20))

    def test_a_run_that_has_been_better_goes_on(self):
        assert not self.played(0.5).stops(0.6, *[0.1] * 19)

    def test_a_flat_curve_far_below_stops(self):
        noise = [0.1 + 0.001 * (-1) ** step for step in range(20)]
        assert self.played(0.9).stops(*noise)


def test_a_run_at_its_fidelity_ends_by_itself():
    played = others([0.9] * 5, study({"rule": "median"}, fidelity=4))
    assert played.stops(0.1, 0.1, 0.1)
    played = others([0.9] * 5, study({"rule": "median"}, fidelity=3))
    assert not played.stops(0.1, 0.1, 0.1)


def test_without_a_rule_or_without_a_report_nothing_stops():
    spec = study(None)
    assert not Played(spec).stops(0.1)
    assert not others([0.9] * 5).stops()


def test_a_supernet_is_neither_judged_nor_compared_with():
    spec = study({"rule": "median", "trials": 1})
    history = History([Added(Run(0, 0, {"x": 0.5}, kind="supernet")), Reported(0, 1, (-0.1,))])
    assert should_stop(spec, history, 0) is None
    history.append(Ended(0, Outcome(RunState.SUCCEEDED, (-0.1,))))
    history.append(Added(Run(1, 1, {"x": 0.25})))
    history.append(Reported(1, 1, (0.0,)))
    assert should_stop(spec, history, 1) is None
