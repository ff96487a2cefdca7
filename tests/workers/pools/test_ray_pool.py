"""What only Ray can do: die in pieces, outlive nobody, be somebody else's."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest
import ray

from workers.pools.ray_pool import RayPool
from workers.protocol import Assignment, Ended, Failed, FailureClass, Finished, Preempted, Reported, Resources

pytestmark = pytest.mark.slow

# Ray declares a silent node dead after 15 s
HASTE = {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "500"}

FUNCTION = {"type": "function", "function": "noop"}

OWNER = """
import sys, time
import psutil
from workers.pools.ray_pool import RayPool
from workers.protocol import Assignment, Reported
import ray

if __name__ == "__main__":
    pool = RayPool(workers=1)
    long = {"type": "function", "function": "noop", "seconds_per_step": 0.05}
    pool.submit(Assignment("long", long, {}, 0, fidelity=("steps", 100_000, 100_000)))
    while not any(isinstance(event, Reported) for event in pool.poll(1.0)):
        pass
    print(ray.get_runtime_context().gcs_address)
    print(*(process.pid for process in psutil.Process().children(recursive=True)), flush=True)
    sys.stdin.read()
    pool.shutdown()
    pool.shutdown()
"""


@pytest.fixture
def owner(tmp_path):
    """A process with a Ray of its own and a run under way: (process, address of the Ray, Ray's processes)."""
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    family = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    yield process, address, family
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def names(processes):
    return sorted(process.name() for process in processes)


def carry_out(pool, key, resources=Resources()):
    pool.submit(Assignment(key, FUNCTION, {}, 0, resources=resources))
    events = []
    while not any(event.key == key and isinstance(event, Finished | Failed) for event in events):
        events += pool.poll(1.0)
    return [event for event in events if event.key == key]


def test_shutdown_ends_every_process_of_a_ray_of_its_own(owner):
    process, _, family = owner
    assert "raylet" in names(family)
    process.communicate("", timeout=60)
    assert process.returncode == 0
    _, alive = psutil.wait_procs(family, timeout=30)
    assert names(alive) == []


TERMINATED = """
import signal, threading, time
from workers.pools.ray_pool import RayPool

if __name__ == "__main__":
    asked, over = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())

    def work():
        pool = RayPool(workers=1)
        print("ready", flush=True)
        over.wait()
        pool.shutdown()

    thread = threading.Thread(target=work)
    thread.start()
    asked.wait()
    over.set()
    thread.join()
    print("shut down in order")
"""


def test_sigterm_stays_the_owners_in_whichever_thread_the_pool_is_made(tmp_path):
    script = tmp_path / "terminated.py"
    script.write_text(TERMINATED)
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, script], stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "shut down in order\n")
    assert "SIGTERM" not in err


def test_a_killed_owner_takes_its_ray_along(owner):
    process, _, family = owner
    named = [(one, one.name()) for one in family]
    process.kill()
    # Ray's two agents try for a minute to tell their head what happened; they hold nothing that anybody needs
    others = [one for one, name in named if not name.startswith(("ray::DashboardA", "ray::RuntimeEnv"))]
    assert len(others) >= len(named) - 2
    _, alive = psutil.wait_procs(others, timeout=60)
    assert names(alive) == []


def test_the_next_start_does_not_wait_for_what_a_killed_owner_left(owner):
    process, _, _ = owner
    process.kill()
    process.wait()
    pool = RayPool(workers=1)
    try:
        assert isinstance(carry_out(pool, "next")[-1], Finished)
    finally:
        pool.shutdown()


def test_a_pool_joins_a_cluster_and_leaves_it_running(owner):
    process, address, family = owner
    before = names(process for process in family if process.is_running())
    pool = RayPool(address=address)
    try:
        assert pool.capacity(Resources()) == 1
        assert pool.capacity(Resources(cpus=2)) == 0
        nothing = Resources(cpus=0)  # the owner's worker holds the only CPU
        assert isinstance(carry_out(pool, "guest", nothing)[-1], Finished)
    finally:
        pool.shutdown()
    assert names(process for process in family if process.is_running()) == before
    assert process.poll() is None


@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_runs_of_a_lost_cluster_are_lost_and_the_pool_goes_on(part, monkeypatch):
    for name, value in HASTE.items():
        monkeypatch.setenv(name, value)
    pool = RayPool(workers=1)
    try:
        long = FUNCTION | {"seconds_per_step": 0.05}
        pool.submit(Assignment("open", long, {}, 0, fidelity=("steps", 100_000, 100_000)))
        events = []
        while not any(isinstance(event, Reported) for event in events):
            events += pool.poll(1.0)
        (victim,) = [child for child in psutil.Process().children() if child.name() == part]
        victim.kill()
        while not any(isinstance(event, Failed) for event in events):
            events += pool.poll(1.0)
        assert [event.failure for event in events if isinstance(event, Failed)] == [FailureClass.LOST]
        assert events[-1].key == "open"
        while not pool.capacity(Resources()):
            pool.poll(1.0)
        assert isinstance(carry_out(pool, "after")[-1], Finished)
    finally:
        pool.shutdown()


def test_a_training_that_was_preempted_goes_on_as_if_it_had_not_been(tmp_path):
    objective = {"type": "train", "family": "mlp", "dataset": "digits"}
    fidelity = ("epochs", 30, 30)
    pool = RayPool(workers=1)

    def attempt(name, resume_from=None, preempt_at=None):
        """The metrics of each step, and how it ended."""
        work = Assignment(name, objective, {}, 7, fidelity, resume_from, tmp_path / name)
        pool.submit(work)
        steps = {}
        while True:
            for event in pool.poll(1.0):
                if isinstance(event, Reported):
                    steps[event.report.step] = event.report.metrics
                    if event.report.step == preempt_at:
                        pool.preempt(name)
                elif isinstance(event, Ended):
                    return steps, event

    try:
        whole, end = attempt("whole")
        first, preempted = attempt("first", preempt_at=2)
        rest, finished = attempt("rest", resume_from=tmp_path / "first")
    finally:
        pool.shutdown()
    assert isinstance(preempted, Preempted)
    assert 2 <= preempted.step < 30
    assert list(first) == list(range(1, preempted.step + 1))
    assert first | rest == whole
    assert list(rest) == list(range(preempted.step + 1, 31)), "nothing is done twice"
    assert finished.result.metrics == end.result.metrics
    assert (tmp_path / "rest").read_bytes() == (tmp_path / "whole").read_bytes()


def test_an_address_without_a_ray_is_said_to_be_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    with pytest.raises(ConnectionError, match=f"no Ray answers at {host}:{port}"):
        RayPool(address=f"{host}:{port}")


def test_the_signals_stay_with_the_service():
    before = signal.getsignal(signal.SIGTERM)
    pool = RayPool(workers=1)
    try:
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        pool.shutdown()


def test_a_pool_wants_the_connection_for_itself():
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with pytest.raises(RuntimeError, match="connected to a Ray already"):
            RayPool(workers=1)
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "at least one worker"),
        ({"address": "ray://head:10001"}, "cannot stream reports"),
        ({"address": "head:port"}, "not host:port"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RayPool(**settings)
