"""Receiving webhooks: every request is signed, and `verify` tells whether it is what the service sent.

    def receive(body: bytes, headers: Mapping[str, str]) -> None:
        event = assay.webhooks.verify(body, headers, secret)  # raises assay.SignatureInvalid
        if event["type"] == "study.completed":
            ...

The signature is the HMAC-SHA256 of the time of sending, a dot and the body as it arrived, with the webhook's secret, in
hexadecimal digits: `Assay-Signature: v1=...`. Nothing is imported here but the standard library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import SignatureInvalid

EVENT = "Assay-Event"
DELIVERY = "Assay-Delivery"
TIMESTAMP = "Assay-Timestamp"
SIGNATURE = "Assay-Signature"
TOLERANCE = 300.0


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The signature of a body sent at a time, in seconds since 1970."""
    return "v1=" + hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    tolerance: float = TOLERANCE,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """The event that a request brings. Raises SignatureInvalid.

    `body` is the request's, byte for byte; names in `headers` may be in any case. A request that was sent more than
    `tolerance` seconds ago is refused, so that nobody can send one again that he has seen. Compares in constant time.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if TIMESTAMP.lower() not in given or SIGNATURE.lower() not in given:
        raise SignatureInvalid(f"the request is not signed: it has no {TIMESTAMP} and {SIGNATURE}")
    sent = given[TIMESTAMP.lower()].strip()
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 20):
        raise SignatureInvalid(f"{TIMESTAMP} is not a time in seconds")
    expected = sign(body, secret, int(sent)).encode()
    found = [one.strip().encode(errors="replace") for one in given[SIGNATURE.lower()].split(",")]
    if not any(hmac.compare_digest(expected, one) for one in found):
        raise SignatureInvalid("the signature is not that of this body, sent at this time, with this secret")
    if abs(now() - int(sent)) > tolerance:
        raise SignatureInvalid(f"the request was not sent within the last {tolerance:g} seconds")
    event: dict[str, Any] = json.loads(body)
    return event
