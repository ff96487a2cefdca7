"""What every pool promises, whatever it runs on: the same suite for the threads of the process and for Ray."""

import json
import os
import signal
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil
import pytest

from workers.protocol import (
    Assignment,
    Ended,
    Failed,
    FailureClass,
    Finished,
    Limits,
    Preempted,
    Reported,
    Resources,
    Started,
)

PROBES = Path(__file__).parents[1] / "workers" / "pools"
WORKERS = 2
KEYS = count()
ONE = Resources()
LEASE_SECONDS = 10.0  # shorter than a service's, longer than a busy machine delays an answer


@pytest.fixture(scope="module")
def probes_path():
    """The probes are importable here and in every process that is started from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROBES))
        patch.setenv("PYTHONPATH", str(PROBES))
        yield


@pytest.fixture(scope="module")
def shared_ray_pool(probes_path):
    from workers.pools.ray_pool import RayPool

    pool = RayPool(workers=WORKERS, objectives="pool_probes:OBJECTIVES", lease_seconds=LEASE_SECONDS)
    yield pool
    pool.shutdown()


@pytest.fixture
def local_pool(probes_path):
    from workers.pools.local import LocalPool
    from workers.pools.tables import load

    pool = LocalPool(WORKERS, load("pool_probes:OBJECTIVES"))
    yield pool
    pool.shutdown()


@pytest.fixture
def ray_pool(shared_ray_pool):
    """The module's Ray, found and left without open attempts."""
    assert shared_ray_pool.capacity(ONE) == WORKERS
    keys = []
    submit = shared_ray_pool.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_ray_pool, "submit", lambda assignment: (keys.append(assignment.key), submit(assignment)))
        yield shared_ray_pool
    for key in keys:
        shared_ray_pool.kill(key)


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def pool(request):
    return request.getfixturevalue(f"{request.param}_pool")


def assignment(kind, *, task="train", resources=ONE, limits=Limits(), **options):
    key, objective = f"run-{next(KEYS)}", {"type": kind, **options}
    return Assignment(key, objective, config={}, seed=0, task=task, resources=resources, limits=limits)


def submit(pool, kind, **options):
    work = assignment(kind, **options)
    pool.submit(work)
    return work.key


def poll_until(pool, condition, *, seconds=60.0):
    """All events up to the poll after which the condition holds for them."""
    events = []
    deadline = time.monotonic() + seconds
    while not condition(events):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain; so far {events}"
        events += pool.poll(1.0)
    return events


def until_ended(pool, *keys):
    return poll_until(pool, lambda events: {e.key for e in events if isinstance(e, Ended)} >= set(keys))


def result_of(pool, key):
    """The metrics of a run that must end well."""
    *_, end = until_ended(pool, key)
    assert isinstance(end, Finished), end
    return end.result.metrics


def gone(process, *, seconds=30.0):
    """Whether the process ends in time; one that nobody has yet collected has ended."""
    deadline = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return True


def until_reported(pool, *keys):
    return poll_until(pool, lambda events: {e.key for e in events if isinstance(e, Reported)} >= set(keys))


def test_a_run_starts_reports_and_finishes(pool):
    key = submit(pool, "count", steps=3)
    started, *reports, finished = until_ended(pool, key)
    assert started == Started(key, started.worker, started.provenance)
    assert [(e.key, e.report.step, e.report.metrics) for e in reports] == [(key, n, {"value": n}) for n in (1, 2, 3)]
    assert finished.key == key
    assert finished.result.metrics["value"] == 3
    assert finished.result.checkpointed
    assert not finished.stopped


def test_reports_tell_the_seconds_since_the_start(pool):
    key = submit(pool, "count", steps=3, seconds=0.01)
    seconds = [e.report.seconds for e in until_ended(pool, key) if isinstance(e, Reported)]
    assert seconds == sorted(seconds)
    assert 0.01 <= seconds[0] < seconds[2]


def test_metrics_arrive_as_plain_floats(pool):
    key = submit(pool, "numpy")
    _, reported, finished = until_ended(pool, key)
    assert reported.report.metrics == {"value": 0.5, "flag": 1.0, "array": 2.0}
    assert {type(value) for value in (*reported.report.metrics.values(), finished.result.metrics["value"])} == {float}


