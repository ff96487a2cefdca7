"""Log lines on stderr: text for people, or one JSON object per line for programs. Times are UTC.

Whatever is logged passes `redacted`: passwords in addresses and credentials in headers never reach the log.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from service.observability.context import current

_SECRETS = (
    (re.compile(r"\bassay_[0-9a-f]{8,}_[A-Za-z0-9_-]+"), "assay_***"),
    (re.compile(r"(://[^:/@\s]*:)[^@\s]+(?=@)"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\1\2***"),
    (re.compile(r"(?i)\b(password|passwd|token|secret|api_?key)([\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+"), r"\1\2***"),
)


def configure(level: str, format_: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Sends the log of this process to `stream` (stderr). What others log in detail is only told from warnings on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if format_ == "json" else Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("alembic", "uvicorn.error", "httpx", "httpcore", "urllib3", "opentelemetry"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class Lines(logging.Formatter):
    """`2026-01-31T12:00:00.000Z WARNING service.dispatcher: message [study=digits run=17]`"""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _ids_of(record).items())
        head = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        lines = [f"{head} [{ids}]" if ids else head]
        if trace := _trace(self, record):
            lines.append(trace)
        return redacted("\n".join(lines))


class JsonLines(logging.Formatter):
    """`time`, `level`, `logger`, `message`; the ids that are bound and the fields of `extra={"fields": ...}`;
    `exception` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        for name, value in _ids_of(record).items():
            line.setdefault(name, redacted(value) if isinstance(value, str) else value)
        if trace := _trace(self, record):
            line["exception"] = redacted(trace)
        return json.dumps(line, default=str)


def _ids_of(record: logging.LogRecord) -> dict[str, object]:
    return {**current(), **getattr(record, "fields", {})}


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
