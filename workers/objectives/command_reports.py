"""The file in which a command reports: a line of JSON per report, appended by whatever language it is written in.

    {"step": 1, "metrics": {"val_loss": 0.31}}

Steps ascend, in units of the fidelity; a step that is reported again is not heard. Without one it is the step after the
last. What is not finite is null, or one of the texts NaN, Infinity and -Infinity (bare, as Python writes them, or
quoted).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spaces.values import MAX_INTEGER, is_number, show
from workers.protocol import Failure, FailureClass, Report

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MAX_LINE = 1_000_000
CHUNK = 1 << 20
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, None: math.nan}


class ReportsFile:
    """Reads what was appended since the last time. `last` is the latest report that was read."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path
        self._offset = 0
        self._line = 0
        self._rest = b""
        self.last: Report | None = None

    def new(self, *, ended: bool) -> Iterator[Report]:
        """The new reports. A line is read once it is whole; when the command has `ended`, the last one is.

        Raises Failure, which names the line, at the first one that is not a report.
        """
        while chunk := self._read():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                yield from self._report(line)
            if len(self._rest) > MAX_LINE:
                raise self._wrong(self._line + 1, f"is longer than {MAX_LINE} bytes")
        if ended and self._rest:
            rest, self._rest = self._rest, b""
            yield from self._report(rest)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(CHUNK)
        except FileNotFoundError:  # a guard that was ended from outside took the folder with it
            return b""
        self._offset += len(chunk)
        return chunk

    def _report(self, line: bytes) -> Iterator[Report]:
        self._line += 1
        if not line.strip():
            return
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: not JSON, not UTF-8, an integer of a million digits
            raise self._wrong(self._line, f"is not JSON ({error}): {_shown(line)}") from None
        if not isinstance(told, dict) or not isinstance(told.get("metrics"), dict) or not told["metrics"]:
            raise self._wrong(self._line, f'has no metrics, like {{"step": 1, "metrics": {{...}}}}: {_shown(line)}')
        step = self._step(told)
        if self.last and step == self.last.step:
            return
        if self.last and step < self.last.step:
            raise self._wrong(self._line, f"goes back to step {step} after step {self.last.step}: steps must ascend")
        self.last = Report(step, self._metrics(told["metrics"]))
        yield self.last

    def _step(self, told: Mapping[str, Any]) -> float | int:
        step = told.get("step")
        if step is None:
            return math.floor(self.last.step) + 1 if self.last else 1
        if not is_number(step) or not 0 <= step <= MAX_INTEGER:
            raise self._wrong(self._line, f"has the step {show(step)}, which must be a number from 0 to 2**53")
        return step

    def _metrics(self, told: Mapping[str, Any]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for name, value in told.items():
            if UNSTORABLE.search(name):
                raise self._wrong(self._line, f"has a metric whose name no database can keep: {name!a}")
            if value is None or (isinstance(value, str) and value in NOT_FINITE):
                metrics[name] = NOT_FINITE[value]
            elif is_number(value):
                metrics[name] = _float(value)
            else:
                raise self._wrong(self._line, f"has {show(value)} as the metric {name}, which must be a number")
        return metrics

    def _wrong(self, line: int, message: str) -> Failure:
        return Failure(FailureClass.ERROR, f"line {line} of the reports {message}")


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the doubles
        return math.inf if value > 0 else -math.inf


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return text if len(text) <= 200 else f"{text[:200]}…"