def test_a_test_task_gives_metrics_and_no_reports(pool):
    key = submit(pool, "count", task="test")
    started, finished = until_ended(pool, key)
    assert isinstance(started, Started)
    assert finished.result.metrics == {"accuracy": 0.5}


def test_many_runs_over_few_workers_each_end_once(pool):
    keys = [f"many-{next(KEYS)}" for _ in range(12)]
    waiting, events, most = list(keys), [], 0
    while len([e for e in events if isinstance(e, Finished)]) < len(keys):
        while waiting and pool.capacity(ONE):
            pool.submit(Assignment(waiting.pop(), {"type": "count", "steps": 2}, config={}, seed=0))
        most = max(most, WORKERS - pool.capacity(ONE))
        events += pool.poll(5.0)
    assert most == WORKERS
    for key in keys:
        own = [e for e in events if e.key == key]
        assert [type(e) for e in own] == [Started, Reported, Reported, Finished]
    assert pool.poll(0.1) == []


def test_two_runs_interleave_and_each_stays_in_order(pool):
    keys = [submit(pool, "count", steps=20, seconds=0.01) for _ in range(2)]
    events = until_ended(pool, *keys)
    for key in keys:
        assert [e.report.step for e in events if isinstance(e, Reported) and e.key == key] == list(range(1, 21))
    first_end = next(i for i, e in enumerate(events) if isinstance(e, Finished))
    assert {e.key for e in events[:first_end] if isinstance(e, Reported)} == set(keys)


def test_the_capacity_counts_the_open_runs(pool):
    assert pool.capacity(ONE) == WORKERS
    first = submit(pool, "count", steps=1_000, seconds=0.05)
    assert pool.capacity(ONE) == WORKERS - 1
    second = submit(pool, "count", steps=1)
    assert pool.capacity(ONE) == 0
    until_ended(pool, second)
    assert pool.capacity(ONE) == WORKERS - 1
    pool.stop(first)
    until_ended(pool, first)
    assert pool.capacity(ONE) == WORKERS


@pytest.mark.parametrize(
    ("kind", "failure", "message"),
    [
        ("value_error", FailureClass.ERROR, "ValueError: the learning rate is too rich"),
        ("failure", FailureClass.INFEASIBLE, "no such shape"),
        ("memory", FailureClass.OOM, "MemoryError"),
        ("gpu_memory", FailureClass.OOM, "OutOfMemoryError: CUDA out of memory"),
        ("torch_cpu_memory", FailureClass.OOM, "RuntimeError: DefaultCPUAllocator: can't allocate memory"),
        ("floating_point", FailureClass.DIVERGED, "FloatingPointError: loss is nan"),
        ("nan", FailureClass.DIVERGED, "val_loss is nan at step 2"),
        ("bad_result", FailureClass.DIVERGED, "value is inf in the result"),
        ("text", FailureClass.ERROR, "TypeError: metric 'val_loss' is 'high' at step 2, not a number"),
        ("no_result", FailureClass.ERROR, "TypeError: an objective yields reports and returns a result, not None"),
        ("leaves", FailureClass.ERROR, "SystemExit: 3"),
    ],
)
def test_whatever_goes_wrong_has_a_class_and_a_message(pool, kind, failure, message):
    key = submit(pool, kind)
    *_, reported, failed = until_ended(pool, key)
    assert (reported.report.step, reported.report.metrics) == (1, {"value": 1.0})
    assert (failed.key, failed.failure, failed.message) == (key, failure, message)
    assert result_of(pool, submit(pool, "count"))["value"] == 3, "the worker goes on"


def test_an_error_carries_its_traceback(pool):
    key = submit(pool, "value_error")
    failed = until_ended(pool, key)[-1]
    assert "pool_probes.py" in failed.traceback
    assert failed.traceback.endswith("ValueError: the learning rate is too rich\n")


def test_an_objective_that_the_worker_lacks_is_an_error(pool):
    key = submit(pool, "alchemy")
    failed = until_ended(pool, key)[-1]
    assert failed.failure is FailureClass.ERROR
    assert "alchemy" in failed.message
    assert "count" in failed.message


