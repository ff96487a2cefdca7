"""Where a run was carried out and with what: the code, the libraries, the machine.

Gathered once per process and never raises: what cannot be learnt is None or left out. Nothing is imported for it;
the versions are those of the installed distributions.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from workers.protocol import Assignment

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "safetensors", "threadpoolctl", "ray")
PATIENCE_SECONDS = 5.0  # for git and nvidia-smi each, which answer at once or hang
_gathering = threading.Lock()


def provenance() -> Mapping[str, Any]:
    """JSON of this process: `assay`, `code`, `python`, `platform`, `packages`, `host`, `gpus`. The same object always.

    `code` is {commit, dirty} of the checkout that holds this package, None when it was installed otherwise. `gpus` are
    all of the machine: {name, memory_bytes, driver}.
    """
    with _gathering:  # whoever comes second waits instead of asking again
        return _gather()


def of_attempt(assignment: Assignment) -> dict[str, Any]:
    """The process's provenance and what belongs to the attempt: its `resources`.

    `devices` are the GPUs that the worker was given, as CUDA_VISIBLE_DEVICES names them; None where nobody said.
    """
    shape = assignment.resources
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {**provenance(), "resources": {"cpus": shape.cpus, "gpus": shape.gpus, "devices": devices}}


@cache
def _gather() -> Mapping[str, Any]:
    return {
        "assay": _version("assay"),
        "code": checkout(Path(__file__).resolve().parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "host": {
            "name": socket.gethostname(),
            "cpu": _cpu_model(),
            "cpus": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "gpus": _gpus(),
    }


def checkout(folder: Path) -> dict[str, Any] | None:
    """{commit, dirty} of the git checkout that tracks this folder's files; None when none does.

    A folder may lie in a checkout without being part of it: an environment that somebody keeps inside his project.
    """
    if not _git(folder, "ls-files"):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if not commit or changes is None else {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    return _answer("git", "-C", str(folder), "--no-optional-locks", *words)


def _gpus() -> list[dict[str, Any]]:
    fields = "--query-gpu=name,memory.total,driver_version"
    table = _answer("nvidia-smi", fields, "--format=csv,noheader,nounits") or ""
    rows = [line.rsplit(", ", 2) for line in table.splitlines()]
    return [
        {"name": name, "memory_bytes": int(mebibytes) << 20 if mebibytes.isdecimal() else None, "driver": driver}
        for name, mebibytes, driver in (row for row in rows if len(row) == 3)
    ]


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or None)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _answer(program: str, *words: str) -> str | None:
    """What the program prints; None when there is no such program, it fails or it takes too long."""
    path = shutil.which(program)
    if not path:
        return None
    # A hook of git's sets variables that name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            [path, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
