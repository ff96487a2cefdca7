"""How values are written for people: the filters of the templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from search import ALGORITHMS, STOPPING_RULES, Option

MINUTE, HOUR, DAY = 60, 3600, 86400


def number(value: float | int | None, digits: int = 4) -> str:
    """Significant digits without noise: 0.0123, 12500, 3.2e-07; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 10**6):
        return f"{value:.0f}" if abs(value) < 10**9 else f"{value:.{digits}g}"
    if 1e-4 <= abs(value) < 1e6:
        return f"{float(f'{value:.{digits}g}'):.10f}".rstrip("0").rstrip(".")
    return f"{value:.{digits}g}"


def count(value: float | int) -> str:
    """A count with thin spaces between thousands: 10 000. A fractional amount keeps its digits."""
    return f"{value:,.0f}".replace(",", "\u202f") if float(value).is_integer() else number(value)


def duration(seconds: float | None) -> str:
    """The two largest units: 850 ms, 42 s, 3 min 12 s, 5 h 02 min, 3 d 4 h."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def ago(text: str, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was, coarsely enough to stay true while somebody reads."""
    moment = datetime.fromisoformat(text)
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min ago"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h ago"
    if seconds < 30 * DAY:
        return f"{int(seconds // DAY)} d ago"
    return moment.strftime("%Y-%m-%d")


def until(text: str, now: datetime | None = None) -> str:
    """How long it is to an RFC 3339 time, or how long that is over: `in 30 s`, `5 s ago`."""
    seconds = (datetime.fromisoformat(text) - (now or datetime.now(UTC))).total_seconds()
    return f"in {duration(int(seconds))}" if seconds >= 0 else f"{duration(int(-seconds))} ago"


def size(value: int) -> str:
    """Of a file: 512 B, 4.2 kB, 1.5 GB."""
    amount, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{number(amount, 3)} {unit}"


def retry(value: Mapping[str, Any]) -> str:
    """How often a run is tried again, by how it ended: `lost without limit, error 2; after 10 s`."""
    words = ("error", "oom", "timeout", "lost", "preempted")
    again = [f"{word} {'without limit' if value[word] is None else value[word]}" for word in words if value[word] != 0]
    if not again:
        return "never"
    wait = value["backoff_seconds"]
    return ", ".join(again) + (f"; after {duration(wait)}, each time twice as long" if wait else "")


def limits(value: Mapping[str, Any]) -> str:
    """What an attempt may take: `10 min 00 s, 2048 MB`."""
    seconds, memory = value["seconds"], value["memory_mb"]
    parts = [duration(seconds)] if seconds is not None else []
    return ", ".join([*parts, *([f"{number(memory)} MB"] if memory is not None else [])]) or "none"


def pretty(value: object) -> str:
    """As JSON that is easy to read."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def compact(value: Mapping[str, Any]) -> str:
    """An object in a line: `reason=..., trial=3`."""
    return ", ".join(_pairs(value))


def objective(value: Mapping[str, Any]) -> str:
    """An objective in a few words: `train lenet digits`."""
    return " ".join(part for part in value.values() if isinstance(part, str))


def algorithm(value: Mapping[str, Any]) -> str:
    """An algorithm with the options that are not as usual: `hyperband eta=4, stop patience reports=5`."""
    own = {key: option for key, option in value.items() if key not in ("name", "stop", "chosen_because")}
    row, stop = ALGORITHMS.get(value["name"]), value.get("stop")
    text = _named(value["name"], own, row.options if row else ())
    if not stop:
        return text
    rule, given = STOPPING_RULES.get(stop["rule"]), {key: option for key, option in stop.items() if key != "rule"}
    return f"{text}, stop {_named(stop['rule'], given, rule.options if rule else ())}"


def _named(name: str, given: Mapping[str, Any], options: Iterable[Option]) -> str:
    usual = {option.name: option.default for option in options}
    return " ".join([name, *_pairs({key: value for key, value in given.items() if value != usual.get(key)})])


def origin(value: Mapping[str, Any]) -> str:
    """Why a point was tried, as the sampler told it: `sampler random, parents 3, 7`."""
    return ", ".join(pair.replace("=", " ", 1) for pair in _pairs(value)) or "not recorded"


def stop(value: Mapping[str, Any]) -> str:
    """Why a stopping rule ended a run: `median at step 3: the best loss so far 0.5, above the median ... 0.25; ...`."""
    losses = f"{value['compared']} {number(value['loss'])}, above {value['against']} {number(value['threshold'])}"
    return f"{value['rule']} at step {number(value['step'])}: {losses}; {value['counterfactual']}"


def few(metrics: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Metrics without the hundreds that a supernet tells of its operations and edges: those are drawn."""
    return {name: value for name, value in (metrics or {}).items() if not name.startswith(("weight.", "edge."))}


def sentence(message: str) -> str:
    """A message as a sentence of its own."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def segment(value: object) -> str:
    """One segment of a URL's path."""
    return quote(str(value), safe="")


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_plain(value)}" for key, value in values.items()]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number,
    "count": count,
    "duration": duration,
    "ago": ago,
    "until": until,
    "size": size,
    "retry": retry,
    "limits": limits,
    "pretty": pretty,
    "compact": compact,
    "objective": objective,
    "algorithm": algorithm,
    "origin": origin,
    "stop": stop,
    "segment": segment,
    "few": few,
    "sentence": sentence,
}
