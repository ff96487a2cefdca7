"""What the machine at hand is like: its disks, its shared memory, who listens where."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


def shared_memory() -> int | None:
    """The bytes that are free in it, where there is such a thing."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.exists() else None


def answers(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def trouble_with_writing(folder: Path) -> str | None:
    """Why nothing can be stored in a folder; None when it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"assay")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def user() -> str:
    """Who this process is, for people."""
    return os.environ.get("USER") or f"the user {os.getuid()}"


def file_system(path: Path) -> str | None:
    """The kind of file system that holds a path, where the kernel tells."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return None
    best: tuple[int, str] = (-1, "")
    for line in mounts.read_text().splitlines():
        _, where, kind, *_ = line.split()
        place = Path(where.encode().decode("unicode_escape"))
        if path.is_relative_to(place):
            best = max(best, (len(place.parts), kind), key=lambda found: found[0])
    return best[1] or None
