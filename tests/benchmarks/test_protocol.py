"""The arithmetic of regret over spending, on a task and methods that are written out here."""

import math

import pytest

from benchmarks.protocol import Curve, Step, Suggestion, play
from benchmarks.tasks.task import Task


class Line(Task):
    """The truth is x; what is seen at a fidelity below 10 is the reverse."""

    def __init__(self):
        self.name, self.best, self.median = "line", 0.0, 1.0
        x = {"name": "x", "type": "float", "low": 0, "high": 2}
        self.space = {"parameters": [x], "fidelity": {"low": 1, "high": 10}}

    def observe(self, config, fidelity, seed):
        if fidelity is None or fidelity == 10:
            return config.get("seen", config["x"])
        return -config["x"]

    def true(self, config):
        return config["x"]


class Script:
    """Asks for (config, fidelity, resumed) in order, then has no more."""

    def __init__(self, *script):
        self.script = list(script)
        self.told = []
        self.closed = False

    def __call__(self, task, seed, budget):
        return self

    def ask(self):
        if not self.script:
            return None
        config, fidelity, resumed = self.script.pop(0)
        return Suggestion(config, fidelity, resumed, None)

    def tell(self, suggestion, loss):
        self.told.append(loss)

    def close(self):
        self.closed = True


def test_the_best_observed_config_is_scored_by_its_truth():
    script = Script(({"x": 0.5}, None, 0), ({"x": 0.8, "seen": 0.1}, None, 0), ({"x": 0.3}, None, 0))
    curve = play(Line(), script, 0, 60)
    assert curve.steps == (Step(1, 0.5), Step(2, 0.8))
    assert (curve.evaluations, curve.spent) == (3, 3)
    assert script.told == [0.5, 0.1, 0.3]
    assert script.closed


def test_a_higher_fidelity_takes_over_even_when_it_is_worse():
    script = Script(({"x": 0.2}, 5, 0), ({"x": 0.4}, 5, 0), ({"x": 0.9}, 10, 0), ({"x": 0.1}, 5, 0))
    curve = play(Line(), script, 0, 60)
    assert curve.steps == (Step(0.5, 0.2), Step(1.0, 0.4), Step(2.0, 0.9))


def test_a_continued_run_pays_the_difference_or_all():
    runs = ({"x": 0.2}, 5, 0), ({"x": 0.2}, 10, 5)
    assert play(Line(), Script(*runs), 0, 60).spent == pytest.approx(1.0)
    assert play(Line(), Script(*runs), 0, 60, resume=False).spent == pytest.approx(1.5)


def test_nothing_is_evaluated_beyond_the_budget():
    script = Script(*[({"x": 1 / n}, 3, 0) for n in range(1, 9)])
    curve = play(Line(), script, 0, 1.5)
    assert (curve.evaluations, curve.spent) == (5, pytest.approx(1.5))
    assert script.closed


def test_a_loss_that_is_not_finite_is_no_incumbent():
    script = Script(({"x": 0.1, "seen": math.nan}, None, 0), ({"x": 0.1, "seen": math.inf}, None, 0))
    assert play(Line(), script, 0, 60).at(60) == 1.0


def test_reading_a_curve():
    curve = Curve((Step(2, 0.5), Step(6, 0.08), Step(7, 0.3)), 7, 7, 0)
    assert [curve.at(budget) for budget in (1, 2, 5.99, 6 - 1e-12, 6, 60)] == [1.0, 0.5, 0.5, 0.08, 0.08, 0.3]
    assert curve.time_to(0.1) == 6
    assert curve.time_to(0.05) == math.inf
    assert Curve.from_json(curve.to_json()) == curve
