"""What a worker tells a guard, and what the guard answers: JSON, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

STOP = b"stop\n"
"""A worker writes it to the guard's standard input; when that is closed, all ends at once."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, and for how long.

    `folder` is the attempt's own; the guard removes it when the worker is no more. The file `stop` appears when the
    command is to end; it has `grace` seconds from then on, and `seconds` in all. `log` gets both of its streams.
    """

    command: list[str]
    workdir: str
    env: Mapping[str, str]
    folder: str
    stop: str
    log: str | None
    grace: float
    seconds: float | None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the command ended.

    `end` is `exit` when it ended by itself, with `code` as its exit code, or minus the number of the signal; `stopped`
    or `timeout` when the guard had to end it; `unstartable` when it never ran, with the reason in `why`; `killed` when
    the worker said so; `vanished` when the guard itself was killed. `stderr` is the end of that stream; `oom_kills`
    counts the processes that the kernel ended for want of memory meanwhile.
    """

    end: Literal["exit", "stopped", "timeout", "unstartable", "killed", "vanished"]
    code: int = 0
    stderr: str = ""
    why: str = ""
    oom_kills: int = 0

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        return cls(**json.loads(text))
