"""What the kernel knows of processes: parents, orphans, and whether memory ran out. Elsewhere than on Linux, little."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_SECONDS = 10.0  # longer only in uninterruptible sleep, from which a killed process does not return either

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def adopt_orphans() -> None:
    """Descendants of this process whose parents end become its children from now on."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """This process is killed when `parent` ends. For a child that was just forked, before it becomes the command.

    When memory runs out, the kernel is to end the command, not who guards it.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        (PROC / "self/oom_score_adj").write_text("1000")


def descendants(root: int) -> list[int]:
    """All processes below `root`, itself not among them."""
    children: dict[int, list[int]] = {}
    for pid in _processes():
        with suppress(OSError):  # that process has just ended
            stat = (PROC / str(pid) / "stat").read_bytes()
            parent = int(stat.rpartition(b")")[2].split()[1])  # the name before it may hold anything
            children.setdefault(parent, []).append(pid)
    found: list[int] = []
    level = [root]
    while level:
        level = [child for parent in level for child in children.get(parent, ())]
        found += level
    return found


def carrying(variable: str, value: str) -> list[int]:
    """The processes that were started with this variable in their environment, as far as this user may see that."""
    wanted = os.fsencode(f"{variable}={value}")
    found = []
    for pid in _processes():
        with suppress(OSError):
            if wanted in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def kill_carrying(variable: str, value: str) -> None:
    """Kills them until there are none; who is killed cannot start another one."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while (found := carrying(variable, value)) and time.monotonic() < deadline:
        for pid in found:
            kill(pid)
        time.sleep(0.005)


def oom_kills() -> int:
    """How many processes the kernel has ended for want of memory, in this process's control group if it can be seen."""
    for path in _counters():
        with suppress(OSError):
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def _counters() -> Iterator[Path]:
    """Where the count may stand: version 2 of the control groups, version 1, the whole machine."""
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            # In a container the path may be the host's, and the group itself be mounted at the root.
            for place in (path.lstrip("/"), ""):
                if not controllers:
                    yield CGROUPS / place / "memory.events"
                elif "memory" in controllers.split(","):
                    yield CGROUPS / "memory" / place / "memory.oom_control"
    yield PROC / "vmstat"


def _processes() -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir(PROC):  # noqa: PTH208  # a Path per process costs more than the rest
            if name.isdecimal():
                yield int(name)


def _prctl(option: int, argument: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)
