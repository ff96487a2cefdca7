"""How far a checkpoint came, without loading it: safetensors begin with their header. Torch-free."""

from __future__ import annotations

import json
import struct
from pathlib import Path

LARGEST = 100 * 2**20  # bytes of a header: more is none


def epoch_of(path: Path) -> int | None:
    """The epoch after which the training was saved; None where there is no checkpoint, or one that cannot be read."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > LARGEST:
                return None
            header = json.loads(json.loads(file.read(size))["__metadata__"]["assay"])
        return int(header["epoch"])
    except (OSError, struct.error, ValueError, KeyError, TypeError):
        return None
