"""What webhooks may subscribe to, and the JSON that they are sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

EVENTS = (
    "study.created",
    "study.paused",
    "study.resumed",
    "study.incumbent",
    "study.tested",
    "study.completed",
    "study.failed",
    "study.cancelled",
)
"""What happens to studies as a whole. Events of single runs are too many: the stream of events has them."""

DEFAULT_EVENTS = ("study.completed", "study.failed", "study.cancelled")
PING = "ping"
"""Sent when somebody asks for a test."""


def message(
    type_: str,
    project: str,
    created_at: datetime,
    *,
    study: str | None = None,
    seq: int | None = None,
    run: int | None = None,
    trial: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One delivery: the event as the API shows it, with its project and study.

    `id` is new for every delivery and stays the same however often it is tried, so that receivers can tell what they
    have. It is part of the message because only the message is signed.
    """
    return {
        "id": uuid.uuid4().hex,
        "type": type_,
        "project": project,
        "study": study,
        "seq": seq,
        "run": run,
        "trial": trial,
        "data": dict(data or {}),
        "created_at": created_at.isoformat().replace("+00:00", "Z"),
    }


def body(payload: Mapping[str, Any]) -> bytes:
    """The message as it is sent, and signed; in ASCII, so that no receiver can read it in two ways."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