def test_a_stopped_run_ends_early_and_well(pool):
    key = submit(pool, "count", steps=10_000, seconds=0.01)
    before = until_reported(pool, key)
    pool.stop(key)
    *_, finished = before + until_ended(pool, key)
    assert finished.stopped
    assert finished.result.checkpointed
    assert 1 <= finished.result.metrics["value"] < 10_000


def test_a_stop_that_comes_first_is_not_forgotten(pool):
    key = submit(pool, "count", steps=10_000, seconds=0.01)
    pool.stop(key)
    assert until_ended(pool, key)[-1].stopped


def test_a_stop_is_for_one_run_alone(pool):
    stopped, other = (submit(pool, "count", steps=30, seconds=0.02) for _ in range(2))
    pool.stop(stopped)
    ends = {e.key: e for e in until_ended(pool, stopped, other) if isinstance(e, Finished)}
    assert ends[stopped].stopped
    assert not ends[other].stopped
    assert ends[other].result.metrics["value"] == 30


def test_nothing_is_heard_of_a_killed_run(pool):
    key = submit(pool, "deaf")
    until_reported(pool, key)
    pool.kill(key)
    assert pool.capacity(ONE) == WORKERS
    others = [submit(pool, "count"), submit(pool, "count")]
    events = until_ended(pool, *others)
    assert {e.key for e in events} == set(others)


def test_events_that_were_not_polled_die_with_a_kill(pool):
    key = submit(pool, "count", steps=2)
    time.sleep(0.3)
    pool.kill(key)
    assert pool.poll(0.2) == []


def test_unknown_and_ended_keys_are_ignored(pool):
    key = submit(pool, "count")
    until_ended(pool, key)
    for other in (key, "nobody"):
        pool.stop(other)
        pool.preempt(other)
        pool.kill(other)
    assert pool.capacity(ONE) == WORKERS
    assert pool.poll(0.0) == []


def test_a_run_whose_time_is_up_ends_as_timeout(pool):
    key = submit(pool, "deaf", limits=Limits(seconds=0.5))
    started, reported, failed = until_ended(pool, key)
    assert (type(started), type(reported)) == (Started, Reported)
    assert (failed.failure, failed.message) == (FailureClass.TIMEOUT, "the run took longer than its limit of 0.5 s")
    assert pool.capacity(ONE) == WORKERS
    others = [submit(pool, "count"), submit(pool, "count")]
    events = until_ended(pool, *others)
    assert {e.key for e in events} == set(others)
    assert len([e for e in events if isinstance(e, Finished)]) == 2


def test_the_time_limit_is_each_runs_own(pool):
    limited = submit(pool, "count", steps=10_000, seconds=0.05, limits=Limits(seconds=0.5))
    free = submit(pool, "count", steps=30, seconds=0.05, limits=Limits(seconds=600))
    ends = {e.key: e for e in until_ended(pool, limited, free) if isinstance(e, Finished | Failed)}
    assert ends[limited].failure is FailureClass.TIMEOUT
    assert ends[free].result.metrics["value"] == 30


def test_the_start_tells_where_and_with_what(pool):
    started = until_ended(pool, submit(pool, "count", resources=Resources(cpus=2)))[0]
    told = json.loads(json.dumps(started.provenance))
    assert told["packages"]["numpy"]
    assert told["host"]["name"] == started.worker.rpartition("/")[0]
    assert told["resources"]["cpus"] == 2
    assert told["resources"]["gpus"] == 0


@pytest.mark.parametrize("fails", [False, True])
def test_the_end_tells_what_the_run_took(pool, fails):
    end = until_ended(pool, submit(pool, "burns", seconds=0.3, fails=fails))[-1]
    assert isinstance(end, Failed if fails else Finished)
    assert 0.3 <= end.cost.cpu_seconds < 3
    assert end.cost.gpu_seconds == 0


def test_what_one_run_took_is_not_charged_to_the_next(pool):
    until_ended(pool, submit(pool, "burns", seconds=1.0))
    end = until_ended(pool, submit(pool, "burns", seconds=0.1))[-1]
    assert end.cost.cpu_seconds < 1.0


