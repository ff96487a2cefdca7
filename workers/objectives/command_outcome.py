"""What the end of a command says of its run."""

from __future__ import annotations

import re
import signal

from workers.guard.words import Verdict
from workers.protocol import Failure, FailureClass

INFEASIBLE = 77
"""The exit code by which a command says that this config cannot be run; `assay.infeasible` ends a script with it."""

MESSAGE_LINES = 20
MESSAGE_LENGTH = 1_600  # so that with what stands before it, it is stored uncut
SHELL_SIGNALS = 128  # a shell whose child was ended by signal n exits with 128 + n

_OUT_OF_MEMORY = re.compile(
    r"\bMemoryError\b|\bOutOfMemoryError\b|CUDA out of memory|HIP out of memory|CUDA_ERROR_OUT_OF_MEMORY"
    r"|DefaultCPUAllocator: can't allocate memory|RESOURCE_EXHAUSTED|std::bad_alloc",
)


def failure(verdict: Verdict, seconds: float | None) -> Failure | None:
    """The failure that follows from the verdict, None when the command ended well, or was stopped.

    `seconds` is the limit that the command had.
    """
    match verdict.end:
        case "stopped":
            return None
        case "timeout":
            return Failure(FailureClass.TIMEOUT, f"still running after {seconds:g} seconds{_end(verdict)}")
        case "unstartable":
            return Failure(FailureClass.ERROR, f"cannot be started: {verdict.why}")
        case "killed":
            return Failure(FailureClass.LOST, "was ended from outside")
        case "vanished":
            return Failure(FailureClass.LOST, "the process that watched over the command was killed, and so was that")
    if verdict.code == 0:
        return None
    if verdict.code == INFEASIBLE:
        return Failure(FailureClass.INFEASIBLE, _last_lines(verdict.stderr) or f"exit code {INFEASIBLE}")
    number = _signal(verdict.code)
    if number == signal.SIGKILL and verdict.oom_kills > 0:
        return Failure(FailureClass.OOM, f"killed by the kernel, which ran out of memory{_end(verdict)}")
    what = f"killed by {number.name}" if number else f"exit code {verdict.code}"
    out_of_memory = _OUT_OF_MEMORY.search(_last_lines(verdict.stderr))
    return Failure(FailureClass.OOM if out_of_memory else FailureClass.ERROR, f"{what}{_end(verdict)}")


def _signal(code: int) -> signal.Signals | None:
    """The signal that ended the command, or the child of a shell."""
    number = -code if code < 0 else code - SHELL_SIGNALS
    return signal.Signals(number) if number in set(signal.Signals) else None


def _end(verdict: Verdict) -> str:
    last = _last_lines(verdict.stderr)
    return f"; the end of stderr:\n{last}" if last else ""


def _last_lines(stderr: str) -> str:
    text = "\n".join(stderr.rstrip().splitlines()[-MESSAGE_LINES:])
    return text if len(text) <= MESSAGE_LENGTH else f"…{text[-MESSAGE_LENGTH:]}"
