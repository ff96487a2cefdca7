"""One request to one receiver, of bounded time and size, and what came of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses

import httpcore
import httpx

from service.webhooks.network import GuardedBackend
from service.webhooks.targets import Guard, TargetRefused, parse_target

SECONDS = 10.0
MOST_BYTES = 64 * 1024
"""More of an answer is not read. What is read is not kept either: it is not for us, and may be anything."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: the receiver's status, if it answered, and why it counts as failed, if it does."""

    status: int | None = None
    error: str | None = None


async def send(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    guard: Guard,
    tls: ssl.SSLContext,
    seconds: float = SECONDS,
) -> Outcome:
    """Posts a message. Redirects are not followed: they would lead to where nobody looked. Never raises."""
    try:
        async with asyncio.timeout(seconds):
            status = await _post(parse_target(url), headers, body, guard, tls)
    except TargetRefused as error:
        return Outcome(error=str(error))
    except TimeoutError:
        return Outcome(error=f"no whole answer within {seconds:g} seconds")
    except httpcore.ConnectError as error:
        return Outcome(error=f"cannot connect: {error}")
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        return Outcome(error=f"the connection broke: {error or type(error).__name__}")
    if 200 <= status < 300:
        return Outcome(status)
    hint = "; redirects are not followed" if 300 <= status < 400 else ""
    return Outcome(status, f"answered {status}{_phrase(status)}{hint}")


async def _post(target: httpx.URL, headers: Mapping[str, str], body: bytes, guard: Guard, tls: ssl.SSLContext) -> int:
    # In its parts, for another parser might see another host in it.
    url = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
    # A pool of its own: no connection is kept, so that every request goes where its name leads now.
    async with (
        httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=GuardedBackend(guard)) as pool,
        pool.stream("POST", url, headers=list(headers.items()), content=body) as answer,
    ):
        received = 0
        async for chunk in answer.aiter_stream():
            received += len(chunk)
            if received > MOST_BYTES:
                break
        return int(answer.status)


def _phrase(status: int) -> str:
    return f" ({responses[status]})" if status in responses else ""
