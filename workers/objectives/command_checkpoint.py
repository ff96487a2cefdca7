"""A directory that a command saves into, as the one file in which a training waits to be continued.

A tar archive, not compressed: what is large in a checkpoint hardly gets smaller. Nothing in it can reach out of the
directory, neither when it is packed nor when it is unpacked: no links to elsewhere, no devices, no absolute paths.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

from workers.protocol import Failure, FailureClass


def pack(directory: Path, path: Path) -> bool:
    """Writes the file: all of it or, after a crash, nothing. False when the directory is empty: then nothing at all.

    Raises Failure for what cannot be kept, such as a link to elsewhere.
    """
    if not any(directory.iterdir()):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            with tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(directory, arcname=".", filter=lambda member: _harmless(member, directory))
            file.flush()
            os.fsync(file.fileno())
            beside.replace(path)
        except (OSError, tarfile.FilterError) as error:
            raise Failure(FailureClass.ERROR, f"the checkpoint cannot be kept: {error}") from error
        finally:
            beside.unlink(missing_ok=True)
    return True


def _harmless(member: tarfile.TarInfo, directory: Path) -> tarfile.TarInfo:
    """Raises FilterError for what could not be unpacked again."""
    tarfile.data_filter(member, str(directory))
    return member


def unpack(path: Path, directory: Path) -> None:
    """The contents of the file, into a directory that is there. Raises Failure when it is missing or damaged."""
    try:
        with tarfile.open(path, "r:") as archive:
            archive.extractall(directory, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise Failure(FailureClass.ERROR, f"the checkpoint {path.name} cannot be read: {error}") from error