def test_poll_waits_for_the_first_event_and_not_longer_than_told(pool):
    before = time.monotonic()
    assert pool.poll(0.2) == []
    assert time.monotonic() - before >= 0.2


def test_shutdown_leaves_nothing_and_may_be_repeated(local_pool):
    key = submit(local_pool, "count", steps=1_000, seconds=0.01)
    until_reported(local_pool, key)
    local_pool.shutdown()
    local_pool.shutdown()
    assert local_pool.capacity(ONE) == 0
    assert local_pool.poll(0.0) == []
    assert f"attempt {key}" not in {thread.name for thread in threading.enumerate()}


def test_a_preempted_run_leaves_a_checkpoint_and_its_last_step(pool):
    key = submit(pool, "count", steps=10_000, seconds=0.01)
    before = until_reported(pool, key)
    pool.preempt(key)
    *_, last, end = before + until_ended(pool, key)
    assert isinstance(end, Preempted)
    assert end.step == last.report.step == end.result.metrics["value"] < 10_000
    assert end.result.checkpointed
    assert end.cost.cpu_seconds >= 0
    assert pool.capacity(ONE) == WORKERS
    assert isinstance(until_ended(pool, submit(pool, "count"))[-1], Finished), "the worker goes on"


def test_a_run_that_saves_nothing_is_preempted_without_a_step(pool):
    key = submit(pool, "forgetful")
    before = until_reported(pool, key)
    pool.preempt(key)
    assert [type(e) for e in before + until_ended(pool, key)][-1] is Preempted
    key = submit(pool, "forgetful")
    pool.preempt(key)
    assert until_ended(pool, key)[-1].step is None


def test_who_is_preempted_in_its_last_step_has_finished(pool):
    fidelity = ("steps", 3, 9)
    key = f"last-{next(KEYS)}"
    pool.submit(Assignment(key, {"type": "count", "steps": 3, "seconds": 0.3}, {}, seed=0, fidelity=fidelity))
    poll_until(pool, lambda events: sum(isinstance(e, Reported) for e in events) == 2)
    pool.preempt(key)
    (*_, last, end) = until_ended(pool, key)
    assert isinstance(end, Finished)
    assert not end.stopped
    assert last.report.step == 3


@pytest.mark.parametrize("first", ["stop", "preempt"])
def test_a_stop_stands_whoever_preempts(pool, first):
    key = submit(pool, "count", steps=100, seconds=0.5)
    for ask in ("stop", "preempt") if first == "stop" else ("preempt", "stop"):
        getattr(pool, ask)(key)
    end = until_ended(pool, key)[-1]
    assert isinstance(end, Finished)
    assert end.stopped


def test_the_workers_of_a_machine_load_a_dataset_once_between_them(pool):
    keys = [submit(pool, "reads", dataset="big", seconds=1.0) for _ in range(2)]
    told = [e.report.metrics for e in until_ended(pool, *keys) if isinstance(e, Reported)]
    assert len({one["loaded_by"] for one in told}) == 1
    assert [one["writeable"] for one in told] == [0.0, 0.0]
    assert told[0]["loaded_by"] == result_of(pool, submit(pool, "reads", dataset="big"))["loaded_by"]


def test_a_dataset_that_cannot_be_loaded_fails_the_run_as_its_loader_says(pool):
    failed = until_ended(pool, submit(pool, "reads", dataset="unreadable"))[-1]
    assert (failed.failure, failed.message) == (FailureClass.ERROR, "the package is not here")


@pytest.mark.slow
def test_a_ray_worker_is_warm_for_the_next_run(ray_pool):
    pids = {result_of(ray_pool, submit(ray_pool, "count"))["pid"] for _ in range(4)}
    assert len(pids) == 1
    assert os.getpid() not in pids


