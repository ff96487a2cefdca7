"""Nothing that a command started stays behind, whoever ends and however."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from workers.objectives import OBJECTIVES
from workers.pools.local import LocalPool
from workers.protocol import Failure, FailureClass, Reported

ROOT = Path(__file__).parents[3]

# A child, a grandchild whose parent is gone, and one that is a daemon: in a session of its own, orphaned, deaf.
FAMILY = """
sleep 1000 &
(sleep 1001 & exit)
setsid sh -c "trap '' TERM HUP INT; sleep 1002 & touch $ASSAY_CHECKPOINT_DIR/ready; wait" < /dev/null > /dev/null 2>&1 &
while [ ! -e $ASSAY_CHECKPOINT_DIR/ready ]; do sleep 0.01; done
report 1 1
"""
FAMILY_SIZE = 5

WORKER = """
import sys
from workers.objectives import OBJECTIVES
from workers.protocol import Assignment

work = Assignment("key", {"type": "command", "command": ["sh", "-c", sys.argv[1]]}, {}, 7)
for report in OBJECTIVES["command"].train(work):
    print("reported", flush=True)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the attempts have their folders: all that belongs to a command names it in its environment."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def family(folder):
    """The living processes that belong to the commands with their folders in there."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get("ASSAY_REPORTS", "") and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def guards(folder):
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]


def started(work, folder):
    """The training of a family that is complete."""
    training = OBJECTIVES["command"].train(work)
    next(training)
    assert len(family(folder)) >= FAMILY_SIZE
    return training


def test_a_script_that_ends_takes_all_with_it(shell, carry_out, temporary):
    _, result = carry_out(shell(FAMILY))
    assert result.metrics == {"loss": 1.0}
    assert family(temporary) == guards(temporary) == []
    assert list(temporary.iterdir()) == []


def test_a_closed_training_takes_all_with_it(shell, temporary):
    started(shell(FAMILY + "sleep 1000"), temporary).close()
    assert family(temporary) == guards(temporary) == []
    assert list(temporary.iterdir()) == []


def test_a_timeout_takes_all_with_it(shell, carry_out, temporary):
    with pytest.raises(Failure) as caught:
        carry_out(shell(FAMILY + "sleep 1000", timeout_seconds=2))
    assert caught.value.failure is FailureClass.TIMEOUT
    assert family(temporary) == guards(temporary) == []


def test_a_killed_worker_takes_all_with_it(shell, temporary, until):
    script = shell(FAMILY + "sleep 1000").objective["command"][2]
    worker = subprocess.Popen([sys.executable, "-c", WORKER, script], cwd=ROOT, stdout=subprocess.PIPE)
    assert worker.stdout.readline() == b"reported\n"
    assert len(family(temporary)) >= FAMILY_SIZE
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    until(lambda: not family(temporary) and not guards(temporary))
    assert list(temporary.iterdir()) == []


def test_a_worker_whose_children_are_killed_with_it_takes_all_with_it(shell, temporary, until):
    """Ray kills the children of a worker that it ends."""
    script = shell(FAMILY + "sleep 1000").objective["command"][2]
    worker = psutil.Popen([sys.executable, "-c", WORKER, script], cwd=ROOT, stdout=subprocess.PIPE)
    assert worker.stdout.readline() == b"reported\n"
    for process in [*worker.children(), worker]:
        process.kill()
    worker.wait()
    worker.stdout.close()
    until(lambda: not family(temporary) and not guards(temporary))


def test_a_killed_guard_takes_all_with_it(shell, temporary):
    training = started(shell(FAMILY + "sleep 1000"), temporary)
    for guard in guards(temporary):
        guard.kill()
    with pytest.raises(Failure) as caught:
        next(training)
    assert caught.value.failure is FailureClass.LOST
    assert family(temporary) == []
    assert list(temporary.iterdir()) == []


def test_a_guard_that_is_asked_to_end_does_so_in_good_order(shell, temporary):
    training = started(shell(FAMILY + "sleep 1000"), temporary)
    for guard in guards(temporary):
        guard.send_signal(signal.SIGTERM)
    with pytest.raises(Failure, match="from outside") as caught:
        next(training)
    assert caught.value.failure is FailureClass.LOST
    assert family(temporary) == []


def test_a_pool_of_threads_ends_a_silent_script_at_once(shell, temporary, until):
    pool = LocalPool(workers=1)
    pool.submit(shell(FAMILY + "sleep 1000"))
    until(lambda: any(isinstance(event, Reported) for event in pool.poll(0.1)))
    assert len(family(temporary)) >= FAMILY_SIZE
    pool.kill("key")
    until(lambda: not family(temporary) and not guards(temporary))
    pool.shutdown()


def test_an_attempt_that_was_killed_before_it_began_does_not_stay(shell, temporary):
    OBJECTIVES["command"].kill("key")
    with pytest.raises(Failure):
        next(OBJECTIVES["command"].train(shell("sleep 1000")))
    assert family(temporary) == guards(temporary) == []


def test_commands_of_several_threads_do_not_hold_each_other(shell, temporary, carry_out):
    """None waits for a pipe that another's processes inherited."""
    ends = []
    threads = [
        threading.Thread(target=lambda n=n: ends.append(carry_out(shell(f"sleep 0.{n}; report 1 {n}"))[1].metrics))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(end["loss"] for end in ends) == [0, 1, 2, 3, 4, 5]
    assert family(temporary) == []


def test_no_descriptor_is_left_open(shell, carry_out):
    carry_out(shell("report 1 1"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    carry_out(shell("report 1 1"))
    with pytest.raises(Failure):
        carry_out(shell("exit 1"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
