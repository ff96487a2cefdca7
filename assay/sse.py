"""Server-sent events (WHATWG HTML, section 9.2), the client's half: bytes in, messages out.

A study's stream carries its events (with their sequence number as the id, so that a broken stream can be taken up
again) and, between them, the reports of running runs (without an id: they are news, not history).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from assay.errors import UnexpectedAnswer


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a study's stream.

    `type` is an event's type (`run.succeeded`, `study.completed`, ...) or `report`; `seq` is the event's number in its
    study and None for a report; `data` is the event or the report as on the wire.
    """

    type: str
    seq: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """The messages in a byte stream; lines end with LF or CRLF, comments (keep-alives) are dropped.

    A message that the stream's end cuts off is dropped too, as the standard demands.
    """
    kind, identity, data = "message", None, b""
    for line in _lines(chunks):
        if not line:
            if data:
                yield _message(kind, identity, data[:-1])
            kind, identity, data = "message", None, b""
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                kind = value.decode()
            case b"id":
                identity = value.decode()
            case b"data":
                data += value + b"\n"


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # str.splitlines would also break at U+2028 and others, which JSON may contain as they are.
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")


def _message(kind: str, identity: str | None, data: bytes) -> Message:
    try:
        content = json.loads(data)
        seq = None if identity is None else int(identity)
    except ValueError as error:
        raise UnexpectedAnswer(f"the event stream has a message that cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UnexpectedAnswer(f"the event stream has a message that is not an object: {data.decode()[:80]}")
    return Message(kind, seq, content)
