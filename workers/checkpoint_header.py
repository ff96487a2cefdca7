"""How far a checkpoint came, without loading it: safetensors begin with their header. Torch-free."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

LARGEST = 100 * 2**20  # bytes of a header: more is none


def epoch_of(path: Path) -> int | None:
    """The epoch after which the training was saved; None where there is no checkpoint, or one that cannot be read."""
    try:
        with path.open("rb") as file:
            return epoch_in(lambda _, count: file.read(count))
    except OSError:
        return None


def epoch_in(piece: Callable[[int, int], bytes]) -> int | None:
    """The same of a checkpoint elsewhere. `piece` answers so many bytes from that place on; it is asked in order, and
    what it raises is passed on."""
    try:
        (size,) = struct.unpack("<Q", piece(0, 8))
        if size > LARGEST:
            return None
        return int(json.loads(json.loads(piece(8, size))["__metadata__"]["assay"])["epoch"])
    except (struct.error, ValueError, KeyError, TypeError):
        return None
