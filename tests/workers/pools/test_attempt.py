"""What an attempt tells of itself beside its metrics."""

from itertools import count

import pytest

from workers.pools.attempt import attempt
from workers.protocol import Assignment, Failed, Finished, Preempted, Report, Resources, Result


class Steps:
    def check(self, objective, study):
        return []

    def test(self, assignment):
        raise ValueError("no test split")

    def train(self, assignment):
        yield Report(1, {"loss": 1.0})
        return Result({"loss": 1.0})


@pytest.mark.parametrize(("task", "end"), [("train", Finished), ("test", Failed)])
def test_the_cost_is_the_difference_of_the_clocks(task, end):
    shape = Resources(cpus=1, gpus=0.5)
    assignment = Assignment("key", {"type": "steps"}, {}, 0, task=task, resources=shape)
    started, *_, ended = attempt(assignment, {"steps": Steps()}, lambda: False, count(7, 3).__next__)
    assert isinstance(ended, end)
    assert ended.cost.cpu_seconds == 3
    assert ended.cost.gpu_seconds > 0
    assert started.provenance["resources"]["gpus"] == 0.5


def test_a_run_without_a_gpu_takes_no_gpu_time():
    assignment = Assignment("key", {"type": "steps"}, {}, 0)
    assert list(attempt(assignment, {"steps": Steps()}, lambda: False, lambda: 0.0))[-1].cost.gpu_seconds == 0


@pytest.mark.parametrize(("complete", "end"), [(True, Finished), (False, Preempted)])
def test_who_is_preempted_at_its_end_has_finished_with_or_without_a_fidelity(complete, end):
    class Ending(Steps):
        def train(self, assignment):
            yield Report(1, {"loss": 1.0})
            return Result({"loss": 1.0}, complete=complete)

    assignment = Assignment("key", {"type": "ending"}, {}, 0)
    assert isinstance(list(attempt(assignment, {"ending": Ending()}, lambda: "preempt", lambda: 0.0))[-1], end)
