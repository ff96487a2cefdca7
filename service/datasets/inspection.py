"""What is in an uploaded file, found out in a process of its own: it comes from somebody else, and is read by libraries
in C++ that may crash or ask for any memory. Here both are an answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import service
from service.datasets.schema import Format, Malformed, Schema

MEMORY_MB = 2_048
SECONDS = 600


def inspected(path: Path, format_: Format, *, memory_mb: int = MEMORY_MB, seconds: int = SECONDS) -> Schema:
    """The schema of a file. Takes a good part of a second at least. Raises Malformed, which says where and why."""
    assert service.__file__ is not None
    root = str(Path(service.__file__).parent.parent)
    # One thread: Arrow would otherwise reserve memory for as many as there are CPUs.
    env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "service.datasets.child", format_, str(path), str(memory_mb), str(seconds)]
    try:
        answer = subprocess.run(
            command, env=env, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Malformed(f"it takes longer than {2 * seconds} seconds to read") from error
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
        why = f"signal {-answer.returncode}" if answer.returncode < 0 else last
        raise Malformed(f"it cannot be read as {format_} within {memory_mb} MB and {seconds} s of CPU time ({why})")
    told = json.loads(answer.stdout)
    if "malformed" in told:
        raise Malformed(told["malformed"])
    return Schema.from_json(told["schema"])
