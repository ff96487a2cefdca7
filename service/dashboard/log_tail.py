"""The end of a log as people read it in a page: a bounded part of it, without what only a terminal understands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.logs import find_log
from service.models import Artifact, Run
from service.repositories.errors import NotFound
from service.store import Missing, StorageError, Store

MOST_BYTES = 64 * 1024
MOST_LINES = 300

# What colours and moves a terminal's cursor (ECMA-48), and control characters other than line feed and tab.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Tail:
    """`text` is None where there is no log; `problem` says why it could not be read. `cut`: more came before."""

    text: str | None = None
    cut: bool = False
    live: bool = False
    bytes: int = 0
    problem: str | None = None


def tail_of(store: Store, run: Run, stored: Artifact | None) -> Tail:
    """Of the log that the API answers; `stored` is the newest one that is an artifact."""
    try:
        log = find_log(store, run, stored)
        begin = max(0, log.bytes - MOST_BYTES)
        content = b"".join(store.read(log.key, begin, log.bytes))
    except (NotFound, Missing):
        return Tail()
    except StorageError as error:
        return Tail(problem=str(error))
    text, cut = plain(content.decode("utf-8", "replace")), begin > 0
    lines = text.split("\n")
    if cut:
        del lines[0]  # half a line
    body = lines[:-1] if lines and not lines[-1] else lines
    return Tail("\n".join(body[-MOST_LINES:]), cut or len(body) > MOST_LINES, log.live, log.bytes)


def plain(text: str) -> str:
    """Without escapes; of a line that was written over again and again (a progress bar) what stood there last."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return "\n".join(_CONTROLS.sub("", line) for line in lines)
