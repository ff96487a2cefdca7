"""When an attempt must end although it does not end by itself."""

import pytest

from workers.pools.vigil import Pulse, Vigil
from workers.protocol import Assignment, Cost, FailureClass, Limits, Resources


def vigil(*, heard=True, lease=30.0, gpus=0.0, **limits):
    assignment = Assignment("key", {}, {}, 0, resources=Resources(1, gpus), limits=Limits(**limits))
    return Vigil(assignment, lease, heard)


def test_without_limits_and_with_signs_of_life_it_may_go_on_for_ever():
    watch = vigil()
    watch.begin(0.0)
    for second in range(0, 10_000, 2):
        watch.listen(2.0)
        watch.hear(Pulse("key", 10**12, second))
    assert watch.verdict(10_000.0) is None


def test_time_counts_from_the_start():
    watch = vigil(seconds=5)
    assert watch.remaining(100.0) == float("inf")
    assert watch.verdict(100.0) is None
    watch.begin(100.0)
    assert watch.remaining(102.0) == 3.0
    assert watch.verdict(104.9) is None
    assert watch.verdict(105.0).failure is FailureClass.TIMEOUT


def test_memory_at_the_limit_is_within_it():
    watch = vigil(memory_bytes=2_000_000_000)
    watch.begin(0.0)
    watch.hear(Pulse("key", 2_000_000_000, 1.0))
    assert watch.verdict(1.0) is None
    watch.hear(Pulse("key", 2_345_000_000, 1.0))
    end = watch.verdict(1.0)
    assert end.failure is FailureClass.OOM
    assert end.message == "the run's processes held 2,345 MB; its limit is 2,000 MB"


def test_silence_for_as_long_as_the_lease_is_a_loss():
    watch = vigil(lease=10.0)
    watch.begin(0.0)
    for _ in range(4):
        watch.listen(2.0)
    assert watch.verdict(8.0) is None
    watch.hear()
    for _ in range(4):
        watch.listen(2.0)
    assert watch.verdict(16.0) is None
    watch.listen(2.0)
    assert watch.verdict(18.0).failure is FailureClass.LOST


def test_only_time_in_which_somebody_listened_is_silence():
    watch = vigil(lease=10.0)
    watch.begin(0.0)
    watch.listen(4.0)
    assert watch.verdict(3600.0) is None


def test_a_worker_that_is_still_being_started_is_not_silent():
    watch = vigil(heard=False, lease=10.0)
    watch.listen(1000.0)
    assert watch.verdict(1000.0) is None
    watch.hear()
    watch.listen(10.0)
    assert watch.verdict(1010.0).failure is FailureClass.LOST


def test_a_sign_of_life_from_before_the_attempt_is_one_but_says_nothing_about_it():
    watch = vigil(memory_bytes=100, lease=10.0)
    watch.begin(0.0)
    watch.listen(9.0)
    watch.hear(Pulse("another", 1_000, 77.0))
    watch.listen(9.0)
    assert watch.verdict(18.0) is None
    assert watch.cost(18.0) is None


@pytest.mark.parametrize(("gpus", "gpu_seconds"), [(0.0, 0.0), (0.5, 30.0), (2.0, 120.0)])
def test_an_attempt_that_was_ended_costs_what_was_last_told(gpus, gpu_seconds):
    watch = vigil(gpus=gpus, seconds=60)
    watch.begin(10.0)
    watch.hear(Pulse("key", 1, 41.5))
    assert watch.verdict(70.0).cost == Cost(41.5, gpu_seconds)
