"""The topics of Python's own help: technical English with program text in it, as the running Python ships it.

Every version of Python has other words, so the bytes have no one digest. How many characters there are, and out of how
many, is the same for all: the topics in the order of their names, up to a fixed length; what is neither printable ASCII
nor a line's end is one symbol more.
"""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.rows import Dataset

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))  # symbols 1 to 96; 0 is any other
LENGTH = 450_000  # Python 3.11 has 464 970 characters, later ones have more

DATASET = Dataset(
    name="pydoc_text",
    title="The help topics of Python",
    tasks=("language",),
    inputs="text",
    shape=(),
    outputs=1 + len(ALPHABET),
    examples=LENGTH,
    licence="PSF-2.0",
    source="Python Software Foundation, pydoc_data.topics of the running Python",
    loader="workers.data.sets.pydoc_text:load",
    sha256="",
    splitting="time",
)


def load() -> Source:
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))[:LENGTH]
    return Source(encoded(text))


def encoded(text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[characters]: the symbol of each."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    symbols = np.zeros(128, dtype=np.int64)
    symbols[[ord(character) for character in ALPHABET]] = np.arange(1, 1 + len(ALPHABET))
    return np.where(points < 128, symbols[np.minimum(points, 127)], 0)