@pytest.mark.slow
def test_a_ray_worker_warms_its_objectives_up_by_itself(ray_pool):
    from workers.pools.tables import load

    deadline = time.monotonic() + 30
    while result_of(ray_pool, submit(ray_pool, "count"))["warmed"] < len(load("pool_probes:OBJECTIVES")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_started_names_the_process(ray_pool):
    started, *_, finished = until_ended(ray_pool, submit(ray_pool, "count"))
    assert int(started.worker.rpartition("/")[2]) == finished.result.metrics["pid"]


@pytest.mark.slow
@pytest.mark.parametrize("cause", ["signal", "exit"])
def test_a_vanished_worker_loses_its_run_and_is_replaced(ray_pool, cause):
    key = submit(ray_pool, "deaf" if cause == "signal" else "dies")
    events = until_reported(ray_pool, key)
    if cause == "signal":
        os.kill(int(events[0].worker.rpartition("/")[2]), signal.SIGKILL)
    events += until_ended(ray_pool, key)
    assert [type(e) for e in events] == [Started, Reported, Failed]
    assert events[-1].failure is FailureClass.LOST
    assert ray_pool.capacity(ONE) == WORKERS
    others = [submit(ray_pool, "count"), submit(ray_pool, "count")]
    ends = [e for e in until_ended(ray_pool, *others) if isinstance(e, Finished)]
    assert len(ends) == 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["during a run", "before the run"])
def test_a_worker_that_hangs_loses_its_run_and_is_replaced(ray_pool, moment):
    if moment == "during a run":
        key = submit(ray_pool, "hoards", bytes=1)
        started, reported = until_reported(ray_pool, key)
        hung = psutil.Process(int(started.worker.rpartition("/")[2]))
        child = psutil.Process(int(reported.report.metrics["child"]))
        hung.suspend()
    else:
        hung = child = psutil.Process(int(result_of(ray_pool, submit(ray_pool, "count"))["pid"]))
        hung.suspend()
        key = submit(ray_pool, "count")
    failed = until_ended(ray_pool, key)[-1]
    assert (failed.failure, failed.message) == (FailureClass.LOST, "the worker gave no sign of life for 10 s")
    assert ray_pool.capacity(ONE) == WORKERS
    others = [submit(ray_pool, "count"), submit(ray_pool, "count")]
    assert len([e for e in until_ended(ray_pool, *others) if isinstance(e, Finished)]) == 2
    assert gone(hung)
    assert gone(child), "what the worker started ends with it"


@pytest.mark.slow
def test_a_run_that_holds_more_memory_than_it_may_ends_as_oom(ray_pool):
    limits = Limits(memory_bytes=600_000_000)
    within = submit(ray_pool, "count", steps=60, seconds=0.1, limits=limits)  # long enough for signs of life
    beyond = submit(ray_pool, "hoards", bytes=650_000_000, limits=limits)
    events = until_ended(ray_pool, within, beyond)
    (failed,) = [e for e in events if isinstance(e, Failed)]
    assert (failed.key, failed.failure) == (beyond, FailureClass.OOM)
    assert failed.message.endswith(" MB; its limit is 600 MB")
    assert failed.cost.cpu_seconds > 0
    assert ray_pool.capacity(ONE) == WORKERS
    (child,) = [int(e.report.metrics["child"]) for e in events if isinstance(e, Reported) and e.key == beyond]
    assert not psutil.pid_exists(child) or gone(psutil.Process(child))


@pytest.mark.slow
def test_the_cpu_time_of_child_processes_is_the_runs(ray_pool):
    end = until_ended(ray_pool, submit(ray_pool, "burns", seconds=0.5, child=True))[-1]
    assert end.cost.cpu_seconds >= 0.5


@pytest.mark.slow
def test_another_shape_takes_the_place_of_idle_workers(ray_pool):
    wide = Resources(cpus=2)
    assert ray_pool.capacity(wide) == 1
    key = submit(ray_pool, "count", resources=wide)
    assert ray_pool.capacity(ONE) == ray_pool.capacity(wide) == 0
    assert result_of(ray_pool, key)["threads"] == 2
    others = [submit(ray_pool, "count") for _ in range(2)]
    ends = [e for e in until_ended(ray_pool, *others) if isinstance(e, Finished | Failed)]
    assert [isinstance(end, Finished) and end.result.metrics["threads"] for end in ends] == [1, 1], ends


@pytest.mark.slow
def test_a_shape_that_no_node_has_finds_no_room(ray_pool):
    assert ray_pool.capacity(Resources(cpus=3)) == 0
    assert ray_pool.capacity(Resources(cpus=1, gpus=1)) == 0
    assert ray_pool.capacity(Resources(cpus=0.5)) == WORKERS
