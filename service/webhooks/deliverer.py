"""Sends what is due, in every process that dispatches; the database sees to it that only one of them sends it.

A delivery is taken for a while, sent outside of any transaction, and what came of it is stored. A process that dies in
between leaves a delivery that is due again when its time has run out: receivers see every event at least once, and know
by its `id` what they have seen. A slow receiver holds up only what is for itself.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version

import httpx

from assay.webhooks import DELIVERY, EVENT, SIGNATURE, TIMESTAMP, sign
from service.database import Database, DatabaseUnavailable
from service.models import utcnow
from service.observability.metrics import Delivered
from service.observability.notes import note
from service.repositories.audit import AuditLog
from service.repositories.webhooks import OFF, Due, Outbox
from service.webhooks.messages import body
from service.webhooks.retries import GIVE_UP, delay
from service.webhooks.sender import SECONDS, Outcome, send
from service.webhooks.targets import Guard

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
AT_ONCE = 128
AT_ONCE_EACH = 4
"""So many requests are under way at the same time, to all webhooks and to each of them."""
HELD = timedelta(seconds=60)
"""For so long a delivery is this process's alone; much longer than a request may take."""
GRACE_SECONDS = 3.0
KEPT = timedelta(days=30)
"""For so long one can look at what was sent."""
TIDY_SECONDS = 3600.0
ACTOR = "service"


class Deliverer:
    """`seconds` is how long an attempt may take; `now` tells the time, for the tests."""

    def __init__(
        self,
        database: Database,
        guard: Guard,
        *,
        now: Callable[[], datetime] = utcnow,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.database = database
        self.guard = guard
        self.now = now
        self.tls = tls or httpx.create_ssl_context()
        self.seconds = seconds
        self._next_tidy = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Delivers in a thread of its own for as long as the block runs."""
        stopping = threading.Event()
        thread = threading.Thread(target=self.run, args=(stopping,), name="webhooks")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def run(self, stopping: threading.Event) -> None:
        """Works until `stopping` is set; then what is under way has a moment to come to its end."""
        while not stopping.is_set():
            try:
                asyncio.run(self._run(stopping))
            except Exception:  # a fault in here must not take the dispatcher and its workers down
                log.exception("the delivery of webhooks failed, and starts anew")
                stopping.wait(5.0)

    async def _run(self, stopping: threading.Event) -> None:
        under_way: dict[asyncio.Task[None], int] = {}
        while not stopping.is_set():
            try:
                for due in await asyncio.to_thread(self.claim, Counter(under_way.values())):
                    under_way[asyncio.create_task(self.deliver(due))] = due.webhook
            except DatabaseUnavailable as error:
                log.warning("webhooks wait for the database: %s", error)
            if under_way:
                await asyncio.wait(under_way, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(POLL_SECONDS)
            for task in [task for task in under_way if task.done()]:
                del under_way[task]
                task.result()
        if under_way:
            await asyncio.wait(under_way, timeout=GRACE_SECONDS)

    def claim(self, under_way: Counter[int]) -> Sequence[Due]:
        """Takes what is due and has room beside what is `under_way`, by webhook. Raises DatabaseUnavailable."""
        now, room = self.now(), AT_ONCE - under_way.total()
        ids: list[int] = []
        self._tidy(now)
        # Looking takes no lock, so that nobody waits for those who have nothing to do.
        with self.database.session(write=False) as session:
            taken = Counter(under_way)
            for delivery, webhook in Outbox(session).due(now, AT_ONCE_EACH):
                if len(ids) < room and taken[webhook] < AT_ONCE_EACH:
                    taken[webhook] += 1
                    ids.append(delivery)
        if not ids:
            return []
        with self.database.session() as session:
            return Outbox(session).claim(ids, now, now + HELD)

    async def deliver(self, due: Due) -> None:
        """Sends one delivery and stores what came of it."""
        outcome = await self._send(due) if due.active else Outcome(error=OFF)
        try:
            await asyncio.to_thread(self._settle, due, outcome)
        except DatabaseUnavailable as error:
            log.warning("delivery %s will be repeated, for what came of it was not stored: %s", due.id, error)

    async def _send(self, due: Due) -> Outcome:
        content, timestamp = body(due.payload), int(self.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Assay/{version('assay')}",
            EVENT: due.payload["type"],
            DELIVERY: due.payload["id"],
            TIMESTAMP: str(timestamp),
            SIGNATURE: sign(content, due.secret, timestamp),
        }
        return await send(due.url, headers, content, self.guard, self.tls, self.seconds)

    def _settle(self, due: Due, outcome: Outcome) -> None:
        again = delay(due.id, due.attempt) if due.active else None
        result: Delivered = "delivered" if outcome.error is None else "failed" if again else "given_up"
        with self.database.session() as session:
            note(session, lambda metrics: metrics.delivered(result))
            settled = Outbox(session).settle(
                due, self.now(), status=outcome.status, error=outcome.error, again=again, give_up=GIVE_UP
            )
            if settled and settled.turned_off:
                AuditLog(session).add(
                    project_id=settled.webhook.project_id,
                    actor=ACTOR,
                    action="webhook.turn_off",
                    target=str(due.webhook),
                    detail={"failing_since": str(settled.webhook.failing_since), "error": outcome.error},
                    address=None,
                )
        if outcome.error and not again:
            log.warning("delivery %s of webhook %s failed: %s", due.id, due.webhook, outcome.error)
        if settled and settled.turned_off:
            log.warning("webhook %s was turned off: nothing arrived for %s", due.webhook, GIVE_UP)

    def _tidy(self, now: datetime) -> None:
        if time.monotonic() >= self._next_tidy:
            self._next_tidy = time.monotonic() + TIDY_SECONDS
            with self.database.session() as session:
                Outbox(session).prune(now - KEPT)
