"""What a command writes, in bounded room: a file that keeps the beginning and the end, and the end in memory."""

from __future__ import annotations

from pathlib import Path

LOG_BYTES = 10_000_000
TAIL_BYTES = 64_000


class BoundedLog:
    """A file of at most `limit` bytes. When it is full, the middle gives way to a line that says how much is missing.

    The first two fifths stay for good. What follows is cut back to its last fifth whenever there is no more room.
    """

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        self._file = path.open("w+b", buffering=0)
        self._limit = limit
        self._head = limit * 2 // 5
        self._fifth = limit // 5
        self._size = 0
        self._mark = b""
        self._missing = 0

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), self._fifth):
            piece = data[start : start + self._fifth]
            if self._size + len(piece) > self._limit:
                self._cut()
            self._append(piece)

    def close(self) -> None:
        self._file.close()

    def _cut(self) -> None:
        self._file.seek(self._size - self._fifth)
        rest = self._file.read()
        self._missing += self._size - self._head - len(self._mark) - len(rest)
        self._mark = f"\n[{self._missing} bytes are left out here]\n".encode()
        self._file.seek(self._head)
        self._file.truncate()
        self._size = self._head
        self._append(self._mark + rest)

    def _append(self, data: bytes) -> None:
        self._size += self._file.write(data)


class Tail:
    """The last bytes of a stream."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data = (self._data + data)[-self._limit :]

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")
