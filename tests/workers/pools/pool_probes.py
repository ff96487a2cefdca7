"""Objectives that go well or badly in known ways. A table that Ray workers import by reference, like any other."""

import os
import subprocess
import sys
import time

import numpy as np

from workers.data.sharing import shelf
from workers.data.source import Source
from workers.protocol import Failure, FailureClass, Report, Result

warmed = set()


class OutOfMemoryError(RuntimeError):
    """Named like torch's, which the pools recognise without importing torch."""


class Probe:
    def __init__(self, train):
        self.train = train

    def warm(self):
        warmed.add(self)

    def check(self, objective, study):
        return []

    def test(self, assignment):
        return {"accuracy": 0.5}


def count(assignment):
    """Reports 1, 2, … `steps`, obeys a stop at once, tells which process and how many threads it has."""
    options = assignment.objective
    last, steps = 0, options.get("steps", 3)
    for last in range(1, steps + 1):
        time.sleep(options.get("seconds", 0))
        if (yield Report(last, {"value": last})) == "stop":
            break
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    told = {"value": last, "pid": os.getpid(), "threads": threads, "warmed": len(warmed)}
    return Result(told, checkpointed=True, complete=last == steps)


def big():
    """A dataset that tells which process has loaded it."""
    return Source(np.full((1000, 1000), os.getpid()))


def unreadable():
    raise Failure(FailureClass.ERROR, "the package is not here")


def reads(assignment):
    """Takes a dataset, tells who has loaded it and whether it may be written to, and stays for so long."""
    inputs = shelf().get(f"pool_probes:{assignment.objective['dataset']}", "").inputs
    yield Report(1, {"loaded_by": inputs[0, 0], "writeable": inputs.flags.writeable})
    time.sleep(assignment.objective.get("seconds", 0))
    return Result({"loaded_by": inputs[-1, -1], "pid": os.getpid()})


def devices(assignment):
    """Tells how many GPUs it sees, and stays until it is told to stop."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "all").split(",") if name]
    while (yield Report(1, {"devices": len(seen)})) != "stop":
        time.sleep(0.05)
    return Result({"devices": len(seen)}, checkpointed=True)


def forgetful(assignment):
    """Obeys a stop, and saves nothing."""
    step = 1
    while (yield Report(step, {"value": step})) != "stop":
        step += 1
        time.sleep(0.05)
    return Result({"value": step})


def numpy_scalars(assignment):
    yield Report(1, {"value": np.float32(0.5), "flag": np.bool_(True), "array": np.array(2)})
    return Result({"value": np.int64(3)})


def raises(error):
    def train(assignment):
        yield Report(1, {"value": 1.0})
        raise error

    return train


def bad_report(value):
    def train(assignment):
        yield Report(1, {"value": 1.0})
        yield Report(2, {"value": 1.0, "val_loss": value})
        raise AssertionError("a report that is not finite is the end")

    return train


def bad_result(assignment):
    yield Report(1, {"value": 1.0})
    return Result({"value": float("inf")})


def no_result(assignment):
    yield Report(1, {"value": 1.0})


def leaves(assignment):
    yield Report(1, {"value": 1.0})
    raise SystemExit(3)


def dies(assignment):
    yield Report(1, {"value": 1.0})
    os._exit(9)


def deaf(assignment):
    """Reports once, then neither ends nor listens for an hour."""
    yield Report(1, {"value": 1.0})
    time.sleep(3600)
    return Result({})


def burns(assignment):
    """Takes so many seconds of CPU time, in its own thread or in a child process."""
    seconds = assignment.objective["seconds"]
    if assignment.objective.get("child"):
        loop = f"import time\nwhile time.process_time() < {seconds}: pass"
        subprocess.run([sys.executable, "-c", loop], check=True)
    else:
        start = time.thread_time()
        while time.thread_time() - start < seconds:
            pass
    yield Report(1, {"value": 1.0})
    if assignment.objective.get("fails"):
        raise ValueError("burnt out")
    return Result({"value": 1.0})


def hoards(assignment):
    """Reports the process id of a child process, has it hold so much memory and stays."""
    hold = f"import time; input(); held = b'x' * {assignment.objective['bytes']}; time.sleep(3600)"
    child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE)
    yield Report(1, {"child": child.pid})
    child.stdin.write(b"\n")
    child.stdin.flush()
    time.sleep(3600)
    return Result({})


OBJECTIVES = {
    "count": Probe(count),
    "reads": Probe(reads),
    "devices": Probe(devices),
    "forgetful": Probe(forgetful),
    "numpy": Probe(numpy_scalars),
    "value_error": Probe(raises(ValueError("the learning rate is too rich"))),
    "failure": Probe(raises(Failure(FailureClass.INFEASIBLE, "no such shape"))),
    "memory": Probe(raises(MemoryError())),
    "gpu_memory": Probe(raises(OutOfMemoryError("CUDA out of memory"))),
    "torch_cpu_memory": Probe(raises(RuntimeError("DefaultCPUAllocator: can't allocate memory"))),
    "floating_point": Probe(raises(FloatingPointError("loss is nan"))),
    "nan": Probe(bad_report(float("nan"))),
    "text": Probe(bad_report("high")),
    "bad_result": Probe(bad_result),
    "no_result": Probe(no_result),
    "leaves": Probe(leaves),
    "dies": Probe(dies),
    "deaf": Probe(deaf),
    "burns": Probe(burns),
    "hoards": Probe(hoards),
}
